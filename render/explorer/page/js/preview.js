// A rough preview of the film, from samples at hand: nothing is trained for it.

import { Ground } from "./cache.js";
import { Colours } from "./colours.js";
import { $, allow } from "./dom.js";
import { paint } from "./paint.js";
import { Root } from "./place.js";

const ASK_MS = 180; // while the preview moves, the server is asked for stored tiles this often
const BUSY_MS = 1500; // after that long the map has the server's attention again
const PANEL_PX = 640; // across the picture in the panel
const FIRST_LOOK_MS = 400; // what a new path needs for its first picture
const LEVELS_ABOVE = 12; // its root is this much wider than the view: coarser samples than that are not worth painting

export class Preview {
  constructor(app) {
    this.app = app;
    this.path = null;
    this.serial = -1;
    this.busy = false;
    this.asked = 0;
    this.colours = new Colours();
    this.playing = null;
    this.seen = 0; // tiles at hand when its colours were last asked for
    $("time").oninput = () => { this.stop(); this.follow(); this.seek(); };
    $("play").onclick = () => this.playing ? this.stop() : this.play();
    this.riding = false;
    $("ride").onclick = () => this.ride();
    $("preview").onclick = () => this.ride(false);
    this.allow("The path of the film is not there yet.");
  }

  allow(reason) {
    for (const name of ["ride", "play", "time"]) allow($(name), reason);
  }

  /** Take another path, or none, for a reason. */
  take(path, reason = "") {
    this.path = path;
    this.ride(false);
    this.shape();
    this.allow(reason);
    if (this.serial < 0) this.colours.setCurve(this.app.colours.curve); // until it has one of its own
    this.seen = 0;
    this.repaint();
  }

  /** Give the picture its size: that of the panel, or of a ride. */
  shape() {
    const aspect = this.path?.aspect ?? 9 / 16;
    const { clientWidth: width, clientHeight: height } = $("map");
    const canvas = $("preview");
    canvas.width = this.riding ? Math.max(64, Math.round(Math.min(width, height / aspect) * Math.min(devicePixelRatio, 2))) : PANEL_PX;
    canvas.height = Math.round(canvas.width * aspect);
  }

  /** Show the film's path in the place of the map, from its start; or go back to the map, where the ride has come to. */
  ride(on = !this.riding) {
    if (on === this.riding || !this.path) return;
    this.riding = on;
    document.body.classList.toggle("riding", on);
    if (on) $("map").after($("preview")); else $("film").prepend($("preview"));
    $("ride").setAttribute("aria-pressed", String(on));
    this.shape();
    if (on) {
      $("time").value = 0;
      this.play();
      return;
    }
    this.stop();
    const { root, local } = this.view();
    this.app.go(root.place(local));
    this.repaint();
  }

  /** The view at the slider: a root, and centre and width in its units. */
  view() {
    const { views } = this.path;
    const at = Number($("time").value) / 1000 * (views.length - 1);
    const i = Math.min(Math.floor(at), views.length - 2);
    const [a, b] = [views[i], views[i + 1]];
    const share = at - i;
    const root = Root.at(Math.max(0, Math.floor(-Math.log2(Math.min(a.width, b.width))) - LEVELS_ABOVE), a);
    const [from, to] = [root.local(a), root.local(b)];
    const between = (one, other) => one + (other - one) * share;
    // Even in log width, as the camera goes.
    const width = from.width * (to.width / from.width) ** share;
    return { root, local: { x: between(from.x, to.x), y: between(from.y, to.y), width } };
  }

  /** Show the view at the slider, and keep the server's attention for a while. */
  seek(busyMs = BUSY_MS) {
    if (!this.path) return;
    this.busy = true;
    this.seen = this.app.cache.tiles.size;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => { this.busy = false; this.app.sendView(); }, busyMs);
    const now = performance.now();
    if (now - this.asked > ASK_MS) {
      this.asked = now;
      const canvas = $("preview");
      const { root, local } = this.view();
      const asked = this.app.asked(root.place(local), { width_px: canvas.width, height_px: canvas.height });
      this.serial = this.app.live.look({ ...asked, pointer: null, keep: true, detail: 0.5 });
    }
    this.repaint();
  }

  /** Set the dials to what the film has at the slider, when a person moves that: else they stay as a person set them. */
  follow() {
    const at = this.path?.at;
    if (at && this.app.dials.take(at[Math.round(Number($("time").value) / 1000 * (at.length - 1))])) this.app.redial();
  }

  /** Ask for new colours once there is much more to see; before the map has samples, it keeps the server's attention. */
  lookAgain() {
    const { size } = this.app.cache.tiles;
    if (size <= 3 * this.seen || this.busy) return;
    this.seek(FIRST_LOOK_MS);
  }

  takeCurve(curve) {
    if (this.colours.setCurve(curve)) this.repaint();
  }

  repaint() {
    const canvas = $("preview");
    if (!this.path) {
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
      $("clock").textContent = "";
      return;
    }
    if ($("film").hidden && !this.riding) return;
    this.lookAgain();
    const { root, local: { x, y, width } } = this.view();
    const height = width * canvas.height / canvas.width;
    const box = { x0: x - width / 2, y0: y - height / 2, width, height };
    const finest = Math.max(0, Math.floor(Math.log2(canvas.width / 32 / width) + 0.5));
    this.colours.follow(this.app.colours);
    const ground = new Ground(this.app.cache, root);
    paint(canvas, box, ground, this.colours, Math.min(finest, this.app.look.deepestLevel - root.level), { smooth: true });
    const seconds = Number($("time").value) / 1000 * this.path.duration_s;
    $("clock").textContent = `${seconds.toFixed(1)} of ${this.path.duration_s.toFixed(1)} s`;
  }

  play() {
    if (!this.path) return;
    const slider = $("time");
    if (Number(slider.value) >= 1000) slider.value = 0;
    let before = performance.now();
    let at = Number(slider.value);
    this.say("❚❚", "Pause the preview");
    const step = (now) => {
      at = Math.min(1000, at + (now - before) / 1000 / this.path.duration_s * 1000);
      before = now;
      slider.value = at;
      this.follow();
      this.seek();
      if (at >= 1000) this.stop(); else this.playing = requestAnimationFrame(step);
    };
    this.playing = requestAnimationFrame(step);
  }

  /** Let the button that plays show a sign, and say in words what it does. */
  say(sign, words) {
    $("play").textContent = sign;
    $("play").setAttribute("aria-label", words);
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = null;
    this.say("▶", "Play the preview");
  }
}
