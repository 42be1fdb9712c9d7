// One sample: its run is trained again, and its loss drawn step by step.

import * as api from "./api.js";
import { SIDE } from "./cache.js";
import { $, define, toast } from "./dom.js";
import { decades, positionText, short } from "./numbers.js";
import { outcome } from "./readout.js";
import { fixed } from "./place.js";

const WIDTH = 320;
const HEIGHT = 200;
const PAD = { left: 46, right: 8, top: 14, bottom: 26 };
const MOST_RISE = 6; // decades above the first loss that are drawn: the published measure counts no more of a loss
const MOST_FALL = 20; // decades in all
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Samples along a root at the level of one. */
const scaleOf = ({ level }) => SIDE * 2 ** level;

/** A sample's lattice indices in the whole pyramid: plain levels only, where they are safe numbers. */
function lattice(root, { level, ix, iy }) {
  const [, column, row] = root.address(level, Math.floor(ix / SIDE), Math.floor(iy / SIDE)).split("/").map(Number);
  return { ix: column * SIDE + ix - Math.floor(ix / SIDE) * SIDE, iy: row * SIDE + iy - Math.floor(iy / SIDE) * SIDE };
}

export class Sample {
  constructor(app) {
    this.app = app;
    this.serial = 0;
    this.mark = null;
    this.at = null; // the place of the sample that is marked
  }

  /** Train and show the sample nearest to a point, in units of the map's root. */
  async show(x, y) {
    const { app } = this;
    const { ground, scene } = app;
    if (!ground.inside({ x, y })) return;
    const sample = ground.sample(x, y, app.finest - ground.root.level) ?? this.untrained(x, y);
    const level = sample.level + ground.root.level;
    const serial = ++this.serial;
    this.at = ground.root.place({ x: sample.ix / scaleOf(sample), y: sample.iy / scaleOf(sample), width: 1 / scaleOf(sample) });
    this.place();
    app.fold(false); // what is asked for must be seen
    app.showTab("sample");
    if (app.published) {
      this.showStored(sample, level, "This page trains nothing, so it has no loss curve of this run.");
      return;
    }
    if (scene.last_plain_level !== null && level > scene.last_plain_level) {
      this.showStored(sample, level, "Past float64 a run is followed by its difference from a reference run: there is no loss curve of its own to draw.");
      return;
    }
    $("sample-hint").textContent = "training this run …";
    $("sample-hint").hidden = false;
    try {
      const trace = await api.post("trace", { scene: scene.name, at: app.dials.at, level, ...lattice(ground.root, sample) });
      if (serial !== this.serial) return; // another was clicked meanwhile
      $("sample-hint").hidden = true;
      this.draw(trace.losses, sample);
      const last = trace.losses.at(-1);
      this.facts(sample, level, [trace.x, trace.y], [
        ["last loss", last === null ? "not finite" : String(last)],
        ["neighbours part by", trace.parting === null ? "beyond all bounds" : `${short(trace.parting)} a decade`],
      ]);
    } catch (fault) {
      $("sample-hint").textContent = fault.message;
    }
  }

  untrained(x, y) {
    const { ground, finest } = this.app;
    const level = finest - ground.root.level;
    return { tile: null, level, ix: ground.nearest(x, level, "x"), iy: ground.nearest(y, level, "y") };
  }

  /** Show what is stored of a sample. why: the reason for which its loss curve cannot be drawn. */
  showStored(sample, level, why) {
    const { app } = this;
    $("curve").replaceChildren();
    $("sample-hint").hidden = false;
    $("sample-hint").textContent = why;
    const digits = [this.at.x, this.at.y].map((unit, i) => positionText(app.scene.axes[i], fixed(unit), this.at.width));
    this.facts(sample, level, digits, sample.tile ? [["last loss", short(sample.tile.loss[sample.at], 6)]] : [], { positions: true });
  }

  /** Mark the sample where the map's root has it. */
  place() {
    this.mark?.remove();
    if (!this.at) return;
    const { map, ground } = this.app;
    const { x, y, width } = ground.root.local(this.at);
    if (Math.max(Math.abs(x), Math.abs(y), width) > 2 ** 12) return; // of another place
    const icon = globalThis.L.divIcon({ className: "mark", iconSize: [11, 11] });
    this.mark = globalThis.L.marker([y, x], { icon, interactive: false, keyboard: false }).addTo(map);
  }

  /** positions: whether the coordinates are positions on their axes, and not values. */
  facts({ tile, at }, level, coordinates, more, { positions = false } = {}) {
    const { axes, deepest_level: deepest } = this.app.scene;
    const [ended, kind] = tile ? outcome(this.app, tile, at) : ["not stored yet", ""];
    const name = (axis) => positions && axis.scale === "log10" ? `log10 ${axis.name}` : axis.name;
    define($("sample-facts"), [
      ...axes.map((axis, i) => [name(axis), coordinates[i], "digits"]),
      ["ended", ended, kind],
      ["level", `${level} of ${deepest}, ${decades(level).toFixed(1)} decades deep`],
      ...more,
    ]);
  }

  draw(losses, { tile, at }) {
    const known = losses.map((loss, step) => [step, loss]).filter(([, loss]) => loss !== null && loss > 0);
    if (!known.length) return toast("This run has no finite loss to draw.");
    const logs = known.map(([, loss]) => Math.log10(loss));
    // A run that escapes reaches any size in a few steps, and would press all before it into one line.
    const high = Math.min(Math.ceil(Math.max(...logs)), Math.ceil(logs[0]) + MOST_RISE);
    const low = Math.min(Math.max(Math.floor(Math.min(...logs)), high - MOST_FALL), high - 1);
    const within = (log) => Math.min(Math.max(log, low), high);
    const x = (step) => PAD.left + (WIDTH - PAD.left - PAD.right) * step / Math.max(losses.length - 1, 1);
    const y = (log) => PAD.top + (HEIGHT - PAD.top - PAD.bottom) * (high - within(log)) / (high - low);
    const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Loss over the training steps" });
    const every = Math.ceil((high - low) / 6);
    for (let n = high; n >= low; n -= every) {
      plot.append(svg("line", { class: "grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: y(n), y2: y(n) }));
      plot.append(svg("text", { x: PAD.left - 5, y: y(n) + 3.5, "text-anchor": "end" }, n >= -3 && n <= 3 ? String(10 ** n) : `1e${n}`));
    }
    const first = Math.log10(known[0][1]);
    plot.append(svg("line", { class: "start", x1: PAD.left, x2: WIDTH - PAD.right, y1: y(first), y2: y(first) }));
    for (const share of [0, 0.5, 1]) {
      const step = Math.round(share * (losses.length - 1));
      plot.append(svg("text", { x: x(step), y: HEIGHT - 8, "text-anchor": ["start", "middle", "end"][share * 2] }, String(step)));
    }
    plot.append(svg("text", { x: PAD.left, y: 9 }, `loss before each step (dashes: the first)${Math.max(...logs) > high ? `, cut at 1e${high}` : ""}`));
    const kind = tile && this.app.statuses[tile.status[at]] === "converged" ? "converged" : "diverged";
    plot.append(svg("path", { class: `line ${kind}`, d: known.map(([s], i) => `${i ? "L" : "M"}${x(s).toFixed(1)} ${y(logs[i]).toFixed(1)}`).join("") }));
    this.follow(plot, known, x, y);
    $("curve").replaceChildren(plot);
  }

  /** A cross that says step and loss under the pointer. */
  follow(plot, known, x, y) {
    const cross = svg("line", { class: "cross", y1: PAD.top, y2: HEIGHT - PAD.bottom, visibility: "hidden" });
    const label = svg("text", { class: "step-label", y: PAD.top + 10, "text-anchor": "end", x: WIDTH - PAD.right, visibility: "hidden" });
    plot.append(cross, label);
    plot.onpointermove = (event) => {
      const box = plot.getBoundingClientRect();
      const at = (event.clientX - box.left) / box.width * WIDTH;
      const [step, loss] = known.reduce((best, row) => Math.abs(x(row[0]) - at) < Math.abs(x(best[0]) - at) ? row : best);
      cross.setAttribute("x1", x(step));
      cross.setAttribute("x2", x(step));
      label.textContent = `step ${step}: ${short(loss, 5)}`;
      for (const part of [cross, label]) part.setAttribute("visibility", "visible");
    };
    plot.onpointerleave = () => { for (const part of [cross, label]) part.setAttribute("visibility", "hidden"); };
  }
}
