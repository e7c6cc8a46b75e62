"use strict";
// What both modes of the page share. Text is inserted as text, and only the kit's own rendering of Markdown is inserted as markup.

const MOST_BRACES = 500; // in a formula; more are an attack on the browser
const byId = (id) => document.getElementById(id);

/** Return an element with these attributes and children. A child that is no element becomes text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Return the value that a packed script holds. */
async function unpacked(script) {
  const bytes = Uint8Array.from(atob(script.textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** Return one turn of an exchange, rendered as a student would see it. */
function turn(title, markup, name = "") {
  const made = element("section", { class: `turn ${name}` }, element("h3", {}, title));
  const body = element("div", { class: "body" });
  body.innerHTML = markup;
  for (const formula of body.querySelectorAll(".tex")) typeset(formula);
  made.append(body);
  return made;
}

/** Typeset a formula. One that KaTeX can't, or should not, typeset stays as its LaTeX. */
function typeset(formula) {
  const tex = formula.textContent;
  formula.dataset.tex = tex;
  if (typeof katex === "undefined" || tex.split("{").length > MOST_BRACES) return;
  const displayMode = formula.classList.contains("display");
  try {
    katex.render(tex, formula, { output: "mathml", throwOnError: false, trust: false, maxSize: 20, maxExpand: 200, displayMode });
  } catch {
    formula.textContent = tex; // a macro that calls itself exhausts the stack
  }
}

// ── quotes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Return the letters and digits of a text, each with the place it comes from. Nothing else counts when a quote is looked up. */
function letters(text) {
  const found = [];
  let place = 0;
  for (const sign of text) {
    for (const letter of sign.normalize("NFKC").toLowerCase()) if (/[\p{L}\p{N}]/u.test(letter)) found.push([letter, place]);
    place += sign.length;
  }
  return found;
}

/** Mark in `root` where each quote stands. A mark names its quotes by their numbers in `data-quotes`. */
function markQuotes(root, quotes) {
  const places = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) => {
    if (node.nodeType === Node.TEXT_NODE) return NodeFilter.FILTER_ACCEPT;
    if (!node.classList.contains("tex")) return NodeFilter.FILTER_SKIP;
    for (const [letter] of letters(node.dataset.tex)) places.push({ letter, node });
    return NodeFilter.FILTER_REJECT;
  });
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const [letter, offset] of letters(node.data)) places.push({ letter, node, offset });
  }
  const text = places.map((place) => place.letter).join("");
  quotes.forEach((quote, number) => {
    let from = 0;
    for (const piece of (quote || "").split(/[[(<]?(?:\.(?: ?\.){2,}|…)[\])>]?/)) {
      const wanted = letters(piece).map(([letter]) => letter).join("");
      const start = wanted ? text.indexOf(wanted, from) : -1;
      if (start < 0) continue;
      for (const place of places.slice(start, (from = start + wanted.length))) (place.quotes ??= []).push(number);
    }
  });
  for (const node of new Set(places.filter((place) => place.quotes).map((place) => place.node))) {
    const own = places.filter((place) => place.node === node && place.quotes);
    if (node.nodeType === Node.TEXT_NODE) wrap(node, own);
    else node.replaceWith(element("mark", { "data-quotes": own[0].quotes.join(" ") }, node.cloneNode(true)));
  }
}

/** Put marks around the places of a text node, from its end to its beginning. Neighbours of the same quotes share a mark. */
function wrap(node, places) {
  for (let last = places.length - 1; last >= 0; ) {
    const quotes = places[last].quotes.join(" ");
    let first = last;
    while (first > 0 && places[first - 1].quotes.join(" ") === quotes) first -= 1;
    const range = document.createRange();
    range.setStart(node, places[first].offset);
    range.setEnd(node, Math.min(node.length, places[last].offset + 1));
    range.surroundContents(element("mark", { "data-quotes": quotes }));
    last = first - 1;
  }
}

/** Return whether a key belongs to a field that is being filled in. */
const isTyping = (event) => event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
