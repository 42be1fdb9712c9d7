// The address of a view: #tanh@0.5123,0.4711,1e-6 and what differs from the scene's look. No token: it may be shared.
// On a published page, which has one scene: ?x=0.5123&y=0.4711&level=19.93, the level being the doublings of the zoom.

import { apart, isDecimal } from "./place.js";

const LEAST_WIDTH = 2 ** -406; // as the server has it

const published = document.querySelector('meta[name="scene"]')?.content; // the scene of a published page

/** The part of this page's own address that says what it shows. */
export const here = () => published === undefined ? location.hash : location.search;

/** { scene, x, y, width, palette, channel } -> that part of an address. */
export function write({ scene, x, y, width, ...look }) {
  const extra = Object.entries(look).filter(([, v]) => v !== undefined && v !== null && v !== "");
  if (published !== undefined) return `?${new URLSearchParams([["x", x], ["y", y], ["level", (-Math.log2(width)).toFixed(7)], ...extra])}`;
  const query = extra.length ? `?${new URLSearchParams(extra)}` : "";
  return `#${encodeURIComponent(scene)}@${x},${y},${width}${query}`;
}

/** Whether two addresses show the same: scene, look, and view to a thousandth of a pixel. */
export function same(one, other) {
  const [a, b] = [read(one), read(other)];
  if (!a?.width || !b?.width) return one === other;
  const near = Math.max(apart(a.x, b.x), apart(a.y, b.y)) < a.width * 1e-6 && Math.abs(a.width / b.width - 1) < 1e-6;
  return near && ["scene", "palette", "channel"].every((key) => a[key] === b[key]);
}

/** The other way round; null where an address says nothing, or nonsense. */
export function read(hash) {
  if (published !== undefined) {
    const { x, y, level, ...look } = Object.fromEntries(new URLSearchParams(hash));
    const width = level ? 2 ** -Number(level) : NaN;
    return isPlace(x, y, width) ? { scene: published, x, y, width, ...look } : { scene: published, ...look };
  }
  const parts = /^#([^@?]+)(?:@([^,]+),([^,]+),([^?]+))?(\?.*)?$/.exec(hash);
  if (!parts) return null;
  const [x, y] = parts.slice(2, 4);
  const width = Number(parts[4]);
  const look = Object.fromEntries(new URLSearchParams(parts[5] ?? ""));
  let scene;
  try {
    scene = decodeURIComponent(parts[1]);
  } catch {
    return null;
  }
  return isPlace(x, y, width) ? { scene, x, y, width, ...look } : { scene, ...look };
}

const isPlace = (x, y, width) => [x, y].every((v) => v && isDecimal(v) && v >= -1 && v <= 2) && width > LEAST_WIDTH && width < 16;
