// What the live connection is in the explorer: views go out, tiles and colour curves come in. Here tiles come out of the
// files beside the page, and nothing is trained.

import { load, site } from "./api.js";
import { asSent, cover, packOf, Shelf, unpacked } from "./packs.js";
import { curveOf } from "./ranks.js";

const AT_ONCE = 6; // as many as browsers fetch from one server
const COARSE = 5; // levels above one sample per pixel that a view is first shown at
const CURVE_MS = 200;
const CURVE_ROWS = 64; // rows of samples that a view's colour curve is taken from, as in a film
const PLANE_LEVEL = 2; // whose samples give the curve of the whole plane
const MOST_VALUES = 200_000; // no curve needs more
const MOST_WAIT_MS = 10_000;
const PLANE = { x: "0.5", y: "0.5", width: 1, width_px: 1, height_px: 1 };

const nameOf = ({ level, x, y }) => `${level}/${x}/${y}`;
const key = ({ level, ix, iy }) => `${level}/${ix}/${iy}`;

export class Live extends EventTarget {
  constructor() {
    super();
    this.serial = 0;
    this.view = null;
    this.wanted = []; // packs, the first first
    this.packs = new Set(); // those that are here, or on their way
    this.failed = new Set(); // packs that could not be read: a cache is not asked for them again
    this.lost = new Set(); // those of them that this view lacks
    this.known = new Map(); // tile -> its signed sizes
    this.under_way = 0;
    this.wait = 500;
    this.ready = site().then(({ packs }) => {
      this.shelf = new Shelf(packs.levels);
      this.channels = packs.channels;
      this.version = packs.version; // in every address, so that no cache answers with a pack of an earlier site
    }, () => {}); // the page itself reports a site.json that is not there
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Say what this page looks at now. Returns the view's serial number. */
  look(view) {
    if (this.view && view.channel !== this.view.channel) {
      this.packs.clear();
      this.known.clear();
    }
    this.view = { serial: ++this.serial, ...view };
    this.ready.then(() => {
      if (!this.shelf) return;
      this.wanted = this.needed(this.view);
      const names = new Set(this.wanted.map(nameOf));
      this.lost = new Set([...this.lost].filter((name) => names.has(name)));
      if (!this.lost.size) this.emit("recovered");
      this.fetchMore();
      this.curveSoon();
    });
    return this.serial;
  }

  /** The page has dropped these tiles. */
  forget(tiles) {
    for (const [level, ix, iy] of tiles) {
      this.packs.delete(packOf({ level, ix, iy }));
      this.known.delete(`${level}/${ix}/${iy}`);
    }
  }

  /** The finest level that a view needs for its detail, and the coarsest that it is shown at first. */
  levels({ width, width_px: across, detail }) {
    const level = Math.log2(across / 32 / width);
    const finest = Math.min(Math.max(Math.floor(level + Math.log2(detail) + 0.5), 0), this.shelf.deepest);
    return { finest, coarsest: Math.min(Math.max(Math.floor(level) - COARSE, 0), finest) };
  }

  /** The packs of a view, coarse ones first; and what is coarser still, where nothing else is. */
  needed(view) {
    const { finest, coarsest } = this.levels(view);
    const wanted = [];
    for (let level = finest; level >= 0; level--) {
      const { packs, all } = this.shelf.needed(view, level);
      wanted.unshift(...packs);
      if (all && level <= coarsest) break;
    }
    if (view.whole_plane) wanted.unshift(...this.shelf.needed(PLANE, PLANE_LEVEL).packs);
    return wanted;
  }

  fetchMore() {
    this.wanted = this.wanted.filter((pack) => !this.packs.has(nameOf(pack)));
    while (this.under_way < AT_ONCE && this.wanted.length) {
      const pack = this.wanted.shift();
      this.packs.add(nameOf(pack));
      this.under_way++;
      this.fetchOne(pack, nameOf(pack)).finally(() => { this.under_way--; this.fetchMore(); });
    }
    const left = this.wanted.length + this.under_way;
    this.emit("status", { state: left ? "training" : "idle", text: left ? `loading ${left} files` : "all samples of this view are here", reference: null });
  }

  async fetchOne(pack, name) {
    const { channel, serial } = this.view;
    try {
      const tiles = await unpacked(await load(`tiles/${name}.tiles?${this.version}`, this.failed.has(name) ? "reload" : "default"), pack, this.channels.indexOf(channel));
      if (channel !== this.view.channel) return;
      for (const tile of tiles) {
        this.known.set(key(tile), tile.signed);
        this.emit("tile", asSent(tile, Math.max(serial, this.serial)));
      }
      this.wait = 500;
      this.lost.delete(name);
      if (!this.lost.size) this.emit("recovered");
      this.curveSoon();
    } catch (fault) {
      // Not to be asked again at once: whoever looks sees what is missing, and it is tried again in a while.
      const text = fault.message.includes("cannot be loaded") ? fault.message : `tiles/${name}.tiles cannot be read: it is damaged.`;
      this.failed.add(name);
      this.lost.add(name);
      this.emit("lost", { text });
      setTimeout(() => { this.packs.delete(name); if (this.view) { this.wanted = this.needed(this.view); this.fetchMore(); } }, this.wait);
      this.wait = Math.min(2 * this.wait, MOST_WAIT_MS);
    }
  }

  // ---- colours -----------------------------------------------------------------------------------------------------

  curveSoon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      const { serial, gap } = this.view;
      const values = this.values(this.view);
      if (values.length) this.emit("curve", { serial, ...curveOf(values, gap) });
    }, CURVE_MS);
  }

  /** The signed sizes of a view, of a level that has rows enough; or of one that has the most of them. */
  values(view) {
    const { finest } = this.levels(view);
    const rows = Math.ceil(Math.log2(CURVE_ROWS * view.width_px / view.height_px / 32 / view.width));
    const enough = view.whole_plane ? PLANE_LEVEL : Math.max(0, Math.min(finest, rows));
    let best = [];
    for (let level = enough; level >= 0; level--) {
      const [[x0, x1], [y0, y1]] = cover(view.whole_plane ? PLANE : view, level);
      const tiles = [];
      for (let iy = y0; iy <= y1; iy++)
        for (let ix = x0; ix <= x1; ix++) tiles.push(this.known.get(key({ level, ix, iy })));
      const loaded = tiles.filter(Boolean);
      if (loaded.length > best.length) best = loaded;
      if (loaded.length === tiles.length) break;
    }
    const every = Math.ceil(best.length * 1024 / MOST_VALUES);
    return Float64Array.from(best.flatMap((signed) => every > 1 ? [...signed.filter((_, i) => i % every === 0)] : [...signed]));
  }
}
