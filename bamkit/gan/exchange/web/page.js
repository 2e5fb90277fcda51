"use strict";
// The page: what is chosen, what is shown. The work is done by worker.js, in a thread that Cancel ends.

const about = JSON.parse(document.getElementById("about").textContent);
const at = (id) => document.getElementById(id);
const parts = {}; // what the files beside this page gave: {name: {id, content}}
self.bamkit = { part: (name, id, content) => (parts[name] = { id, content }) };

let worker = null; // null: none is started, or the last one was ended
let busy = 0; // counts translations: an answer of an earlier one is of no use
let chosen = null; // the File
let asked = null; // how the picture that is being translated was asked for, and how long it takes
let shown = []; // addresses of the pictures on the page
let clock = 0;
const pace = {}; // direction -> seconds a pixel, once it was measured

const direction = () => about.directions.find(({ name }) => at(`to-${name}`).checked);
const wanted = () => ({
  name: direction().name,
  shorter: Number(at("size").value),
  strength: direction().strength ? Number(at("strength").value) : null,
});

// --- what can be chosen ---

function offer() {
  about.directions.forEach(({ name }, i) => {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "direction", id: `to-${name}` });
    input.checked = i === 0;
    const label = document.createElement("label");
    label.append(input, ` ${name.replaceAll("-", " ")}`);
    at("directions").append(label);
  });
  const usual = [128, 256, 512, 1024].filter((side) => side !== about.trained);
  const sizes = [...usual, about.trained].filter((side) => side && side * side <= about.limit).sort((a, b) => a - b);
  for (const side of [0, ...sizes]) {
    const text = side ? `${side} pixels${side === about.trained ? ", as in training" : ""}` : "as it is";
    at("size").append(new Option(text, side));
  }
  offerStrength();
}

function offerStrength() {
  at("dose").hidden = !direction().strength;
  at("dosed").textContent = at("strength").value;
}

// --- one translation ---

async function translate() {
  if (!chosen) return;
  if (clock) end();
  const run = ++busy;
  const { name, origin, weights } = direction();
  const how = wanted();
  say("Loading the network …");
  at("wrong").hidden = true;
  begin(null);
  try {
    const model = await part(`${name}.onnx.js`, name, weights);
    const runtime = await part("onnxruntime-web.js", "onnxruntime-web", about.runtime);
    if (run !== busy) return; // from here on nothing waits: a worker never hears of two translations at once
    asked = how;
    worker ??= startedWorker(runtime);
    if (worker.holds !== name) worker.postMessage({ network: { model } });
    worker.holds = name;
    worker.postMessage({
      ...{ picture: chosen, shorter: how.shorter, strength: how.strength },
      ...{ multiple: about.multiple, least: about.least, limit: about.limit },
      texts: { Software: about.software, bamkit: { ...about.origin, ...origin }, "XML:com.adobe.xmp": about.mark },
    });
  } catch (error) {
    if (run === busy) fail(error.message);
  }
}

function startedWorker(runtime) {
  const address = URL.createObjectURL(new Blob([at("work").textContent], { type: "text/javascript" }));
  const made = new Worker(address);
  made.onerror = (event) => made === worker && fail(`The translation failed: ${event.message || "the browser ended it"}`);
  made.onmessage = ({ data }) => made === worker && heard(data);
  made.postMessage({ start: runtime });
  return made;
}

function heard(data) {
  if (data.wrong) return fail(data.wrong);
  if (data.step === "translating") {
    say(`Translating ${data.width} × ${data.height} pixels …`);
    begin(pace[asked.name] ? pace[asked.name] * data.width * data.height : null);
    asked.since = performance.now();
  } else if (data.step === "encoding") {
    asked.took = (performance.now() - asked.since) / 1000;
    pace[asked.name] = asked.took / (data.width * data.height);
  } else if (data.done) {
    show(data);
  }
}

// Another file of this folder, as a script: from a disk a page may not read files in any other way.
function part(file, name, id) {
  const found = () => {
    if (!parts[name] || parts[name].id !== id) throw new Error(`${file} does not belong to this page: export the run again.`);
    return parts[name].content;
  };
  if (parts[name]) return Promise.resolve().then(found);
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: encodeURIComponent(file) });
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${file} could not be read: it must lie beside this page.`));
    document.head.append(script);
  }).then(found);
}

// --- what is seen of it ---

function say(text) {
  at("told").textContent = text;
}

// `seconds`: how long it should take, where that is known.
function begin(seconds) {
  clearInterval(clock);
  at("busy").hidden = false;
  const since = performance.now();
  const tick = () => {
    const gone = (performance.now() - since) / 1000;
    at("clock").textContent = `${gone.toFixed(0)} s${seconds ? ` of about ${Math.max(1, seconds).toFixed(0)} s` : ""}`;
    if (seconds) at("bar").value = Math.min(0.98, gone / seconds);
    else at("bar").removeAttribute("value");
  };
  tick();
  clock = setInterval(tick, 250);
}

function rest() {
  clearInterval(clock);
  clock = 0;
  at("busy").hidden = true;
}

// End what is running, with its thread: a network cannot be stopped in any other way.
function end() {
  busy++;
  if (worker) worker.terminate();
  worker = null;
  rest();
}

function fail(text) {
  end();
  say("");
  at("wrong").textContent = text;
  at("wrong").hidden = false;
}

function show({ done, width, height, own }) {
  const { name, shorter, strength, took } = asked;
  rest();
  shown.forEach(URL.revokeObjectURL);
  shown = [chosen, done].map((file) => URL.createObjectURL(file));
  [at("before").src, at("after").src] = shown;
  const facts = [name.replaceAll("-", " "), `${width} × ${height} pixels`, `${took.toFixed(1)} s`];
  if (strength !== null) facts.splice(1, 0, `strength ${strength}`);
  const least = Math.min(width, height);
  if (least < (shorter || Math.min(...own))) facts.push(`shrunk from ${own.join(" × ")} to what this page holds`);
  at("facts").textContent = `${facts.join(" · ")}.`;
  const stem = (chosen.name || "picture").replace(/\.[^.]*$/, "");
  const words = [stem, about.run, name, ...(strength === null ? [] : [`strength-${strength}`])];
  Object.assign(at("save"), { href: shown[1], download: `${words.join("_")}.png` });
  at("result").hidden = false;
  reveal();
  say("Done.");
}

function reveal() {
  at("pair").style.setProperty("--shown", `${at("reveal").value}%`);
}

// --- what a person does ---

function take(files) {
  const picture = [...files].find(({ type }) => !type || type.startsWith("image/"));
  if (!picture) return files.length ? fail("This file is no picture.") : undefined;
  chosen = picture;
  return translate();
}

function listen() {
  at("file").addEventListener("click", () => (at("file").value = "")); // so that the same file can be chosen again
  at("file").addEventListener("change", () => take(at("file").files));
  at("choices").addEventListener("submit", (event) => event.preventDefault());
  at("choices").addEventListener("change", () => {
    offerStrength();
    translate();
  });
  at("strength").addEventListener("input", offerStrength);
  at("reveal").addEventListener("input", reveal);
  at("cancel").addEventListener("click", cancel);
  document.addEventListener("keydown", (event) => event.key === "Escape" && clock && cancel());
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", over);
      if (name === "drop") take(event.dataTransfer.files);
    });
  }
}

function cancel() {
  end();
  say("Cancelled.");
  at("file").focus();
}

const NEEDED = ["Worker", "WebAssembly", "OffscreenCanvas", "DecompressionStream", "createImageBitmap"];
if (NEEDED.every((name) => name in self)) {
  offer();
  listen();
} else {
  fail("This browser is too old for this page: it takes Chrome or Edge 91, Firefox 114, Safari 16.4, or newer.");
  at("file").disabled = true;
}
