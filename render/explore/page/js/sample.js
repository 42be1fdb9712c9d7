// One sample: its run is trained again, and its loss drawn step by step.

import * as api from "./api.js";
import { $, define, toast } from "./dom.js";
import { decades, short } from "./numbers.js";

const WIDTH = 320;
const HEIGHT = 200;
const PAD = { left: 46, right: 8, top: 14, bottom: 26 };
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export class Sample {
  constructor(app) {
    this.app = app;
    this.serial = 0;
    this.mark = null;
  }

  /** Train and show the sample nearest to a point. */
  async show(x, y) {
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return;
    const { app } = this;
    const found = app.cache.sample(x, y, app.finest) ?? this.untrained(x, y);
    const serial = ++this.serial;
    this.place(found);
    app.showTab("sample");
    $("sample-hint").textContent = "training this run …";
    $("sample-hint").hidden = false;
    try {
      const trace = await api.post("trace", { scene: app.scene.name, level: found.level, ix: found.ix, iy: found.iy });
      if (serial !== this.serial) return; // another was clicked meanwhile
      $("sample-hint").hidden = true;
      this.draw(trace.losses, found);
      this.facts(trace, found);
    } catch (fault) {
      $("sample-hint").textContent = fault.message;
    }
  }

  untrained(x, y) {
    const level = this.app.finest;
    const scale = 32 * 2 ** level;
    const nearest = (u) => Math.min(Math.max(Math.round(u * scale), 0), scale - 1);
    return { tile: null, level, ix: nearest(x), iy: nearest(y) };
  }

  place({ level, ix, iy }) {
    const { map } = this.app;
    const scale = 32 * 2 ** level;
    this.mark?.remove();
    const icon = globalThis.L.divIcon({ className: "mark", iconSize: [11, 11] });
    this.mark = globalThis.L.marker([iy / scale, ix / scale], { icon, interactive: false, keyboard: false }).addTo(map);
  }

  facts(trace, { tile, at, level }) {
    const status = tile ? this.app.statuses[tile.status[at]] : "not stored yet";
    const [xAxis, yAxis] = this.app.scene.axes;
    const last = trace.losses.at(-1);
    define($("sample-facts"), [
      [xAxis.name, trace.x],
      [yAxis.name, trace.y],
      ["ended", status, status === "converged" ? "converged" : tile ? "diverged" : ""],
      ["last loss", last === null ? "not finite" : String(last)],
      ...tile && tile.escape[at] >= 0 ? [["escaped at step", String(tile.escape[at])]] : [],
      ["level", `${level} of ${this.app.scene.deepest_level}, ${decades(level).toFixed(1)} decades deep`],
      ["neighbours part by", trace.parting === null ? "beyond all bounds" : `${short(trace.parting)} a decade`],
    ]);
  }

  draw(losses, { tile, at }) {
    const known = losses.map((loss, step) => [step, loss]).filter(([, loss]) => loss !== null && loss > 0);
    if (!known.length) return toast("This run has no finite loss to draw.");
    const logs = known.map(([, loss]) => Math.log10(loss));
    const low = Math.floor(Math.min(...logs));
    const high = Math.max(Math.ceil(Math.max(...logs)), low + 1);
    const x = (step) => PAD.left + (WIDTH - PAD.left - PAD.right) * step / Math.max(losses.length - 1, 1);
    const y = (log) => PAD.top + (HEIGHT - PAD.top - PAD.bottom) * (high - log) / (high - low);
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
    plot.append(svg("text", { x: PAD.left, y: 9 }, "loss before each step (dashes: the first)"));
    const kind = tile && this.app.statuses[tile.status[at]] === "converged" ? "converged" : "diverged";
    plot.append(svg("path", { class: `line ${kind}`, d: known.map(([s], i) => `${i ? "L" : "M"}${x(s).toFixed(1)} ${y(logs[i]).toFixed(1)}`).join("") }));
    this.follow(plot, known, x, y);
    $("curve").replaceChildren(plot);
  }

  /** A cross that says step and loss under the pointer. */
  follow(plot, known, x, y) {
    const cross = svg("line", { class: "cross", y1: PAD.top, y2: HEIGHT - PAD.bottom, visibility: "hidden" });
    const said = svg("text", { class: "said", y: PAD.top + 10, "text-anchor": "end", x: WIDTH - PAD.right, visibility: "hidden" });
    plot.append(cross, said);
    plot.onpointermove = (event) => {
      const box = plot.getBoundingClientRect();
      const at = (event.clientX - box.left) / box.width * WIDTH;
      const [step, loss] = known.reduce((best, row) => Math.abs(x(row[0]) - at) < Math.abs(x(best[0]) - at) ? row : best);
      cross.setAttribute("x1", x(step));
      cross.setAttribute("x2", x(step));
      said.textContent = `step ${step}: ${short(loss, 5)}`;
      for (const part of [cross, said]) part.setAttribute("visibility", "visible");
    };
    plot.onpointerleave = () => { for (const part of [cross, said]) part.setAttribute("visibility", "hidden"); };
  }
}
