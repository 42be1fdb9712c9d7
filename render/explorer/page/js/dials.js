// Sliders for what is set besides the view: after how many steps runs are shown, and hyperparameters on no axis.

import { $, calmly, make } from "./dom.js";

const MOVED_MS = 90; // a slider that is dragged asks for its samples this often at most
const FOLDED = 2; // if so many sliders are seldom set, they are folded away, so that the rest of the film's form is visible below
const STOPS = 1000; // of a slider whose number can be anything

export class Dials {
  constructor(app) {
    this.app = app;
    this.dials = [];
    this.at = {}; // what was set, by name; what was not has the scene's own value
    this.sliders = new Map();
    this.moved = calmly(() => this.app.redial(), MOVED_MS);
  }

  /** Take a scene's dials, each at the scene's own value; steps at the full run. */
  open(scene) {
    this.dials = scene.dials;
    this.at = {};
    this.sliders.clear();
    const rows = new Map(this.dials.map((dial) => [dial, this.row(dial)]));
    const seldom = this.dials.filter((dial) => !dial.moves && dial.name !== "steps");
    const folded = seldom.length >= FOLDED ? seldom : [];
    $("dials").replaceChildren(...this.dials.filter((dial) => !folded.includes(dial)).map((dial) => rows.get(dial)));
    if (folded.length) {
      const more = make("summary", {}, `${folded.length} more hyperparameters`);
      $("dials").append(make("details", {}, more, ...folded.map((dial) => rows.get(dial))));
    }
    $("dials").hidden = !this.dials.length;
  }

  row(dial) {
    const most = dial.stops.length ? dial.stops.length - 1 : STOPS;
    const output = make("output", {});
    const slider = make("input", {
      type: "range", min: "0", max: String(most), step: "1", title: dial.moves ? "Set by the scene's keyframes" : "Set by no keyframe so far",
      oninput: () => { this.at[dial.name] = this.number(dial, Number(slider.value)); this.showValue(dial); this.moved(); },
    });
    this.sliders.set(dial.name, { slider, output });
    const row = make("label", {}, make("span", {}, `${dial.label}: `, output), slider);
    this.place(dial);
    return row;
  }

  /** The scene's number; of the steps, those of a full run. */
  sceneValue(dial) {
    return dial.stops.length ? dial.high : dial.value;
  }

  value(dial) {
    return this.at[dial.name] ?? this.sceneValue(dial);
  }

  /** The number at a place of a slider. */
  number(dial, place) {
    if (dial.stops.length) return dial.stops[place];
    const share = place / STOPS;
    const number = dial.log ? dial.low * (dial.high / dial.low) ** share : dial.low + (dial.high - dial.low) * share;
    return dial.integer ? Math.round(number) : Number(number.toPrecision(6));
  }

  /** Set a slider to its number. */
  place(dial) {
    const { slider } = this.sliders.get(dial.name);
    const value = this.value(dial);
    const above = dial.stops.findIndex((stop) => stop >= value);
    const share = dial.log ? Math.log(value / dial.low) / Math.log(dial.high / dial.low) : (value - dial.low) / (dial.high - dial.low);
    slider.value = dial.stops.length ? (above < 0 ? dial.stops.length - 1 : above) : Math.round(share * STOPS);
    this.showValue(dial);
  }

  showValue(dial) {
    this.sliders.get(dial.name).output.textContent = words(dial, this.value(dial));
  }

  /** Set some dials; true if any was at another number. */
  take(at) {
    const other = this.dials.filter(({ name }) => name in at && this.at[name] !== at[name]);
    for (const dial of other) {
      this.at[dial.name] = at[dial.name];
      this.place(dial);
    }
    return other.length > 0;
  }

  /** Whether runs are shown before their end. */
  get shorter() {
    const steps = this.dials.find(({ name }) => name === "steps");
    return Boolean(steps) && this.value(steps) < steps.high;
  }

  /** What a new keyframe holds: what others hold, and what was set. */
  held(keyframes) {
    const names = new Set([...keyframes.flatMap((key) => Object.keys(key.at ?? {})), ...Object.keys(this.at)]);
    return Object.fromEntries(this.dials.filter(({ name }) => names.has(name)).map((dial) => [dial.name, this.value(dial)]));
  }

  /** What a keyframe holds, in words. */
  words(at = {}) {
    return this.dials.filter(({ name }) => name in at).map((dial) => `${dial.label} ${words(dial, at[dial.name])}`).join(", ");
  }
}

const words = (dial, value) => dial.integer ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
