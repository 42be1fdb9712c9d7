// The samples that this page has: tiles by address, as the server sent them; and how a root sees them.

export const SIDE = 32; // samples along a tile
const SAMPLES = SIDE * SIDE;
const HEADER_BYTES = 120;
const WORDS = 7; // of 64 bits in a column or row
export const UNKNOWN = 255; // status of a sample that is not trained yet
const COMPLETE_VERSION = 5; // the version from which a tile has all its samples

// 22 kB each with its colours: 200 MB.
const MOST_TILES = 8000;

const key = (level, ix, iy) => `${level}/${ix}/${iy}`;

const index = (buffer, at) => String(new BigUint64Array(buffer, at, WORDS).reduceRight((high, word) => high << 64n | word, 0n));

export class Cache {
  constructor() {
    this.tiles = new Map();
    this.deepest = 0;
  }

  clear() {
    this.tiles.clear();
    this.deepest = 0;
  }

  get(level, ix, iy) {
    return this.tiles.get(key(level, ix, iy));
  }

  /** Take in a tile's bytes; see live.py for their layout. */
  add(buffer) {
    const head = new DataView(buffer);
    const tile = {
      level: head.getUint16(0, true),
      complete: head.getUint8(2) >= COMPLETE_VERSION,
      ix: index(buffer, 8),
      iy: index(buffer, 8 + 8 * WORDS),
      signed: new Float64Array(buffer, HEADER_BYTES, SAMPLES),
      loss: new Float64Array(buffer, HEADER_BYTES + 8 * SAMPLES, SAMPLES),
      escape: new Int32Array(buffer, HEADER_BYTES + 16 * SAMPLES, SAMPLES),
      status: new Uint8Array(buffer, HEADER_BYTES + 20 * SAMPLES, SAMPLES),
    };
    const name = key(tile.level, tile.ix, tile.iy);
    // Past float64 a view may come to follow another reference run: what it has stays until that is as sharp.
    const before = this.tiles.get(name);
    if (before?.complete && !tile.complete) return before;
    this.tiles.delete(name); // to the end: the newest
    this.tiles.set(name, tile);
    this.deepest = Math.max(this.deepest, tile.level);
    return tile;
  }

  /** Drop the oldest tiles beyond the limit, and return their addresses. */
  trim() {
    const dropped = [];
    for (const [name, tile] of this.tiles) {
      if (this.tiles.size <= MOST_TILES) break;
      this.tiles.delete(name);
      dropped.push([tile.level, tile.ix, tile.iy]);
    }
    return dropped;
  }
}

/** The cache as a root sees it: levels, indices and coordinates are the root's own. */
export class Ground {
  constructor(cache, root) {
    this.cache = cache;
    this.root = root;
    this.bounds = root.bounds;
  }

  get deepest() {
    return this.cache.deepest - this.root.level;
  }

  get(level, ix, iy) {
    return this.cache.tiles.get(this.root.address(level, ix, iy));
  }

  inside({ x, y }) {
    return x >= this.bounds.x0 && x <= this.bounds.x1 && y >= this.bounds.y0 && y <= this.bounds.y1;
  }

  /** The lattice index of a level nearest to a coordinate of an axis, "x" or "y". */
  nearest(at, level, axis) {
    const scale = SIDE * 2 ** level;
    return Math.min(Math.max(Math.round(at * scale), this.bounds[`${axis}0`] * scale), this.bounds[`${axis}1`] * scale - 1);
  }

  /** The finest sample that is known nearest to a point: { tile, at, level, ix, iy } with lattice indices, or null. */
  sample(x, y, finest) {
    for (let level = Math.min(finest, this.deepest); level >= 0; level--) {
      const ix = this.nearest(x, level, "x");
      const iy = this.nearest(y, level, "y");
      const [column, row] = [Math.floor(ix / SIDE), Math.floor(iy / SIDE)];
      const tile = this.get(level, column, row);
      if (!tile) continue;
      const at = (iy - row * SIDE) * SIDE + (ix - column * SIDE);
      if (tile.status[at] !== UNKNOWN) return { tile, at, level, ix, iy };
    }
    return null;
  }
}
