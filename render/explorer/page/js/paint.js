// Paint any view from the tiles at hand: the finest level that covers it, and finer pieces over it.

import { SIDE } from "./cache.js";

const scratch = document.createElement("canvas");
const scratchContext = scratch.getContext("2d", { willReadFrequently: false });

// A level with more samples along a side than this is finer than any picture here: not painted.
const MOST_SAMPLES = 2048;

/** The samples of a level that a view shows, one beyond each edge of it, and none beyond the plane's. */
function extent(view, level, bounds) {
  const scale = SIDE * 2 ** level;
  const x = view.x0 * scale;
  const y = view.y0 * scale;
  const last = { i: bounds.x1 * scale - 1, j: bounds.y1 * scale - 1 };
  const i0 = Math.max(Math.floor(x) - 1, bounds.x0 * scale);
  const j0 = Math.max(Math.floor(y) - 1, bounds.y0 * scale);
  const i1 = Math.min(Math.ceil(x + view.width * scale) + 1, last.i);
  const j1 = Math.min(Math.ceil(y + view.height * scale) + 1, last.j);
  return { scale, i0, j0, i1, j1, last, left: i0 - x, bottom: j0 - y };
}

function* tilesOf({ i0, j0, i1, j1 }) {
  for (let iy = Math.floor(j0 / SIDE); iy <= Math.floor(j1 / SIDE); iy++)
    for (let ix = Math.floor(i0 / SIDE); ix <= Math.floor(i1 / SIDE); ix++) yield [ix, iy];
}

/**
 * Paint a view { x0, y0 (its lower left corner), width, height }, in units of the ground's root, on a canvas.
 * finest: the finest level to paint, of the root's own. Return whether there was anything to paint.
 */
export function paint(canvas, view, ground, colours, finest, { smooth = false, background = "#1b1b1f" } = {}) {
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.fillStyle = background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const pxPerUnit = canvas.width / view.width;
  context.save();
  clipToPlane(context, view, ground.bounds, pxPerUnit, canvas.height);
  context.imageSmoothingEnabled = smooth;
  const levels = [];
  for (let level = Math.min(finest, ground.deepest); level >= 0; level--) {
    const part = extent(view, level, ground.bounds);
    if (part.i1 < part.i0 || part.j1 < part.j0) break;
    if (part.i1 - part.i0 > MOST_SAMPLES) continue;
    let some = false;
    let all = true;
    for (const [ix, iy] of tilesOf(part)) {
      const tile = ground.get(level, ix, iy);
      some ||= Boolean(tile);
      all &&= Boolean(tile?.complete);
    }
    if (some) levels.push([level, part]);
    if (all) break; // coarser ones would be hidden
  }
  levels.reverse().forEach(([level, part], i) => paintLevel(context, canvas, part, level, ground, colours, pxPerUnit, i === 0));
  context.restore();
  return levels.length > 0;
}

function clipToPlane(context, view, plane, pxPerUnit, height) {
  // In a deep view the plane's edges are far outside what a canvas can count: clamp them.
  const near = (v) => Math.min(Math.max(v, -1e6), 1e6);
  const left = near((plane.x0 - view.x0) * pxPerUnit);
  const right = near((plane.x1 - view.x0) * pxPerUnit);
  const top = near(height - (plane.y1 - view.y0) * pxPerUnit);
  const bottom = near(height + (view.y0 - plane.y0) * pxPerUnit);
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
}

/**
 * Paint one level's samples: each fills the square around its place on the lattice. lowest: nothing is below it, so that
 * samples to come take the colours of those of coarser levels beside them, and no ground shows between.
 */
function paintLevel(context, canvas, part, level, ground, colours, pxPerUnit, lowest) {
  const { scale, i0, j0, i1, j1, last, left, bottom } = part;
  // The plane's last samples stand half a cell before its edge: they go on to it.
  const columns = i1 - i0 + 1 + (i1 === last.i);
  const rows = j1 - j0 + 1 + (j1 === last.j);
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (const [ix, iy] of tilesOf(part)) {
    const tile = ground.get(level, ix, iy);
    if (tile) copy(colours.of(tile), ix * SIDE, iy * SIDE, part, pixels, columns, rows);
  }
  if (lowest) fill(pixels, columns, rows, part);
  if (i1 === last.i) for (let row = 0; row < rows; row++) pixels[row * columns + columns - 1] = pixels[row * columns + columns - 2];
  if (j1 === last.j) pixels.copyWithin(0, columns, 2 * columns);
  scratch.width = columns;
  scratch.height = rows;
  scratchContext.putImageData(image, 0, 0);
  const pitch = pxPerUnit / scale;
  const x = (left - 0.5) * pitch;
  const y = canvas.height - (bottom - 0.5 + rows) * pitch;
  context.drawImage(scratch, x, y, columns * pitch, rows * pitch);
}

/** Give pixels without a sample the colour of the sample of the nearest coarser level at their lower left, if there is one. */
function fill(pixels, columns, rows, { i0, j0 }) {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      for (let step = 2; !pixels[at] && step <= SIDE; step *= 2) {
        const i = Math.floor((i0 + column) / step) * step - i0;
        const j = Math.floor((j0 + rows - 1 - row) / step) * step - j0;
        if (i >= 0 && j >= 0) pixels[at] = pixels[(rows - 1 - j) * columns + i];
      }
    }
  }
}

/** Copy the part of a tile's colours that lies in an extent; row 0 of the pixels is the highest. */
function copy(colours, firstX, firstY, { i0, j0, i1, j1 }, pixels, columns, rows) {
  const from = Math.max(i0, firstX);
  const to = Math.min(i1, firstX + SIDE - 1);
  for (let j = Math.max(j0, firstY); j <= Math.min(j1, firstY + SIDE - 1); j++) {
    const start = (j - firstY) * SIDE - firstX;
    pixels.set(colours.subarray(start + from, start + to + 1), (rows - 1 - (j - j0)) * columns + from - i0);
  }
}
