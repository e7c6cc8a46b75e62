"use strict";
// The review form: one sample at a time, its critical criteria to be answered, and the sheet that notebook 03 reads.

const COLUMNS = ["sample", "response_id", "rubric", "criterion", "met", "note"];
const INVISIBLE = /^[ \u00a0\u200b\u200c\u200d\u2060\ufeff]*/;
const STARTS = "=+-@\t\r\n＝＋－＠"; // of a formula in a spreadsheet
let samples = [];
let answers = {}; // "sample response rubric" -> "yes" or "no", and "sample response" -> a note
let at = 0; // the sample, and the criterion in it, that the keys act on
let criterion = 0;
const STORE = () => `review ${document.body.dataset.run} ${samples.map((sample) => sample.response_id).join("").slice(0, 200)}`;
const keyOf = (sample, rubric) => [sample.id, sample.response_id, rubric?.id].filter(Boolean).join(" ");
const isDone = (sample) => sample.criteria.every((rubric) => answers[keyOf(sample, rubric)]);

/** Keep the answers in this browser where it allows that, so that a closed window loses nothing. */
function remember() {
  try {
    localStorage.setItem(STORE(), JSON.stringify(answers));
  } catch { /* a window without storage: the sheet is saved by its button */ }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE())) ?? {};
  } catch {
    return {};
  }
}

/** The answers that an earlier sheet brought along. */
function given() {
  return Object.fromEntries(samples.flatMap((sample) => sample.criteria.filter((rubric) => rubric.met).map((rubric) => [keyOf(sample, rubric), rubric.met])));
}

/** Show a sample, and only then make it the one that the keys answer for. */
function show(number = at, place = criterion) {
  const sample = samples[number];
  const rows = sample.criteria.map((rubric, own) => {
    const press = (value) => () => { criterion = own; answer(value); };
    const button = (value, text) => element("button", { type: "button", "aria-pressed": String(answers[keyOf(sample, rubric)] === value), onclick: press(value) }, text);
    return element("li", { class: own === place ? "now" : "" }, rubric.text, element("div", { class: "answers" }, button("yes", "Met (y)"), button("no", "Not met (n)")));
  });
  const keepNote = ({ target }) => { answers[keyOf(sample)] = target.value; remember(); };
  const note = element("textarea", { rows: "2", id: "note", oninput: keepNote });
  note.value = answers[keyOf(sample)] ?? "";
  byId("sample").replaceChildren(
    element("h2", {}, `Sample ${number + 1} of ${samples.length}`),
    turn("Question", sample.question), turn("First explanation", sample.explanation), turn("Student", sample.follow_up, "student"), turn("Tutor's reply", sample.response, "reply"),
    element("h3", {}, "Does the reply meet each criterion?"),
    element("p", {}, "Met is always good. A criterion that says “must not” is met when the reply keeps to it. When you hesitate, it is not met."), element("ul", { class: "criteria" }, ...rows),
    element("label", {}, element("h3", {}, "Note"), note),
    element("div", { class: "pages" }, element("button", { type: "button", onclick: () => turnTo(number - 1) }, "← Previous"), element("button", { type: "button", onclick: () => turnTo(number + 1) }, "Next →")),
  );
  at = number;
  criterion = place;
  byId("count").textContent = `${samples.filter(isDone).length} of ${samples.length} samples done`;
}

/** Record the answer to the current criterion, and go to the next one that is open, in this sample or in the next. */
function answer(value) {
  const sample = samples[at];
  answers[keyOf(sample, sample.criteria[criterion])] = value;
  remember();
  if (criterion + 1 < sample.criteria.length) criterion += 1;
  else if (value && isDone(sample) && at + 1 < samples.length) return turnTo(at + 1);
  show();
  document.querySelector(".criteria .now")?.scrollIntoView({ block: "nearest" });
}

function turnTo(number) {
  const next = samples[Math.min(samples.length - 1, Math.max(0, number))];
  show(samples.indexOf(next), Math.max(0, next.criteria.findIndex((rubric) => !answers[keyOf(next, rubric)])));
  window.scrollTo(0, 0);
}

function cell(text) {
  const safe = text && STARTS.includes(text.replace(INVISIBLE, "")[0] ?? "none") ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}

function sheet() {
  const rows = samples.flatMap((sample) =>
    sample.criteria.map((rubric, place) => [sample.id, sample.response_id, rubric.id, rubric.text, answers[keyOf(sample, rubric)] ?? "", place ? "" : answers[keyOf(sample)] ?? ""]),
  );
  return "\ufeff" + [COLUMNS, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function save() {
  const text = sheet();
  const dialog = byId("sheet");
  dialog.querySelector("textarea").value = text.slice(1);
  if (window.origin === "null" && window.parent !== window) return dialog.showModal(); // a frame that may not save files
  const link = element("a", { download: `${document.body.dataset.run}_review.csv`, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  byId("count").textContent = `Saved ${link.download}. Next: make analyze RUN=${document.body.dataset.run} REVIEW_CSV=<that file>`;
}

const KEYS = { y: () => answer("yes"), n: () => answer("no"), u: () => answer(""), ArrowRight: () => turnTo(at + 1), j: () => turnTo(at + 1), k: () => turnTo(at - 1), ArrowLeft: () => turnTo(at - 1) };

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.target.blur?.();
  if (isTyping(event) || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
byId("export").addEventListener("click", save);
byId("sheet").querySelector("button").addEventListener("click", () => byId("sheet").close());

Promise.all([...document.querySelectorAll("script.chunk")].map(unpacked)).then((parts) => {
  samples = parts.flat();
  answers = { ...given(), ...remembered() };
  turnTo(Math.max(0, samples.findIndex((sample) => !isDone(sample))));
  document.body.dataset.ready = "yes";
});
