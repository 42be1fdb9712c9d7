// The address of a view: #tanh@0.5123,0.4711,1e-6 and what differs from the scene's look. No token: it may be shared.

import { apart, isDecimal } from "./place.js";

const LEAST_WIDTH = 2 ** -406; // as the server has it

/** { scene, x, y, width, palette, channel } -> the part of an address behind #. */
export function write({ scene, x, y, width, ...look }) {
  const extra = Object.entries(look).filter(([, v]) => v !== undefined && v !== null && v !== "");
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
  const placed = [x, y].every((v) => v && isDecimal(v) && v >= -1 && v <= 2) && width > LEAST_WIDTH && width < 16;
  return placed ? { scene, x, y, width, ...look } : { scene, ...look };
}
