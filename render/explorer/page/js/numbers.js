// Numbers as a person reads them.

import { fraction, placesFor, text, times } from "./place.js";

const LOG2_10 = Math.log2(10);

/** A count with thousands apart: 12,345. */
export const count = (n) => Math.round(n).toLocaleString("en-US");

/** A size to a few digits: 9, 0.031, 3.1e-7. */
export function short(n, digits = 3) {
  if (n === 0) return "0";
  const size = Math.abs(n);
  if (size >= 1e-3 && size < 1e5) return String(Number(n.toPrecision(digits)));
  return n.toExponential(digits - 1).replace("e+", "e").replace(/\.?0+e/, "e");
}

/** How many are done a second, or how long each takes: "1,200 a second", "1.5 a second", "one in 3 min". */
export function rateText(per_s) {
  if (per_s <= 0 || per_s >= 9.5) return `${count(per_s)} a second`;
  return per_s >= 0.95 ? `${per_s.toFixed(1)} a second` : `one in ${duration(1 / per_s)}`;
}

/** A duration in words of two units at most: 45 s, 14 min, 2 h 05 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Bytes: 12 MB, 3.4 GB. */
export function bytes(n) {
  return n < 1e9 ? `${Math.max(1, Math.round(n / 1e6))} MB` : `${short(n / 1e9, 2)} GB`;
}

/** Position on an axis (log10 of the value, or the value) at a unit coordinate. */
export const position = (axis, unit) => axis.lo + axis.span * unit;

/** Hyperparameter value at a unit coordinate. */
export function value(axis, unit) {
  const at = position(axis, unit);
  return axis.scale === "log10" ? 10 ** at : at;
}

/** A value with as many digits as a pixel of `width` (in units of the plane) can tell apart. */
export function valueText(axis, unit, width) {
  const v = value(axis, unit);
  const step = width / 2000 * axis.span * (axis.scale === "log10" ? Math.abs(v) * Math.LN10 : 1);
  if (v === 0 || !(step > 0)) return String(v);
  const needed = Math.max(3, Math.ceil(Math.log10(Math.abs(v) / step)) + 1);
  const digits = needed > 17 ? 12 : needed; // past what a double holds, only its beginning
  const text = Math.abs(v) >= 1e-4 && Math.abs(v) < 1e6 ? v.toPrecision(digits) : v.toExponential(digits - 1).replace("e+", "e");
  return needed > 17 ? `${text}…` : text;
}

/** Position on an axis, to the digits that a pixel of `width` (in units of the plane) can tell; unit: in fixed point. */
export function positionText(axis, unit, width) {
  return text(fraction(axis.exact.lo) + times(unit, axis.exact.span), placesFor(width / 2000 * axis.span) + 1);
}

/** Width of a view in the x axis's decades, or in its units. */
export function widthText(axis, width) {
  return `${short(width * axis.span)}${axis.scale === "log10" ? " decades" : ""}`;
}

/** Decades from one level to another. */
export const decades = (levels) => levels / LOG2_10;
