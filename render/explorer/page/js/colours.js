// From samples to colours: the curve that the server made of the view's ranks, and a palette. See render/picture/colour.py.

import { UNKNOWN } from "./cache.js";

export class Colours {
  constructor() {
    this.palette = new Uint32Array(1024).fill(0xff808080);
    this.curve = { knots: new Float64Array([-1, 0]), tones: new Float64Array([1, -1]) };
    this.generation = 0; // a tile coloured in another one is coloured again
    this.coloured = new WeakMap(); // tile -> { generation, colours }
  }

  /** Take over another's palette. */
  follow(other) {
    if (this.palette === other.palette) return;
    this.palette = other.palette;
    this.generation++;
  }

  /** Take a palette of 0xrrggbb from tone -1 to tone 1. */
  setPalette(colours) {
    this.palette = Uint32Array.from(colours, (c) => 0xff000000 | (c & 0xff) << 16 | c & 0xff00 | c >> 16);
    this.generation++;
  }

  /** Take a curve; false if it changes no colour that an eye could tell. */
  setCurve({ knots, tones }) {
    const curve = { knots: Float64Array.from(knots), tones: Float64Array.from(tones) };
    const moved = knots.some((knot, i) => Math.abs(tone(this.curve, knot) - tones[i]) > 0.01) ||
      this.curve.knots.some((knot, i) => Math.abs(tone(curve, knot) - this.curve.tones[i]) > 0.01);
    if (!moved) return false;
    this.curve = curve;
    this.generation++;
    return true;
  }

  /** A tile's colours, Uint32Array of 0xaabbggrr; nothing where no sample is known yet. */
  of(tile) {
    const before = this.coloured.get(tile);
    if (before?.generation === this.generation) return before.colours;
    const { signed, status } = tile;
    const colours = before?.colours ?? new Uint32Array(signed.length);
    const last = this.palette.length - 1;
    for (let i = 0; i < signed.length; i++) {
      colours[i] = status[i] === UNKNOWN ? 0
        : this.palette[Math.round((tone(this.curve, signed[i]) + 1) / 2 * last)];
    }
    this.coloured.set(tile, { generation: this.generation, colours });
    return colours;
  }

  /** A colour by its tone, as text. */
  css(at) {
    const c = this.palette[Math.round((at + 1) / 2 * (this.palette.length - 1))];
    return `rgb(${c & 255} ${c >> 8 & 255} ${c >> 16 & 255})`;
  }
}

/** Linear between the knots, clamped at both ends. */
function tone({ knots, tones }, v) {
  let low = 0;
  let high = knots.length - 1;
  if (!(v > knots[0])) return tones[0];
  if (v >= knots[high]) return tones[high];
  while (high - low > 1) {
    const middle = low + high >> 1;
    if (knots[middle] <= v) low = middle; else high = middle;
  }
  return tones[low] + (tones[high] - tones[low]) * (v - knots[low]) / (knots[high] - knots[low]);
}
