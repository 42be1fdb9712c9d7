// The page: one map, one panel, one live connection. Everything else is a part with one subject.

import * as address from "./address.js";
import * as api from "./api.js";
import { Cache, Ground } from "./cache.js";
import { Colours } from "./colours.js";
import { Dials } from "./dials.js";
import { $, answerDisabled, calmly, copyText, make, toast, whileBusy } from "./dom.js";
import { Film } from "./film.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { LookPanel } from "./lookpanel.js";
import { finestLevel, makeMap, rootFor, stand, viewOf, zoomFor } from "./map.js";
import { inPlane, PLANE } from "./place.js";
import { showActivity, showReadout } from "./readout.js";
import { drawRulers } from "./rulers.js";
import { Sample } from "./sample.js";

const SEND_MS = 120; // a moving map says where it is this often
const POINT_MS = 500; // and where the pointer is, this often: the order of training follows it
const EMPTY_MS = 700; // samples at other values of the dials come within this, or are not there yet
const SETTLED_MS = 900; // a view that stands this long is a step for back and forward
const USUAL = "mean_lr"; // the scene that every command takes if none is named

class App {
  constructor() {
    this.published = document.body.classList.contains("published"); // without a server that trains
    this.cache = new Cache();
    this.ground = new Ground(this.cache, PLANE);
    this.deepestZoom = 45;
    this.colours = new Colours();
    this.look = {
      palette: "Spectral", gap: 0.25, channel: "value", wholePlane: false,
      detail: 0.5, smoothing: false, train: true, deepestLevel: 0, background: "#1b1b1f",
    };
    this.scene = null;
    this.mouse = null; // on the map, in its pixels: what lies under it changes when the map moves
    this.since = 0; // tiles of views before this one are of another scene or channel
    this.changed = []; // tiles to be painted at the next frame
    const { map, layer } = makeMap($("map"), this);
    this.map = map;
    this.layer = layer;
    this.view = viewOf(this.map, PLANE);
    this.sample = new Sample(this);
    this.dials = new Dials(this);
    this.lookAgain = throttle(() => this.sendView(), SEND_MS);
    this.pointAgain = throttle(() => this.sendView(), POINT_MS);
    this.settled = calmly(() => this.writeAddress(true), SETTLED_MS);
  }

  get finest() {
    return finestLevel(this.view.zoom, this.look);
  }

  /** What is under the mouse, in units of the map's root; null if it is elsewhere. */
  get pointer() {
    if (!this.mouse) return null;
    const { lng, lat } = this.map.containerPointToLatLng(this.mouse);
    return { x: lng, y: lat };
  }

  /** Whether what is shown is followed by differences from a reference run, past float64. */
  get deep() {
    return this.scene.last_plain_level !== null && this.finest > this.scene.last_plain_level;
  }

  // ---- scenes and views ---------------------------------------------------------------------------------------

  async open(name, at = {}) {
    let scene;
    try {
      scene = await api.get("scene", { name });
    } catch (fault) {
      toast(fault.message);
      return;
    }
    this.scene = scene;
    document.title = `${name} · render explore`;
    this.list([name]);
    $("scene").value = name;
    $("scene").title = scene.about;
    Object.assign(this.look, scene.look, { deepestLevel: scene.deepest_level, channel: at.channel in scene.channels ? at.channel : "value" });
    if (at.palette) this.look.palette = at.palette;
    this.deepestZoom = scene.deepest_zoom;
    this.dials.open(scene);
    this.recolour();
    this.film.open(scene);
    if (at.width) this.go(at, { quietly: true }); else this.showPlane({ quietly: true });
    await this.panel.show();
    this.writeAddress();
  }

  /** Offer scenes that are not offered yet. */
  list(names) {
    const known = new Set([...$("scene").options].map((option) => option.value));
    $("scene").append(...names.filter((name) => !known.has(name)).map((name) => make("option", { value: name }, name)));
  }

  /** Go to a place. Its width fills the frame that a film would have. */
  go(place, { fly = false, quietly = false } = {}) {
    const zoom = Math.min(zoomFor(place.width, this.film.guideWidth()), this.deepestZoom);
    const root = rootFor(place, zoom, this.ground.root);
    if (fly && root === this.ground.root) {
      const { x, y } = root.local(place);
      this.map.flyTo([y, x], zoom - root.level, { duration: 1.6 });
    } else this.stand(root, place, zoom);
    if (!quietly) this.settled();
  }

  stand(root, place, zoom) {
    const { root: before } = this.ground;
    if (root !== before) this.ground = new Ground(this.cache, root);
    stand(this, place, zoom, root !== before);
    if (root === before) return;
    this.sample.place();
    this.film.draw();
  }

  /** The map came to rest: should it be deep below its root, or leave it, it gets another. */
  rested() {
    const { root } = this.ground;
    const place = root.place(this.view.local);
    const better = rootFor(place, this.view.zoom, root);
    if (better !== root) this.stand(better, place, this.view.zoom);
    this.settled();
  }

  /** Go to where the whole plane fits between the rulers. */
  showPlane(how) {
    const { x, y } = this.map.getSize();
    this.go({ x: 0.5, y: 0.5, width: 1.03 * this.film.guideWidth() / Math.min(x - 90, y - 54) }, how);
  }

  /** What the frame of a film shows now. */
  framed() {
    const { local, width_px: across } = this.view;
    return this.ground.root.place({ ...local, width: local.width * this.film.guideWidth() / across });
  }

  moved() {
    this.view = viewOf(this.map, this.ground.root);
    this.rule();
    showReadout(this, this.pointer);
    this.film.moved();
    this.lookAgain();
  }

  rule() {
    if (this.scene) drawRulers($("rulers"), this.view, this.scene.axes);
  }

  // ---- the server ---------------------------------------------------------------------------------------------

  /** Tell the server what is looked at, unless a preview has its attention. */
  sendView() {
    if (this.scene && !this.film?.preview.busy) this.mapSerial = this.live.look({ ...this.asked(), train: this.look.train });
  }

  /** What to ask of the server for what the map shows, or for another place and its pixels. */
  asked(place = this.ground.root.place(this.view.local), { width_px, height_px } = this.view) {
    const { look, ground, pointer } = this;
    return {
      scene: this.scene.name, at: this.dials.at, ...place, width_px: Math.round(width_px), height_px: Math.round(height_px),
      pointer: pointer && ground.inside(pointer) ? ground.root.place({ ...pointer, width: this.view.local.width }) : null, detail: look.detail, channel: look.channel, gap: look.gap, whole_plane: look.wholePlane, train: false,
    };
  }

  /** Another channel or scene: every sample is fetched again. */
  recolour() {
    this.cache.clear();
    if (this.film) this.film.preview.seen = 0;
    this.since = this.live.serial + 1;
    this.repaint();
    this.lookAgain();
    this.writeAddress();
  }

  /** The dials were moved: all samples are others. Those of before stay until the first of them is there. */
  redial() {
    if (this.dials.shorter && !["value", "escape_time"].includes(this.look.channel)) {
      this.look.channel = "value"; // others are read off the last state of a run
      this.panel.show();
    }
    this.old = true;
    clearTimeout(this.emptying);
    this.emptying = setTimeout(() => this.empty(), EMPTY_MS);
    this.film.preview.seen = 0;
    this.since = this.live.serial + 1;
    this.lookAgain();
  }

  /** Drop samples of other values of the dials. */
  empty() {
    if (!this.old) return;
    this.old = false;
    this.cache.clear();
    this.repaint();
  }

  take(buffer) {
    const serial = new DataView(buffer).getUint32(4, true);
    if (serial < this.since) return;
    this.empty();
    this.changed.push(this.cache.add(buffer));
    this.repaintSoon();
  }

  takeCurve(message) {
    if (message.serial < this.since) return;
    const { preview } = this.film;
    if (message.serial === preview.serial) preview.takeCurve(message);
    else if (this.colours.setCurve(message)) {
      this.panel.legend();
      this.repaint();
    }
  }

  repaint() {
    this.all = true;
    this.repaintSoon();
  }

  /** Paint at the next frame what has changed, once. */
  repaintSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.layer.repaint(this.all ? null : this.changed);
      this.all = false;
      this.changed = [];
      this.live.forget(this.cache.trim());
      this.film.preview.repaint();
      showReadout(this, this.pointer);
    });
  }

  // ---- addresses ----------------------------------------------------------------------------------------------

  writeAddress(step = false) {
    if (!this.scene) return;
    const { look, scene } = this;
    const hash = address.write({
      scene: scene.name, ...this.framed(),
      palette: look.palette === scene.look.palette ? null : look.palette,
      channel: look.channel === "value" ? null : look.channel,
    });
    // Back and forward come to a view but for a last bit, and must not count as a step of their own.
    if (address.same(hash, address.here())) return;
    if (step) history.pushState(null, "", hash); else history.replaceState(null, "", hash);
  }

  async readAddress() {
    const at = address.read(address.here());
    if (!at) return;
    if (at.scene !== this.scene?.name) await this.open(at.scene, at);
    else if (at.width) this.go(at, { quietly: true });
  }

  // ---- things to do -------------------------------------------------------------------------------------------

  async copy() {
    const at = this.framed();
    if (!inPlane(at)) return toast("The centre of this view lies outside the plane.");
    try {
      const digits = await api.post("where", { scene: this.scene.name, ...at });
      const lines = this.scene.axes.map((axis, i) => `${axis.name} = ${digits[i].value}${digits[i].log10 ? `  (log10 ${digits[i].log10})` : ""}`);
      await copyText(lines.join("\n"), "Coordinates of the centre");
    } catch (fault) {
      toast(fault.message);
    }
  }

  surprise() {
    return whileBusy($("surprise"), "A busy place in this view is being looked for.", () => this.askTarget());
  }

  async askTarget() {
    try {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const [best, ...others] = await api.post("targets", { ...this.asked(), serial: 0, seed });
      const target = Math.random() < 0.5 || !others.length ? best : others[Math.floor(Math.random() * Math.min(3, others.length))];
      this.go(target, { fly: true });
      const more = target.decades === null ? "" : `; good for about ${target.decades.toFixed(1)} more decades`;
      toast(`${Math.round(100 * target.density)} % of neighbours differ there${more}.`);
    } catch (fault) {
      toast(fault.message);
    }
  }

  async dropped(file) {
    try {
      const at = await api.postFile("still", file);
      if (at.scene !== this.scene?.name) await this.open(at.scene, at);
      else this.go(at);
    } catch (fault) {
      toast(fault.message);
    }
  }

  showTab(name) {
    for (const tab of ["film", "look", "sample"]) {
      $(tab).hidden = tab !== name;
      $(`tab-${tab}`).setAttribute("aria-selected", String(tab === name));
      $(`tab-${tab}`).tabIndex = tab === name ? 0 : -1; // the arrow keys lead to the others
    }
    this.film.showGuide(name === "film");
    if (name === "film") this.film.preview.repaint(); // it was not painted while it was hidden
    if (name === "look") this.panel.opened();
  }

  /** Fold the panel or show it; or, given which, one of these. */
  fold(folded = !document.body.classList.contains("folded")) {
    document.body.classList.toggle("folded", folded);
    $("fold").setAttribute("aria-expanded", String(!folded));
    this.map.invalidateSize({ animate: false });
  }
}

/** Call at once, then at most every `ms`, and once more at the end. */
function throttle(f, ms) {
  let waiting = false;
  let again = false;
  return function run() {
    if (waiting) { again = true; return; }
    waiting = true;
    f();
    setTimeout(() => {
      waiting = false;
      if (again) { again = false; run(); }
    }, ms);
  };
}

async function begin() {
  const app = new App();
  globalThis.explorer = app; // for the curious, and for tests
  app.live = new Live();
  const lost = $("lost");
  app.live.addEventListener("lost", ({ detail }) => {
    lost.textContent = detail.text ?? (detail.code === 1013 ? "Too many pages of this explorer are open. Close one."
      : "The explorer's server is gone. What is here stays; start it again with render explore, and open the address it prints.");
    lost.hidden = false;
  });
  app.live.addEventListener("open", () => { lost.hidden = true; app.cache.clear(); });
  app.live.addEventListener("recovered", () => { lost.hidden = true; });
  app.live.addEventListener("reset", () => { app.cache.clear(); app.repaint(); });
  app.live.addEventListener("tile", ({ detail }) => app.take(detail));
  app.live.addEventListener("curve", ({ detail }) => app.takeCurve(detail));
  app.live.addEventListener("status", ({ detail }) => {
    app.reference = detail.reference;
    showActivity(detail);
    showReadout(app, app.pointer);
  });
  app.live.addEventListener("fault", ({ detail }) => toast(detail.text));

  const start = await api.get("start");
  app.statuses = start.statuses;
  app.folder = start.folder;
  app.list(start.scenes);
  $("scene").onchange = () => app.open($("scene").value);
  app.film = new Film(app);
  app.panel = new LookPanel(app, start);

  app.map.on("move zoom resize", () => app.moved());
  app.map.on("moveend", () => app.rested());
  app.map.on("mousemove", ({ containerPoint }) => {
    app.mouse = containerPoint;
    showReadout(app, app.pointer);
    app.pointAgain();
  });
  app.map.on("mouseout", () => { app.mouse = null; showReadout(app, null); });
  app.map.on("click", ({ latlng }) => app.sample.show(latlng.lng, latlng.lat));
  addEventListener("popstate", () => app.readAddress()); // also when a person edits the part behind #
  new ResizeObserver(() => app.map.invalidateSize({ animate: false })).observe($("map"));
  listen(app);
  answerDisabled();

  const at = address.read(address.here());
  await app.open(at && start.scenes.includes(at.scene) ? at.scene : start.first ?? (start.scenes.includes(USUAL) ? USUAL : start.scenes[0]), at ?? {});
  if (!start.first && !at) toast("Choose a scene above: each is another network, or another pair of hyperparameters.");
  app.ready = true;
}

begin().catch((error) => {
  $("lost").textContent = error.message;
  $("lost").hidden = false;
});
