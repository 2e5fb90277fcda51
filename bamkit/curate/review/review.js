"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns, total = columns.mid.length;
const by = (id) => document.getElementById(id);
const placeOf = new Map(columns.mid.map((mid, place) => [mid, place]));
const LABELS = { p: "positive", u: "unsure", n: "negative", "-": "–" };
const REASONS = ["wrong mood", "text or logo", "near-duplicate", "not a picture of its own", "offensive", "poor quality"];
const short = (attribute) => attribute.slice(attribute.indexOf("_") + 1).replaceAll("_", " ");
const number = (value) => value === null ? "–" : value.toFixed(2).replace("-", "−");
const element = (name, text = "", kind = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
};

// --- the log: rows [time, reviewer, mid, decision, split, reason], folded as bamkit select folds them ---

const store = `bamkit-review/${data.selection_id || data.name}`;
let log = [], queue = [], sending = false, stacks = new Map(), decided = new Map();
let reviewer = data.reviewer;
try { reviewer ||= localStorage.getItem("bamkit-reviewer") || ""; } catch { /* private windows keep nothing */ }
if (!data.served) try { log = JSON.parse(localStorage.getItem(store)) || []; } catch { log = []; }

function fold() {
  stacks = new Map();
  [...log, ...queue].forEach((row, at) => {
    const key = `${row[2]}/${row[1]}`;
    const stack = stacks.get(key) ?? stacks.set(key, []).get(key);
    if (row[3] === "undo") stack.pop();
    else stack.push({ at, who: row[1], mid: row[2], what: row[3], split: row[4], reason: row[5] });
  });
  decided = new Map();
  for (const stack of stacks.values()) {
    if (!stack.length) continue;
    const last = stack.at(-1);
    (decided.get(last.mid) ?? decided.set(last.mid, new Map()).get(last.mid)).set(last.who, last);
  }
}
const votes = (mid) => [...(decided.get(mid)?.values() ?? [])];
const mine = (mid) => decided.get(mid)?.get(reviewer);
const outcome = (vote) => vote.what === "move" ? vote.split : vote.what;
function disagree(mid) {
  const counts = new Map();
  for (const vote of votes(mid)) counts.set(outcome(vote), (counts.get(outcome(vote)) ?? 0) + 1);
  return counts.size > 0 && 2 * Math.max(...counts.values()) <= votes(mid).length;
}

function say(text, failed = false) {
  by("saved").textContent = text;
  by("saved").classList.toggle("failed", failed);
}

async function send() {
  if (sending) return;
  sending = true;
  while (queue.length) {
    const [, who, mid, decision, split, reason] = queue[0];
    try {
      const body = JSON.stringify({ reviewer: who, mid, decision, split, reason, since: log.length });
      const answer = await fetch("decisions", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const said = await answer.json();
      if (answer.status === 400) { say(`refused: ${said.error}`, true); queue.shift(); fold(); draw(); continue; }
      if (!answer.ok) throw new Error(said.error);
      queue.shift();
      log.push(...said.rows);
      if (!queue.length) say("saved");
    } catch (error) {
      say(`${queue.length} not saved: ${error instanceof TypeError ? "bamkit review does not answer" : error.message}`, true);
      await new Promise((wake) => setTimeout(wake, 2000));
    }
  }
  sending = false;
  fold();
  draw();
}

async function hear() {
  if (sending || document.hidden) return;
  try {
    const said = await (await fetch(`decisions/${log.length}`)).json();
    if (said.total < log.length && !sending) log = [];  // the file was replaced
    if (sending || said.since !== log.length || !said.rows.length) return;
    log.push(...said.rows);
    fold();
    draw();
  } catch { /* the next decision says that nobody answers */ }
}

async function record(mid, decision, split = "", reason = "") {
  if (!reviewer && !(await name())) return false;
  const row = [new Date().toISOString().slice(0, 19) + "Z", reviewer, mid, decision, split, reason];
  if (data.served) { queue.push(row); say("saving"); fold(); send(); return true; }
  log.push(row);
  try { localStorage.setItem(store, JSON.stringify(log)); say("kept in this browser: save decisions.csv"); }
  catch { say("kept until this page closes: save decisions.csv", true); }
  fold();
  return true;
}

function csv() {
  const cell = (value) => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
  const lines = log.map(([time, who, mid, what, split, reason]) =>
    [time, who, data.name, data.selection_id, mid, what, split, reason].map(cell).join(","));
  return ["time,reviewer,selection,selection_id,mid,decision,split,reason", ...lines, ""].join("\n");
}

// --- the grid: only the cells on the screen exist ---

let shown = [], here = 0, perRow = 1, size = 0, rowHeight = 0;
const cells = new Map(), grid = by("grid"), sheet = by("sheet"), form = by("filter");
const source = (place, large = false) => !columns.picture[place] ? "" :
  data.served ? `${large ? "large" : "small"}/${columns.mid[place]}` : data.pictures[place];

function passes(place) {
  const wanted = form.elements, mid = columns.mid[place], attribute = +wanted.attribute.value;
  const score = columns.scores[place][attribute];
  const state = wanted.state.value, own = mine(mid);
  return (!wanted.split.value || columns.split[place] === +wanted.split.value)
    && (!wanted.license.value || columns.license[place] === +wanted.license.value)
    && (!wanted.label.value || columns.labels[place][attribute] === wanted.label.value)
    && (wanted.low.value === "" || (score !== null && score >= +wanted.low.value))
    && (wanted.high.value === "" || (score !== null && score <= +wanted.high.value))
    && (!wanted.mid.value.trim() || String(mid).includes(wanted.mid.value.trim()))
    && (!state || (state === "open" && !own) || state === own?.what || (state === "torn" && disagree(mid))
      || (state === "near" && columns.near[place].length > 0) || (state === "lost" && !columns.picture[place]));
}

function choose() {
  const kept = shown[here];
  shown = [...columns.mid.keys()].filter(passes);
  const order = form.elements.order.value, attribute = +form.elements.attribute.value;
  if (order !== "rank") {
    const value = (place) => columns.scores[place][attribute] ?? -Infinity;
    shown.sort((a, b) => (order === "best" ? value(b) - value(a) : value(a) - value(b)) || a - b);
  }
  here = Math.max(0, shown.indexOf(kept));
  by("filtered").textContent = shown.length === total ? "" : `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")} shown`;
  by("none").hidden = shown.length > 0;
  layout();
  reveal();
}

function layout() {
  const wide = grid.clientWidth - 16, cell = parseFloat(getComputedStyle(document.documentElement).fontSize)
    * parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--cell"));
  perRow = Math.max(2, Math.floor(wide / cell));
  size = wide / perRow;
  rowHeight = size + 20;
  sheet.style.height = `${Math.ceil(shown.length / perRow) * rowHeight}px`;
  cells.forEach((made) => made.remove());
  cells.clear();
  draw();
}

function draw() {
  const first = Math.max(0, Math.floor(grid.scrollTop / rowHeight) - 1) * perRow;
  const last = Math.min(shown.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight) + 1) * perRow);
  cells.forEach((made, at) => { if (at < first || at >= last) { made.remove(); cells.delete(at); } });
  for (let at = first; at < last; at++) {
    if (!cells.has(at)) { cells.set(at, cell(at)); sheet.append(cells.get(at)); }
    mark(at);
  }
  const done = columns.mid.reduce((sum, mid) => sum + (mine(mid) ? 1 : 0), 0);
  by("progress").max = total;
  by("progress").value = done;
  by("count").textContent = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} decided`;
  if (by("large").open) enlarge();
}

function cell(at) {
  const place = shown[at], made = element("div", "", "cell"), frame = element("div", "", "frame");
  made.setAttribute("role", "option");
  made.setAttribute("aria-posinset", at + 1);
  made.setAttribute("aria-setsize", shown.length);
  made.id = `cell-${at}`;
  Object.assign(made.style, { width: `${size}px`, height: `${rowHeight - 2}px`, left: `${(at % perRow) * size}px`, top: `${Math.floor(at / perRow) * rowHeight}px` });
  if (columns.picture[place]) {
    const picture = element("img");
    picture.alt = "";
    picture.decoding = "async";
    picture.src = source(place);
    frame.append(picture);
  } else frame.append(element("span", columns.lost[place] || "not fetched"));
  frame.append(element("span", "", "badge"), element("span", "", "others"));
  const split = data.splits[columns.split[place]];
  made.append(frame, element("small", `${columns.rank[place].toLocaleString("en")} · ${number(columns.score[place])}${split === "train" ? "" : ` · ${split}`}`));
  made.addEventListener("click", () => { go(at); });
  made.addEventListener("dblclick", () => { go(at); open(); });
  return made;
}

function mark(at) {
  const made = cells.get(at), place = shown[at], mid = columns.mid[place], own = mine(mid), others = votes(mid).filter((vote) => vote !== own);
  made.className = `cell ${own?.what ?? ""} ${at === here ? "here" : ""}`;
  made.setAttribute("aria-selected", at === here);
  made.querySelector(".badge").textContent = own ? { keep: "✓", drop: "✕", move: `→ ${own.split}` }[own.what] : "";
  made.querySelector(".badge").hidden = !own;
  made.querySelector(".others").textContent = others.length ? (disagree(mid) ? `≠ ${others.length}` : `+${others.length}`) : "";
  made.querySelector(".others").hidden = !others.length;
  made.setAttribute("aria-label", `rank ${columns.rank[place]}, mid ${mid}, ${own ? outcome(own) : "undecided"}`);
}

function reveal() {
  const top = Math.floor(here / perRow) * rowHeight;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + rowHeight > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + rowHeight - grid.clientHeight + 8;
  if (shown.length) grid.setAttribute("aria-activedescendant", `cell-${here}`);
  else grid.removeAttribute("aria-activedescendant");
  draw();
}

function go(to) {
  if (!shown.length) return;
  here = Math.min(shown.length - 1, Math.max(0, to));
  reveal();
}

// --- one picture large ---

function enlarge() {
  if (!shown.length) return;
  const place = shown[here], mid = columns.mid[place], picture = by("picture"), from = source(place, true);
  if (picture.getAttribute("src") !== from) {
    if (from) picture.src = from; else picture.removeAttribute("src");
    picture.alt = `rank ${columns.rank[place]}, mid ${mid}`;
  }
  by("lost").textContent = from ? "" : `No picture here: ${columns.lost[place] || "not fetched"}`;
  by("name").textContent = `Rank ${columns.rank[place].toLocaleString("en")} · ${data.splits[columns.split[place]]}`;
  by("facts").textContent = [`mid ${mid}`, `score ${number(columns.score[place])}`, data.licenses[columns.license[place]],
    columns.mature[place] ? "mature" : "", columns.project[place] === null ? "" : `project ${columns.project[place]}`].filter(Boolean).join(" · ");
  by("votes").replaceChildren(...votes(mid).map((vote) => element("li",
    `${vote.who}: ${vote.what === "move" ? `move to ${vote.split}` : vote.what}${vote.reason ? ` (${vote.reason})` : ""}`, vote.what)));
  by("twins").replaceChildren(...(columns.near[place].length ? [element("h3", "Near-duplicates here")] : []),
    ...columns.near[place].map((other) => {
      const button = element("button"), small = element("img");
      small.src = source(other);
      small.alt = "";
      button.append(small, `${columns.rank[other].toLocaleString("en")} ${data.splits[columns.split[other]]}`);
      button.setAttribute("aria-label", `near-duplicate, rank ${columns.rank[other]}`);
      button.addEventListener("click", () => {
        if (!shown.includes(other)) { form.reset(); choose(); }
        go(shown.indexOf(other));
      });
      return button;
    }));
  by("scores").replaceChildren(...data.attributes.map((attribute, at) => {
    const row = element("tr", "", attribute === data.attribute ? "ranked" : "");
    row.append(element("td", short(attribute)), element("td", LABELS[columns.labels[place][at]]), element("td", number(columns.scores[place][at]), "number"));
    return row;
  }));
}

function open() {
  if (!shown.length) return;
  enlarge();
  if (!by("large").open) by("large").showModal();
}

// --- what one can do ---

function ask(question, value, usual = []) {
  const dialog = by("ask"), answer = by("answer");
  by("question").textContent = question;
  by("usual").replaceChildren(...usual.map((text) => Object.assign(element("option"), { value: text })));
  answer.value = value;
  dialog.returnValue = "";
  dialog.showModal();
  answer.select();
  return new Promise((tell) => dialog.addEventListener("close", () => tell(dialog.returnValue === "ok" ? answer.value.trim() : null), { once: true }));
}

async function name() {
  const answer = await ask("Your name, as the decisions will have it:", reviewer);
  if (!answer) return false;
  reviewer = answer.slice(0, 64);
  try { localStorage.setItem("bamkit-reviewer", reviewer); } catch { /* private windows keep nothing */ }
  by("who").textContent = reviewer;
  fold();
  draw();
  return true;
}

async function decide(what, split = "") {
  if (!shown.length) return;
  const at = here, place = shown[at];
  if (!(await record(columns.mid[place], what, split))) return;
  by("told").textContent = `rank ${columns.rank[place]}: ${what === "move" ? `to ${split}` : what}`;
  if (here === at) go(at + 1);
  draw();
}

async function undo() {
  let last = null;
  for (const stack of stacks.values()) for (const one of stack) if (one.who === reviewer && placeOf.has(one.mid) && (!last || one.at > last.at)) last = one;
  // What an earlier round dropped is not on the page any more, and stays as it is.
  if (!last) { by("told").textContent = "nothing to undo"; return; }
  await record(last.mid, "undo");
  const place = placeOf.get(last.mid);
  by("told").textContent = `taken back: ${last.what}${place === undefined ? "" : `, rank ${columns.rank[place]}`}`;
  if (shown.includes(place)) go(shown.indexOf(place));
  draw();
}

async function reason() {
  if (!shown.length) return;
  const place = shown[here], mid = columns.mid[place], own = mine(mid);
  if (!own) { by("told").textContent = "decide first: K keeps, D drops"; return; }
  const text = await ask(`Why ${own.what === "move" ? `move to ${own.split}` : own.what}?`, own.reason, REASONS);
  if (text === null) return;
  await record(mid, own.what, own.split, text);
  by("told").textContent = `rank ${columns.rank[place]}: ${own.what}, ${text}`;
  draw();
}

function next() {
  for (let step = 1; step <= shown.length; step++) {
    const at = (here + step) % shown.length;
    if (!mine(columns.mid[shown[at]])) return go(at);
  }
  by("told").textContent = "you have decided on all of these";
}

const ACTIONS = {
  keep: () => decide("keep"), drop: () => decide("drop"), undo, reason, open, close: () => by("large").close(),
  before: () => go(here - 1), after: () => go(here + 1),
};
const page = () => perRow * Math.max(1, Math.floor(grid.clientHeight / rowHeight) - 1);
const KEYS = {
  ArrowLeft: () => go(here - 1), ArrowRight: () => go(here + 1),
  ArrowUp: () => go(here < perRow ? here : here - perRow), ArrowDown: () => go(here + perRow < shown.length ? here + perRow : here),
  PageUp: () => go(here - page()), PageDown: () => go(here + page()), Home: () => go(0), End: () => go(shown.length - 1),
  k: ACTIONS.keep, d: ACTIONS.drop, u: undo, r: reason, n: next, Enter: () => by("large").open ? by("large").close() : open(),
  f: () => { by("large").close(); by("filters").open = true; form.elements.state.focus(); }, "?": () => by("help").showModal(),
};
data.splits.forEach((split, at) => { KEYS[String(at + 1)] = () => decide("move", split); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || by("ask").open || by("help").open) return;
  const target = event.target, typing = target.closest("input, select, textarea, summary");
  if (typing && event.key === "Escape") { target.blur(); grid.focus(); return; }
  if (typing || (target.closest("button") && ["Enter", " "].includes(event.key))) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) ACTIONS[button.dataset.do]();
});
for (const select of document.querySelectorAll("select[data-move]")) {
  select.append(Object.assign(element("option", "move to …"), { value: "" }));
  data.splits.forEach((split, at) => select.append(Object.assign(element("option", `${split} (${at + 1})`), { value: split })));
  select.addEventListener("change", () => { const split = select.value; select.value = ""; select.blur(); decide("move", split); });
}
by("who").addEventListener("click", name);
by("keys").addEventListener("click", () => by("help").showModal());
by("save").addEventListener("click", () => {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
by("large").addEventListener("close", () => grid.focus());
form.addEventListener("input", choose);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(() => { form.elements.attribute.value = ranked; choose(); }));
grid.addEventListener("scroll", draw, { passive: true });
new ResizeObserver(() => { layout(); reveal(); }).observe(grid);
addEventListener("beforeunload", (event) => { if (queue.length) event.preventDefault(); });

const option = (select, value, text) => select.append(Object.assign(element("option", text), { value }));
const ranked = String(Math.max(0, data.attributes.indexOf(data.attribute)));
data.splits.forEach((split, at) => { option(form.elements.split, at, split); });
data.licenses.forEach((text, at) => option(form.elements.license, at, text));
data.attributes.forEach((attribute, at) => option(form.elements.attribute, at, short(attribute)));
form.elements.attribute.value = ranked;
by("title").textContent = `Review of ${data.name}`;
by("who").textContent = reviewer || "your name?";
by("save").hidden = data.served;
by("filters").open = innerWidth > 736;
fold();
choose();
grid.focus();
if (data.served) { hear(); setInterval(hear, 3000); }
