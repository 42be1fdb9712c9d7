// The film: keyframes in their order, its timing, its path on the map, its cost.

import * as api from "./api.js";
import { $, allow, calmly, keepingFocus, make, showFault, toast, whileBusy } from "./dom.js";
import { bytes, count, duration, widthText } from "./numbers.js";
import { inPlane } from "./place.js";
import { Preview } from "./preview.js";
import { reorderable } from "./reorder.js";
import { Saving } from "./save.js";
import { Unsaved } from "./unsaved.js";

const L = globalThis.L;

const NO_FILM = "There is no film yet: add a view as its first keyframe.";
const FAR = 2 ** 12; // what lies farther off than this many roots is not drawn: no map shows it, and pixels must be numbers

const MOST_UNDONE = 200;

/** What a scene's file sets of its film. */
const stateOf = ({ film: { keyframes, octaves_per_s: speed, easing } }) => ({
  keyframes, timing: speed === null ? "times" : "speed", speed: speed ?? 0.667, smooth: easing === "smooth",
});

export class Film {
  constructor(app) {
    this.app = app;
    this.keyframes = [];
    this.past = []; // states of the film before its changes, as texts; the last one last
    this.now = null; // the state that was shown last
    this.walked = null; // the state that the path is of
    this.aspect = 9 / 16;
    this.preview = new Preview(app);
    this.saving = new Saving(app, this);
    this.unsaved = new Unsaved();
    this.drawn = L.layerGroup().addTo(app.map);
    this.walk = calmly(() => this.askPath(), 250);
    this.sound = calmly(() => this.askDepth(), 500);
    $("add").onclick = () => this.add();
    $("clear").onclick = () => { this.keyframes = []; this.show(); toast("All keyframes removed."); };
    $("restore").onclick = () => this.put(stateOf(this.app.scene));
    $("undo").onclick = () => this.undo();
    $("costs").onclick = () => whileBusy($("costs"), "The costs are being estimated.", () => this.askCosts());
    $("speed").onchange = () => this.changed();
    $("smooth").onchange = () => this.changed();
    for (const radio of document.getElementsByName("timing")) radio.onchange = () => this.show();
    reorderable($("keyframes"), (from, to) => {
      this.keyframes.splice(to, 0, ...this.keyframes.splice(from, 1));
      this.show();
    });
  }

  /** Take a scene's own film, and then what this tab changed of it and did not save, as before it was loaded again. */
  open(scene) {
    this.past = [];
    this.now = null;
    this.unsaved.close();
    this.put(stateOf(scene));
    const changed = this.unsaved.open(scene);
    if (!changed || changed === this.now) return;
    this.put(JSON.parse(changed));
    toast("Changes of the film that were not saved are here again. Undo takes them back.");
  }

  /** What a person sets of a film. */
  get state() {
    return { keyframes: this.keyframes, timing: this.timed ? "times" : "speed", speed: $("speed").value, smooth: $("smooth").checked };
  }

  put({ keyframes, timing, speed, smooth }) {
    this.keyframes = keyframes.map((key) => ({ ...key }));
    document.querySelector(`input[name="timing"][value="${timing}"]`).checked = true;
    $("speed").value = speed;
    $("smooth").checked = smooth;
    this.show();
  }

  /** Go back to before the last change. */
  undo() {
    if (!this.past.length) return;
    this.now = this.past.pop();
    this.put(JSON.parse(this.now));
    toast("The film is as it was before the last change.");
  }

  get timed() {
    return document.querySelector('input[name="timing"]:checked').value === "times";
  }

  /** What the server needs to know of this film. */
  edit() {
    const { palette, gap } = this.app.look;
    return {
      scene: this.app.scene.name,
      keyframes: this.keyframes,
      octaves_per_s: this.timed && this.keyframes.length > 1 ? null : Number($("speed").value) || 0.667,
      easing: $("smooth").checked ? "smooth" : "linear",
      palette,
      gap,
    };
  }

  add() {
    const { x, y, width } = this.app.framed();
    if (!inPlane({ x, y })) return toast("A keyframe's centre must lie in the plane.");
    const last = this.keyframes.at(-1);
    const at = this.app.dials.held(this.keyframes);
    this.keyframes.push({ x, y, width, at, hold_s: 1, time_s: last ? (last.time_s ?? 0) + last.hold_s + 10 : 0, source: null });
    this.app.showTab("film");
    this.show();
    return toast(`Keyframe ${this.keyframes.length} added.`);
  }

  // ---- the list -----------------------------------------------------------------------------------------------

  show() {
    keepingFocus($("keyframes"), $("add"), () => this.keyframes.map((key, i) => this.row(key, i)));
    for (const name of ["save", "costs"]) allow($(name), this.keyframes.length ? "" : NO_FILM);
    allow($("speed"), this.timed ? "Every keyframe has its time, so there is no speed to set." : "");
    $("speed-words").textContent = this.timed ? "doublings a second: not used, since every keyframe has its time" : "doublings a second";
    this.changed();
  }

  row(key, i) {
    const { axes } = this.app.scene;
    const called = `Keyframe ${i + 1}`;
    const number = (field, label, title) => make("label", { title }, `${label} `, make("input", {
      type: "number", min: "0", max: "3600", step: "any", value: String(key[field] ?? 0),
      title: `${title}: 0 to 3600`, "aria-label": `${called}: ${title.toLowerCase()}`,
      onchange: (event) => { key[field] = Math.max(0, Number(event.target.value) || 0); this.changed(); },
    }), " s");
    const go = make("button", { className: "go", title: "Go there", "aria-label": `Go to keyframe ${i + 1}, ${widthText(axes[0], key.width)} wide`, onclick: () => this.visit(key) }, widthText(axes[0], key.width));
    const acts = make("span", { className: "acts" },
      make("button", { title: "Set it to the framed view", "aria-label": `Set keyframe ${i + 1} to the framed view`, onclick: () => { Object.assign(key, this.app.framed(), { at: this.app.dials.held(this.keyframes) }); this.show(); toast(`Keyframe ${i + 1} set to the framed view.`); } }, "set"),
      make("button", { title: "Remove it", "aria-label": `Remove keyframe ${i + 1}`, onclick: () => { this.keyframes.splice(i, 1); this.show(); toast(`Keyframe ${i + 1} removed.`); } }, "×"));
    const numbers = make("span", { className: "numbers" }, number("hold_s", "rest", "Seconds of rest after arrival"),
      ...this.timed ? [number("time_s", "at", "Second of arrival")] : []);
    const grip = make("span", { className: "grip", tabIndex: 0, role: "button", title: "Drag, or use the arrow keys, to reorder",
      "aria-label": `${called} of ${this.keyframes.length}: reorder with the arrow keys` }, String(i + 1));
    const held = this.app.dials.words(key.at);
    return make("li", {}, grip, go, acts, numbers, ...held ? [make("span", { className: "held" }, held)] : []);
  }

  /** Go to a keyframe's view, and set what it holds. */
  visit(key) {
    if (this.app.dials.take(key.at ?? {})) this.app.redial();
    this.app.go(key);
  }

  /** Something about the film is another: its path and cost are, too. */
  changed() {
    const state = JSON.stringify(this.state);
    if (this.now !== null && state !== this.now) this.past = [...this.past, this.now].slice(-MOST_UNDONE);
    this.now = state;
    this.unsaved.keep(this.past.length ? state : null);
    allow($("undo"), this.past.length ? "" : "Nothing of the film has been changed yet.");
    $("cost-table").hidden = true;
    this.walk();
  }

  async askPath() {
    showFault($("film-fault"));
    $("film-facts").textContent = "";
    if (!this.keyframes.length || !this.app.scene) {
      this.preview.take(null, NO_FILM);
      this.draw();
      return;
    }
    const edit = this.edit();
    const state = this.now;
    try {
      const path = await api.post("path", edit);
      this.walked = state;
      this.aspect = path.aspect;
      this.moved();
      this.preview.take(path);
      this.draw();
      $("film-facts").textContent = `${duration(path.duration_s)} of film, ${path.octaves.toFixed(1)} doublings of path`;
      this.sound();
    } catch (fault) {
      this.preview.take(null, `There is no film to show: ${fault.message.replaceAll(`${edit.scene}: `, "")}`);
      this.draw();
      showFault($("film-fault"), fault.message.replaceAll(`${edit.scene}: `, ""));
    }
  }

  /** Ask whether this film goes too deep: work for a second, so not before the map has its first samples. */
  async askDepth() {
    if (!this.app.cache.tiles.size) return this.sound();
    const { path } = this.preview;
    if (!path || !this.keyframes.length || this.now !== this.walked) return undefined; // a changed film has no path yet
    const { warning } = await api.post("depth", this.edit()).catch(({ message }) => ({ warning: message }));
    if (path === this.preview.path) showFault($("film-fault"), warning);
    return undefined;
  }

  // ---- on the map ---------------------------------------------------------------------------------------------

  /** Pixels of the map that a film's frame takes, in the middle of what the rulers leave. */
  guideWidth() {
    const { x: width, y: height } = this.app.map.getSize();
    return Math.max(60, Math.min(width - 116, (height - 76) / this.aspect));
  }

  moved() {
    const width = this.guideWidth();
    const height = width * this.aspect;
    const { x, y } = this.app.map.getSize();
    const guide = $("guide");
    guide.dataset.label = this.app.scene ? widthText(this.app.scene.axes[0], this.app.framed().width) : "";
    Object.assign(guide.style, {
      left: `${(x - width) / 2}px`, top: `${(y - height) / 2}px`, width: `${width}px`, height: `${height}px`,
    });
  }

  showGuide(on) {
    $("guide").hidden = !on;
  }

  /** Draw the path that the preview has, and its keyframes, as the map's root sees them. */
  draw() {
    this.drawn.clearLayers();
    const { path } = this.preview;
    if (!path) return;
    const { root } = this.app.ground;
    const local = (place) => {
      const at = root.local(place);
      return Math.max(Math.abs(at.x), Math.abs(at.y), at.width) < FAR ? at : null;
    };
    const style = { color: "#e6f598", weight: 1.5, opacity: 0.8, dashArray: "2 5", interactive: false };
    this.drawn.addLayer(L.polyline(path.views.map(local).filter(Boolean).map(({ x, y }) => [y, x]), style));
    this.keyframes.forEach((key, i) => {
      const at = local(key);
      if (!at) return;
      const { x, y, width } = at;
      const half = [width / 2, width * this.aspect / 2];
      const bounds = [[y - half[1], x - half[0]], [y + half[1], x + half[0]]];
      this.drawn.addLayer(L.rectangle(bounds, { color: "#e6f598", weight: 1, opacity: 0.5, fill: false, interactive: false }));
      const icon = L.divIcon({ className: "stop", html: String(i + 1), iconSize: [24, 24] });
      const marker = L.marker([y, x], { icon, title: `Keyframe ${i + 1}`, alt: `Keyframe ${i + 1}` });
      this.drawn.addLayer(marker.on("click", () => this.visit(this.keyframes[i])));
      // Leaflet lets Tab go to a marker, but only one with a popup answers to Enter. The view moves: the map has the keys.
      marker.getElement().onkeydown = (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.visit(this.keyframes[i]);
        $("map").focus();
      };
    });
  }

  // ---- cost ---------------------------------------------------------------------------------------------------

  async askCosts() {
    const body = $("cost-table").tBodies[0];
    body.replaceChildren();
    $("cost-table").hidden = false;
    try {
      await api.postLines("costs", this.edit(), (row) => {
        body.append(costRow(row));
        body.lastChild.scrollIntoView({ block: "nearest" });
      });
    } catch (fault) {
      showFault($("film-fault"), fault.message);
    }
  }
}

function costRow(row) {
  if (row.fault) return make("tr", {}, make("td", {}, row.quality), make("td", { colSpan: 3 }, row.fault));
  const done = row.missing < row.samples ? `${Math.floor(100 * (1 - row.missing / row.samples))} % of ${count(row.samples)} is there` : "";
  const cells = [row.quality, `${row.size[0]}×${row.size[1]}`, count(row.missing), row.missing ? duration(row.time_s) : "none"];
  return make("tr", { title: `${done ? `${done}, ` : ""}${bytes(row.disk_bytes)} on disk` }, ...cells.map((text) => make("td", {}, text)));
}
