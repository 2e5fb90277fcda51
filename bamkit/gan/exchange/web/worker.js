"use strict";
// The work, in a thread of its own: decode, resize, pad, run the network, crop, encode. Nothing here asks a network.
// Messages in: {start: {script, wasm}}, {network: {model}}, {picture: File, ...}. Out: {step} while it works, then
// {done: ...} or {wrong: text}.

let ort = null;
let session = null;

let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data)).catch((error) => postMessage({ wrong: explained(error) }));
};

function answer(data) {
  if (data.start) return start(data.start);
  return data.network ? load(data.network) : translate(data);
}

function explained(error) {
  if (error instanceof Told) return error.message;
  const text = String((error && error.message) || error);
  if (error instanceof RangeError || /alloc|out of memory|out of bounds|memory access/i.test(text)) {
    return "The browser has too little memory for this picture at this size: choose a smaller one.";
  }
  return `The translation failed: ${text}`;
}

class Told extends Error {} // its message is for the reader of the page

// --- the runtime and the network ---

async function start({ script, wasm }) {
  const address = URL.createObjectURL(new Blob([await unzipped(script)], { type: "text/javascript" }));
  ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.wasmBinary = await unzipped(wasm);
  ort.env.wasm.numThreads = 1;
}

async function load({ model }) {
  if (session) await session.release();
  session = await ort.InferenceSession.create(bytesOf(model), { executionProviders: ["wasm"] });
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unzipped(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// --- one picture ---

async function translate({ picture, shorter, strength, multiple, least, limit, texts }) {
  let { rgb, alpha, width, height } = await decoded(picture);
  const own = [width, height];
  [width, height] = chosenSize(own, shorter, (w, h) => padded(w, multiple, least) * padded(h, multiple, least) <= limit);
  rgb = resized(rgb, 3, own, [width, height]);
  alpha = alpha && resized(alpha, 1, own, [width, height]);
  postMessage({ step: "translating", width, height });
  const made = await run(rgb, width, height, multiple, least, strength);
  postMessage({ step: "encoding", width, height });
  const file = await png(made, alpha, width, height, { ...texts, bamkit: about(texts.bamkit, width, height, own, strength) });
  postMessage({ done: file, width, height, own });
}

function about(facts, width, height, own, strength) {
  const size = width === own[0] && height === own[1] ? 0 : Math.min(width, height);
  return JSON.stringify({ ...facts, size, ...(strength === null ? {} : { strength }) });
}

// Upright, in sRGB, transparent parts laid on white; and the alpha of a picture that is not opaque.
async function decoded(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new Told("This file is no picture that this browser can read.");
  }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  if (!context) throw new Told(`A picture of ${width} × ${height} pixels is more than this browser can draw.`);
  const pixels = () => context.getImageData(0, 0, width, height).data;
  context.drawImage(bitmap, 0, 0);
  let data = pixels();
  let alpha = new Uint8Array(width * height);
  for (let i = 0; i < alpha.length; i++) alpha[i] = data[4 * i + 3];
  if (alpha.every((value) => value === 255)) {
    alpha = null;
  } else {
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    data = pixels();
  }
  bitmap.close();
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0, j = 0; j < rgb.length; i += 4, j += 3) {
    rgb[j] = data[i];
    rgb[j + 1] = data[i + 1];
    rgb[j + 2] = data[i + 2];
  }
  return { rgb, alpha, width, height };
}

// The size at which a picture is translated: its shorter side as chosen (0: its own), smaller where that does not fit.
function chosenSize([width, height], shorter, fits) {
  const least = Math.min(width, height);
  const at = (side) => [width, height].map((length) => Math.max(1, nearest((length * side) / least)));
  let side = shorter || least;
  while (side > 1 && !fits(...at(side))) side = Math.min(side - 1, Math.floor(side * 0.99));
  return at(side);
}

// Halves to the even neighbour, as Python rounds.
function nearest(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

function padded(length, multiple, least) {
  return Math.max(least, Math.ceil(length / multiple) * multiple);
}

async function run(rgb, width, height, multiple, least, strength) {
  const [wide, high] = [padded(width, multiple, least), padded(height, multiple, least)];
  const [columns, rows] = [mirrored(width, wide), mirrored(height, high)];
  const plane = wide * high;
  const input = new Float32Array(3 * plane);
  for (let y = 0, to = 0; y < high; y++) {
    for (let x = 0; x < wide; x++, to++) {
      const from = 3 * (rows[y] * width + columns[x]);
      for (let c = 0; c < 3; c++) input[c * plane + to] = rgb[from + c] / 127.5 - 1;
    }
  }
  const feeds = { picture: new ort.Tensor("float32", input, [1, 3, high, wide]) };
  if (strength !== null) feeds.strength = new ort.Tensor("float32", new Float32Array([strength]), [1]);
  const { translated } = await session.run(feeds);
  const output = await translated.getData();
  const made = new Uint8ClampedArray(3 * width * height); // rounds to the nearest, halves to even
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      for (let c = 0; c < 3; c++) made[to + c] = (output[c * plane + y * wide + x] + 1) * 127.5;
    }
  }
  translated.dispose();
  return made;
}

// Which pixel of `length` stands at each of `wanted` places, reflected at the end as often as it takes.
function mirrored(length, wanted) {
  const period = Math.max(1, 2 * (length - 1));
  return Int32Array.from({ length: wanted }, (_, i) => Math.min(i % period, period - (i % period)) % length);
}
