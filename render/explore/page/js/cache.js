// The samples that this page has: tiles by address, as the server sent them.

export const SIDE = 32; // samples along a tile
const SAMPLES = SIDE * SIDE;
const HEADER_BYTES = 32;
export const UNKNOWN = 255; // status of a sample that is not trained yet
const WHOLE = 5; // the version from which a tile has all its samples

// 22 kB each with its colours: 200 MB.
const MOST_TILES = 8000;

export const key = (level, ix, iy) => `${level}/${ix}/${iy}`;

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
      level: head.getUint8(0),
      whole: head.getUint8(1) >= WHOLE,
      serial: head.getUint32(4, true),
      ix: head.getFloat64(8, true),
      iy: head.getFloat64(16, true),
      signed: new Float64Array(buffer, HEADER_BYTES, SAMPLES),
      loss: new Float64Array(buffer, HEADER_BYTES + 8 * SAMPLES, SAMPLES),
      escape: new Int32Array(buffer, HEADER_BYTES + 16 * SAMPLES, SAMPLES),
      status: new Uint8Array(buffer, HEADER_BYTES + 20 * SAMPLES, SAMPLES),
    };
    const name = key(tile.level, tile.ix, tile.iy);
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

  /** The finest sample that is known nearest to a point: { tile, at, level, ix, iy } with lattice indices, or null. */
  sample(x, y, finest) {
    for (let level = Math.min(finest, this.deepest); level >= 0; level--) {
      const scale = SIDE * 2 ** level;
      const ix = Math.min(Math.max(Math.round(x * scale), 0), scale - 1);
      const iy = Math.min(Math.max(Math.round(y * scale), 0), scale - 1);
      const tile = this.get(level, Math.floor(ix / SIDE), Math.floor(iy / SIDE));
      if (!tile) continue;
      const at = (iy % SIDE) * SIDE + (ix % SIDE);
      if (tile.status[at] !== UNKNOWN) return { tile, at, level, ix, iy };
    }
    return null;
  }
}
