"use strict";
// The summary, and the samples with their filters, search and keys.

const BATCH = 200; // lines that are added to the list at a time
const SELECTS = {
  status: "Any status", reason: "Any reason", subject: "Any subject", kind: "Any kind", level: "Any level", origin: "Any origin",
  quality: "Any quality score", failed: "Any failed skill", near: "Near misses or not",
};
const ORDERS = { order: "In order", worst: "Lowest weighted score first", best: "Highest weighted score first" };
const chunks = [...document.querySelectorAll("script.chunk")];
const opened = new Map(); // number of a chunk -> its entries
const plain = new Map(); // number of a chunk -> what is searched of them
let lines = [];
let matching = []; // numbers of the lines that pass the filters and the search, in the chosen order
let found = null; // numbers of the lines whose texts hold what is searched; null when nothing is searched
let current = -1;
let search = 0; // number of the last search

const columnsOf = ({ columns, lines: rows }) => rows.map((row) => Object.fromEntries(columns.map((name, place) => [name, row[place]])));
const PER_CHUNK = 100; // entries

async function entriesOf(number) {
  if (!opened.has(number)) opened.set(number, unpacked(chunks[number]));
  return opened.get(number);
}

// ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function valuesOf(line, name) {
  const value = name === "near" ? (line.near ? "near miss" : "") : line[name];
  return (Array.isArray(value) ? value : [value]).filter((one) => one !== "" && one !== null).map(String);
}

function buildFilters() {
  for (const [name, any] of Object.entries(SELECTS)) {
    const counts = new Map();
    for (const line of lines) for (const value of valuesOf(line, name)) counts.set(value, (counts.get(value) ?? 0) + 1);
    if (!counts.size) continue;
    const options = [...counts].sort(([one], [two]) => one.localeCompare(two, undefined, { numeric: true }));
    const select = element("select", { name, "aria-label": any, onchange: filter }, element("option", { value: "" }, any));
    for (const [value, count] of options) select.append(element("option", { value }, `${value} (${count})`));
    byId("selects").append(select);
  }
  const orders = Object.entries(ORDERS).map(([value, text]) => element("option", { value }, text));
  byId("selects").append(element("select", { name: "order", "aria-label": "Order", onchange: filter }, ...orders));
  byId("search").addEventListener("input", searchTexts);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(searchTexts));
}

function filter() {
  const selects = [...byId("selects").querySelectorAll("select")];
  for (const select of selects) select.classList.toggle("set", Boolean(select.value) && select.value !== "order");
  const wanted = selects.filter((select) => select.name !== "order" && select.value);
  matching = [...lines.keys()].filter(
    (number) => (!found || found.has(number)) && wanted.every((select) => valuesOf(lines[number], select.name).includes(select.value)),
  );
  const order = selects.at(-1).value;
  if (order !== "order") {
    const score = (number) => lines[number].weighted ?? lines[number].quality;
    const sign = order === "worst" ? 1 : -1;
    const judged = matching.filter((number) => score(number) !== null);
    matching = judged.sort((one, two) => sign * (score(one) - score(two) || lines[one].quality - lines[two].quality));
  }
  byId("list").replaceChildren();
  extend();
  if (!matching.length) byId("list").append(element("li", { class: "soft" }, "Nothing is found. “Clear” shows all samples again."));
  if (!byId("samples").hidden && !matching.includes(current)) matching.length ? show(matching[0]) : byId("sample").replaceChildren();
  byId("count").textContent = `${matching.length.toLocaleString("en")} of ${lines.length.toLocaleString("en")}`;
  highlight();
}

async function searchTexts() {
  const mine = (search += 1);
  const wanted = byId("search").value.trim().toLowerCase();
  found = wanted ? new Set() : null;
  if (wanted) {
    for (const number of chunks.keys()) {
      const texts = await searchable(number);
      if (mine !== search) return; // another search has begun
      texts.forEach((text, place) => text.includes(wanted) && found.add(number * PER_CHUNK + place));
      byId("count").textContent = `searched ${Math.min(lines.length, (number + 1) * PER_CHUNK).toLocaleString("en")} of ${lines.length.toLocaleString("en")}`;
    }
  }
  filter();
}

/** Return the texts of a chunk's entries as they are searched, in small letters and without markup. */
async function searchable(number) {
  if (!plain.has(number)) {
    const entries = await entriesOf(number);
    plain.set(number, entries.map((entry, place) => {
      const line = lines[number * PER_CHUNK + place];
      const criteria = entry.verdicts.flatMap((row) => [row.criterion, row.why ?? ""]);
      const markup = [entry.question, entry.explanation, entry.follow_up, entry.response ?? ""].join(" ").replace(/<[^>]*>/g, "");
      const texts = markup.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&#x27;|&#39;/g, "'").replace(/&amp;/g, "&");
      return [line.id, line.title, line.subject, line.kind, entry.topic, entry.detail, texts, ...criteria].join("\n").toLowerCase();
    }));
  }
  return plain.get(number);
}

// ── the list ────────────────────────────────────────────────────────────────────────────────────────────────────────

function extend(until = 0) {
  const list = byId("list");
  const from = list.children.length;
  for (const number of matching.slice(from, Math.max(until + 1, from + BATCH))) {
    const line = lines[number];
    const status = line.status === "kept" ? "kept" : `${line.status}${line.reason ? `, ${line.reason}` : ""}`;
    const score = line.weighted === null ? "" : ` · ${line.weighted}`;
    const head = element("div", { class: "head" }, element("span", {}, line.id), element("span", { class: line.status.split(" ")[0] }, status + score));
    list.append(element("li", { "data-number": number, onclick: () => go(line.id) }, head, element("span", {}, line.title || "–")));
  }
}

function highlight() {
  byId("list").querySelector("[aria-current]")?.removeAttribute("aria-current");
  const place = matching.indexOf(current);
  if (place < 0) return;
  if (place >= byId("list").children.length) extend(place);
  const item = byId("list").children[place];
  item.setAttribute("aria-current", "true");
  item.scrollIntoView({ block: "nearest" });
}

function move(step) {
  if (!matching.length) return;
  const place = matching.indexOf(current);
  const next = place < 0 ? 0 : Math.min(matching.length - 1, Math.max(0, place + step));
  go(lines[matching[next]].id);
}

// ── one sample ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function show(number, isChosen = false) {
  current = number;
  highlight();
  const line = lines[number];
  const entry = (await entriesOf(Math.floor(number / PER_CHUNK)))[number % PER_CHUNK];
  if (current !== number) return;
  const scores = line.quality === null ? "" : `quality ${line.quality} of 5 · ${entry.critical} critical criteria met · weighted score ${line.weighted ?? "–"}`;
  const reply = entry.response === undefined ? null : turn("Tutor's reply", entry.response, "reply");
  const quotes = entry.verdicts.map((row) => (row.found ? row.quote : ""));
  if (reply) markQuotes(reply.querySelector(".body"), quotes);
  byId("sample").replaceChildren(
    element("a", { class: "back", href: "#samples" }, "← All samples"),
    element("h2", {}, line.id),
    element("p", { class: "soft" }, [line.subject, line.kind, line.level, entry.topic, line.origin].filter(Boolean).join(" · ")),
    element("p", {}, element("strong", { class: line.status.split(" ")[0] }, line.status), entry.detail ? `: ${entry.detail}` : line.reason ? `: ${line.reason}` : ""),
    entry.notice ? element("p", { class: "warning" }, entry.notice) : "",
    element("p", { class: "belief" }, line.title || "–"),
    turn("Question", entry.question), turn("First explanation", entry.explanation), turn("Student", entry.follow_up, "student"), reply ?? "",
    element("p", { class: "soft" }, scores), listed("Strengths", entry.strengths), listed("Weaknesses", entry.weaknesses),
    verdicts(entry.verdicts), twin(entry.twin), wrong(entry.wrong), ...(entry.planted ?? []).map(planted), lineage(entry.lineage),
  );
  byId("sample").scrollTop = 0;
  if (isChosen && window.innerWidth < 900) byId("sample").scrollIntoView(); // on a phone it stands below the list
}

const listed = (title, names) => (names?.length ? element("p", { class: "soft" }, `${title}: ${names.join(", ")}`) : "");

function verdicts(rows) {
  const items = rows.map((row, number) => {
    const met = row.met === undefined ? "" : row.met ? "✓ met" : "✗ not met";
    const badge = element("span", { class: `badge ${row.met ? "met" : row.met === false ? "failed" : ""}` }, [met, row.importance].filter(Boolean).join(" · "));
    const votes = row.votes ? ` Votes: ${row.votes.map((vote) => (vote ? "met" : "not met")).join(", ")}.` : "";
    return element("li", {}, badge, row.criterion, element("p", { class: "why" }, `${row.id} · ${row.skill}${row.why ? ` · ${row.why}` : ""}${votes}`), quote(row, number));
  });
  const failed = rows.filter((row) => row.met === false).length;
  const title = rows.some((row) => row.met !== undefined) ? `Criteria: ${failed} of ${rows.length} not met` : "Criteria";
  return element("section", {}, element("h3", {}, title), element("ul", { class: "verdicts" }, ...items));
}

function quote(row, number) {
  if (!row.quote) return "";
  const missing = row.found === false ? " (not found in the reply)" : "";
  const press = () => {
    for (const mark of document.querySelectorAll("mark")) mark.classList.toggle("now", mark.dataset.quotes.split(" ").includes(String(number)));
    document.querySelector("mark.now")?.scrollIntoView({ block: "center", behavior: "smooth" });
  };
  return element("button", { class: "quote", type: "button", onclick: press, title: "Show it in the reply" }, `“${row.quote}”${missing}`);
}

function diffOf(parts) {
  const tags = { "-1": "del", 0: "span", 1: "ins" };
  return element("div", { class: "diff" }, ...parts.map(([kind, text]) => element(tags[kind], {}, text)));
}

function folded(title, open, ...children) {
  return element("details", { open }, element("summary", {}, title), ...children);
}

function planted(copy) {
  const failed = copy.failed.length ? `the judge fails ${copy.failed.join(", ")}` : "the judge fails no criterion";
  const about = element("p", { class: "why" }, `${copy.fault}. Of the copy, ${failed}; quality ${copy.quality} of 5.`);
  return folded(`${copy.what}: ${copy.spoiling}`, true, about, diffOf(copy.diff));
}

function wrong(copy) {
  if (!copy) return "";
  const title = `Explanation made wrong on purpose: ${copy.caught ? "caught" : "not caught"} by the verifier`;
  return folded(title, false, element("p", { class: "why" }, copy.fault), diffOf(copy.diff));
}

function twin(other) {
  if (!other) return "";
  const link = element("a", { href: `#${other.id}` }, other.id);
  const title = other.is_near ? "Repaired from a near miss" : "Repaired later";
  return folded(title, true, element("p", { class: "why" }, other.is_near ? "The near miss: " : "The repaired sample: ", link), diffOf(other.diff));
}

function lineage(values) {
  const rows = Object.entries(values).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return folded("Where it comes from", false, element("dl", {}, ...rows));
}

// ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Make a link of each id that the summary names. */
function linkIds() {
  const known = new Set(lines.map((line) => line.id));
  for (const text of document.querySelectorAll(".told")) {
    const parts = text.textContent.split(/(\b\w+\b)/).map((part) => (known.has(part) ? element("a", { href: `#${part}` }, part) : part));
    text.replaceChildren(...parts);
  }
}

/** Open a sample, or "summary" or "samples". A frame that may only run scripts can't change the address, and opens it all the same. */
function go(name) {
  location.hash = name;
  if (decodeURIComponent(location.hash.slice(1)) !== name) route(name);
}

function route(name = decodeURIComponent(location.hash.slice(1))) {
  const number = lines.findIndex((line) => line.id === name);
  const isSample = name === "samples" || number >= 0;
  byId("summary").hidden = isSample;
  byId("samples").hidden = !isSample;
  byId(isSample ? "to-samples" : "to-summary").setAttribute("aria-current", "page");
  byId(isSample ? "to-summary" : "to-samples").removeAttribute("aria-current");
  if (number >= 0) show(number, true);
  else if (isSample) {
    window.scrollTo(0, 0);
    requestAnimationFrame(() => window.scrollTo(0, 0)); // the browser itself may scroll to an element that the hash names
    if (current < 0 && matching.length) show(matching[0]);
  }
}

const KEYS = { j: () => move(1), ArrowRight: () => move(1), k: () => move(-1), ArrowLeft: () => move(-1), s: () => go("summary") };

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.target.blur?.();
  if (isTyping(event)) return;
  if (event.key === "/") {
    event.preventDefault();
    if (byId("samples").hidden) go("samples");
    setTimeout(() => byId("search").focus());
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
byId("list").addEventListener("scroll", ({ target }) => target.scrollTop + target.clientHeight > target.scrollHeight - 600 && extend());
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  event.preventDefault();
  go(link.getAttribute("href").slice(1));
});
window.addEventListener("hashchange", () => route());

unpacked(byId("index")).then((index) => {
  lines = columnsOf(index);
  buildFilters();
  linkIds();
  filter();
  route();
  document.body.dataset.ready = "yes";
});
