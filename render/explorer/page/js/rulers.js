// Rulers along the left and lower edge of the map: the values of the two hyperparameters, at any depth.

import { short, valueText } from "./numbers.js";

const BAND_PX = 26; // of the lower ruler
const SIDE_PX = 44; // of the left one

/** Draw on a canvas over the map; view as map.js gives it, axes as the server does. */
export function drawRulers(canvas, view, axes) {
  const ratio = devicePixelRatio || 1;
  const { width_px: width, height_px: height } = view;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  c.fillStyle = "#111115d4";
  c.fillRect(0, height - BAND_PX, width, BAND_PX);
  c.fillRect(0, 0, SIDE_PX, height - BAND_PX);
  c.font = '11px system-ui, "DejaVu Sans", sans-serif';
  const perPx = view.width / width;
  line(c, axes[0], view.x, perPx, width, SIDE_PX, (at, text, end) => {
    tick(c, at, height - BAND_PX, at, height - BAND_PX + 5);
    c.textAlign = end ?? "center";
    c.fillText(text, at, height - 8);
  }, 92);
  c.save();
  c.beginPath();
  c.rect(0, 0, SIDE_PX, height - BAND_PX);
  c.clip();
  line(c, axes[1], view.y, perPx, height, BAND_PX, (at, text, end) => {
    const y = height - at;
    tick(c, SIDE_PX - 5, y, SIDE_PX, y);
    c.save();
    c.translate(14, y);
    c.rotate(-Math.PI / 2);
    c.textAlign = end ?? "center";
    c.fillText(text, 0, 0);
    c.restore();
  }, 92);
  c.restore();
  names(c, axes, width, height);
}

function tick(c, x0, y0, x1, y1) {
  c.strokeStyle = "#ffffff70";
  c.beginPath();
  c.moveTo(x0, y0);
  c.lineTo(x1, y1);
  c.stroke();
}

/**
 * Choose ticks at round positions and label them: by value while neighbouring values differ in a few digits, deeper down
 * by their distance from the tick in the middle, which is written in full.
 */
function line(c, axis, centre, perPx, length, skip, put, apart) {
  const step = roundStep(perPx * axis.span * apart);
  const middle = axis.lo + axis.span * centre;
  const half = perPx * axis.span * length / 2;
  const near = step < 1e-3 * Math.max(1, Math.abs(middle));
  // Ticks are counted from the middle one, so that no sum of large and small numbers is rounded away.
  const anchor = near ? middle : Math.round(middle / step) * step;
  const count = Math.ceil(half / step) + 1;
  c.fillStyle = "#d8d8e0";
  for (let n = -count; n <= count; n++) {
    const at = length / 2 + ((anchor - middle) + n * step) / (perPx * axis.span);
    if (at < skip + 8 || at > length - 8) continue;
    const text = near ? n === 0 ? valueText(axis, centre, perPx * length) : `${n > 0 ? "+" : "−"}${short(Math.abs(n) * step, 2)}`
      : axis.scale === "log10" ? power(anchor + n * step, step) : short(anchor + n * step);
    if (at + c.measureText(text).width / 2 < length - 2 && at - c.measureText(text).width / 2 > skip) put(at, text);
  }
}

/** 10 to a position: 0.01, 3.2, 1e5. */
function power(position, step) {
  const value = 10 ** position;
  return short(value, step >= 1 ? 1 : step >= 0.1 ? 2 : step >= 0.01 ? 3 : 4);
}

/** The least of 1, 2, 5 times a power of ten that is not below a size. */
function roundStep(size) {
  const unit = 10 ** Math.floor(Math.log10(size));
  return unit * ([1, 2, 5].find((n) => n * unit >= size) ?? 10);
}

function names(c, axes, width, height) {
  c.textAlign = "right";
  named(c, `${axes[0].label} →`, width - 10, height - BAND_PX - 8);
  c.save();
  c.translate(SIDE_PX + 15, 12);
  c.rotate(-Math.PI / 2);
  named(c, `${axes[1].label} →`, 0, 0);
  c.restore();
}

/** Write a text that ends at a place on a ground of its own: the map below has any colour. */
function named(c, text, x, y) {
  const { width } = c.measureText(text);
  c.fillStyle = "#111115d4";
  c.fillRect(x - width - 4, y - 11, width + 8, 15);
  c.fillStyle = "#fff";
  c.fillText(text, x, y);
}
