// Packs: squares of 4 x 4 tiles of one level in one compressed file, as render/explorer/packs.py writes them; and which
// of them there are.

import { fixed } from "./place.js";

const SAMPLES = 32 * 32;
const HEADER_BYTES = 120; // of a tile as the page takes it: see live.py
const COMPLETE_VERSION = 6;
const PLANE_BITS = 480n; // as place.js counts
const PACK_BITS = 2n; // of a tile's index: its place in the pack

/** Put the bytes of numbers back together: all first bytes come first, then all second ones. */
function joined(bytes, at, count) {
  const numbers = new Uint8Array(4 * count);
  for (let k = 0; k < 4; k++) {
    const plane = bytes.subarray(at + k * count, at + (k + 1) * count);
    for (let i = 0; i < count; i++) numbers[4 * i + k] = plane[i];
  }
  return numbers.buffer;
}

/** Read a pack: its tiles as { level, ix, iy, signed, loss, escape, status }, indices as BigInt. channel: which of them. */
export async function unpacked(response, { level, x, y }, channel) {
  const stream = response.body.pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = bytes[0];
  const n = count * SAMPLES;
  let at = 1 + 2 * count;
  const status = bytes.subarray(at, at + n);
  at += n;
  const escape = new Int32Array(joined(bytes, at, n));
  const loss = new Float32Array(joined(bytes, at + 4 * n, n));
  const signed = new Float32Array(joined(bytes, at + 4 * n * (2 + channel), n));
  return Array.from({ length: count }, (_, i) => {
    const part = (array) => array.subarray(i * SAMPLES, (i + 1) * SAMPLES);
    const [column, row] = [bytes[1 + 2 * i], bytes[2 + 2 * i]];
    return {
      level, ix: (x << PACK_BITS) + BigInt(column), iy: (y << PACK_BITS) + BigInt(row),
      status: part(status), escape: part(escape), loss: part(loss), signed: part(signed),
    };
  });
}

/** A tile's bytes as the explorer's server sends them. */
export function asSent({ level, ix, iy, signed, loss, escape, status }, serial) {
  const buffer = new ArrayBuffer(HEADER_BYTES + 21 * SAMPLES);
  const head = new DataView(buffer);
  head.setUint16(0, level, true);
  head.setUint8(2, COMPLETE_VERSION);
  head.setUint32(4, serial, true);
  [ix, iy].forEach((index, axis) => {
    for (let word = 0n; word < 7n; word++) head.setBigUint64(8 + 56 * axis + 8 * Number(word), index >> 64n * word & 0xffffffffffffffffn, true);
  });
  new Float64Array(buffer, HEADER_BYTES, SAMPLES).set(signed);
  new Float64Array(buffer, HEADER_BYTES + 8 * SAMPLES, SAMPLES).set(loss);
  new Int32Array(buffer, HEADER_BYTES + 16 * SAMPLES, SAMPLES).set(escape);
  new Uint8Array(buffer, HEADER_BYTES + 20 * SAMPLES, SAMPLES).set(status);
  return buffer;
}

/** The tiles of a level that a view { x, y, width, width_px, height_px } shows: first and last column and row. */
export function cover({ x, y, width, width_px: across, height_px: down }, level) {
  const shift = PLANE_BITS - BigInt(level);
  const last = (1n << BigInt(level)) - 1n;
  const clamp = (index) => index < 0n ? 0n : index > last ? last : index;
  return [[x, width], [y, width * down / across]].map(([centre, extent]) => {
    const half = fixed(extent / 2);
    const middle = fixed(centre);
    return [clamp(middle - half >> shift), clamp(middle + half >> shift)];
  });
}

/** Which packs there are: rectangles of each level, as site.json lists them. */
export class Shelf {
  constructor(levels) {
    this.levels = new Map(Object.entries(levels).map(([level, areas]) => [Number(level), areas.map((area) => area.map(BigInt))]));
    this.deepest = Math.max(...this.levels.keys());
  }

  /** The packs of a level that a view needs, and whether they cover all of it. */
  needed(view, level) {
    const [[x0, x1], [y0, y1]] = cover(view, level).map((ends) => ends.map((index) => index >> PACK_BITS));
    const packs = new Map();
    for (const [ax0, ax1, ay0, ay1] of this.levels.get(level) ?? [])
      for (let y = max(y0, ay0); y <= min(y1, ay1 - 1n); y++)
        for (let x = max(x0, ax0); x <= min(x1, ax1 - 1n); x++) packs.set(`${level}/${x}/${y}`, { level, x, y });
    return { packs: [...packs.values()], all: BigInt(packs.size) === (x1 - x0 + 1n) * (y1 - y0 + 1n) };
  }
}

const min = (a, b) => a < b ? a : b;
const max = (a, b) => a > b ? a : b;

export const packOf = ({ level, ix, iy }) => `${level}/${BigInt(ix) >> PACK_BITS}/${BigInt(iy) >> PACK_BITS}`;
