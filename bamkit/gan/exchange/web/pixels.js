// Resizing and PNG, as bamkit translate has them: the same pixels, the same words in the file.

// --- Pillow's bicubic filter (a = -1/2, widened when shrinking), with its 22-bit weights: bytes in, the same bytes out ---

const WEIGHT_BITS = 22;

function resized(pixels, channels, [width, height], [newWidth, newHeight]) {
  let data = pixels;
  if (newWidth !== width) data = filtered(data, channels, height, weightsOf(width, newWidth), width, newWidth, true);
  if (newHeight !== height) data = filtered(data, channels, newWidth, weightsOf(height, newHeight), height, newHeight, false);
  return data;
}

function cubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

function weightsOf(length, newLength) {
  const scale = length / newLength;
  const wide = Math.max(1, scale);
  return Array.from({ length: newLength }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * wide + 0.5));
    const last = Math.min(length, Math.trunc(centre + 2 * wide + 0.5));
    const raw = Array.from({ length: last - first }, (_, j) => cubic((j + first - centre + 0.5) / wide));
    const sum = raw.reduce((a, b) => a + b, 0);
    const weights = raw.map((w) => Math.trunc((w / sum) * 2 ** WEIGHT_BITS + (w < 0 ? -0.5 : 0.5)));
    return { first, weights };
  });
}

// Along rows (`across`) or along columns; `lines`: how many of the other kind there are.
function filtered(data, channels, lines, places, length, newLength, across) {
  const out = new Uint8ClampedArray(channels * lines * newLength);
  const [step, stride] = across ? [channels, channels * length] : [channels * lines, channels];
  const [newStep, newStride] = across ? [channels, channels * newLength] : [channels * lines, channels];
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < newLength; i++) {
      const { first, weights } = places[i];
      for (let c = 0; c < channels; c++) {
        let sum = 2 ** (WEIGHT_BITS - 1);
        let at = line * stride + first * step + c;
        for (let j = 0; j < weights.length; j++, at += step) sum += data[at] * weights[j];
        out[line * newStride + i * newStep + c] = Math.floor(sum / 2 ** WEIGHT_BITS);
      }
    }
  }
  return out;
}

// --- PNG (W3C PNG, third edition): colour type 2 or 6, Paeth's filter on every row, texts as iTXt ---

async function png(rgb, alpha, width, height, texts) {
  const channels = alpha ? 4 : 3;
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  header.setUint8(9, alpha ? 6 : 2);
  const rows = predicted(alpha ? withAlpha(rgb, alpha) : rgb, channels, width, height);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Blob(
    [
      new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]),
      chunk("IHDR", new Uint8Array(header.buffer)),
      ...Object.entries(texts).map(([keyword, text]) => chunk("iTXt", new TextEncoder().encode(`${keyword}\0\0\0\0\0${text}`))),
      chunk("IDAT", new Uint8Array(await new Response(packed).arrayBuffer())),
      chunk("IEND", new Uint8Array()),
    ],
    { type: "image/png" },
  );
}

function withAlpha(rgb, alpha) {
  const rgba = new Uint8Array(4 * alpha.length);
  for (let i = 0; i < alpha.length; i++) {
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = rgb[3 * i + c];
    rgba[4 * i + 3] = alpha[i];
  }
  return rgba;
}

function predicted(data, channels, width, height) {
  const stride = channels * width;
  const rows = new Uint8Array(height * (stride + 1));
  for (let y = 0, at = 0, to = 0; y < height; y++) {
    rows[to++] = 4;
    for (let x = 0; x < stride; x++, at++, to++) {
      const left = x < channels ? 0 : data[at - channels];
      const above = y ? data[at - stride] : 0;
      const corner = y && x >= channels ? data[at - stride - channels] : 0;
      const a = Math.abs(above - corner);
      const b = Math.abs(left - corner);
      const c = Math.abs(left + above - 2 * corner);
      rows[to] = data[at] - (a <= b && a <= c ? left : b <= c ? above : corner);
    }
  }
  return rows;
}

function chunk(type, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) sum = CRC[(sum ^ bytes[i]) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}
