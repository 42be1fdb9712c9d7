// Places at any depth. A double tells a 1e-16 of the plane apart, and zooms go on to 1e-118 of it: so the page works in the
// unit square of a root, a tile of some level that holds what is looked at, where doubles do; between roots, on the wire
// and in addresses a place is { x, y, width }: unit coordinates as decimal text, and a plain number.

const BITS = 480n; // a fixed-point coordinate counts 2 ** -480 of the plane: a billionth of a sample of level 400, and less
const SCALE = 2 ** 480;
const ONE = 1n << BITS;
const LOCAL_BITS = 60; // what is kept of a local double: 2 ** -60 of the root

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?$/i;

/** Whether a text is a decimal number that a place may have. */
export const isDecimal = (text) => text.length <= 400 && DECIMAL.test(text) && /\d/.test(text);

/** A unit coordinate, decimal text or number, in fixed point. */
export function fixed(coordinate) {
  const [, sign, integer, part = "", power = "0"] = DECIMAL.exec(String(coordinate));
  const places = part.length - Number(power);
  const digits = BigInt(integer + part);
  const size = places > 0 ? divided(digits * ONE, 10n ** BigInt(places)) : digits * ONE * 10n ** BigInt(-places);
  return sign === "-" ? -size : size;
}

/** n / d, rounded; d > 0. */
function divided(n, d) {
  const twice = 2n * n + d;
  return twice / (2n * d) - (twice < 0n && twice % (2n * d) !== 0n ? 1n : 0n);
}

/** A fixed-point number as decimal text, to so many places. */
export function text(number, places) {
  const scaled = divided((number < 0n ? -number : number) * 10n ** BigInt(places), ONE).toString().padStart(places + 1, "0");
  const part = places ? scaled.slice(-places).replace(/0+$/, "") : "";
  return `${number < 0n ? "-" : ""}${scaled.slice(0, scaled.length - places)}${part && `.${part}`}`;
}

/** The places that tell a part of a width from the next. */
export const placesFor = (step) => Math.max(0, Math.ceil(-Math.log10(step)));

/** A fraction "3/7", or a whole number, in fixed point. */
export function fraction(text) {
  const [n, d = "1"] = text.split("/");
  return divided(BigInt(n) * ONE, BigInt(d));
}

/** A fixed-point number times a fraction. */
export function times(number, text) {
  const [n, d = "1"] = text.split("/");
  return divided(number * BigInt(n), BigInt(d));
}

/** How far two coordinates are apart, as a number. */
export const apart = (a, b) => Math.abs(Number(fixed(a) - fixed(b)) / SCALE);

/** Whether a place's centre lies in the plane. */
export const inPlane = ({ x, y }) => [x, y].map(fixed).every((at) => at >= 0n && at <= ONE);

export class Root {
  /** x, y: its lower left corner, in fixed point. */
  constructor(level, x, y) {
    Object.assign(this, { level, x, y });
  }

  /** The tile of a level that holds a place; the nearest in the plane. */
  static at(level, place) {
    const shift = BITS - BigInt(level);
    const last = (1n << BigInt(level)) - 1n;
    const corner = (coordinate) => {
      const index = fixed(coordinate) >> shift;
      return (index < 0n ? 0n : index > last ? last : index) << shift;
    };
    return new Root(level, corner(place.x), corner(place.y));
  }

  /** The plane's edges in this root's units; huge, but good enough to tell where they are. */
  get bounds() {
    const unit = SCALE / 2 ** this.level;
    return { x0: Number(-this.x) / unit, y0: Number(-this.y) / unit, x1: Number(ONE - this.x) / unit, y1: Number(ONE - this.y) / unit };
  }

  /** A place in this root's units. */
  local({ x, y, width }) {
    const unit = SCALE / 2 ** this.level;
    return { x: Number(fixed(x) - this.x) / unit, y: Number(fixed(y) - this.y) / unit, width: width * 2 ** this.level };
  }

  /** The other way round: centre and width in this root's units as a place. */
  place({ x, y, width }) {
    const places = placesFor(width / 2 ** this.level) + 12;
    const [fx, fy] = this.fixed({ x, y });
    return { x: text(fx, places), y: text(fy, places), width: width / 2 ** this.level };
  }

  /** A point in this root's units in fixed point. */
  fixed({ x, y }) {
    const shift = BITS - BigInt(this.level + LOCAL_BITS);
    const absolute = (corner, local) => corner + (BigInt(Math.round(local * 2 ** LOCAL_BITS)) << shift);
    return [absolute(this.x, x), absolute(this.y, y)];
  }

  /** A point in this root's units as plain numbers of the plane, as exact as those are. */
  plain({ x, y }) {
    return this.level === 0 ? { x, y } : { x: Number(this.fixed({ x, y })[0]) / SCALE, y: Number(this.fixed({ x, y })[1]) / SCALE };
  }

  /** Address in the whole pyramid of a tile of this root's own. */
  address(level, ix, iy) {
    if (this.level === 0) return `${level}/${ix}/${iy}`;
    const shift = BITS - BigInt(this.level + level);
    return `${this.level + level}/${(this.x >> shift) + BigInt(ix)}/${(this.y >> shift) + BigInt(iy)}`;
  }

  /** The other way round, for a tile of this root's level or below; null for a wider one. */
  tile({ level, ix, iy }) {
    if (level < this.level) return null;
    const shift = BITS - BigInt(level);
    return { level: level - this.level, ix: Number(BigInt(ix) - (this.x >> shift)), iy: Number(BigInt(iy) - (this.y >> shift)) };
  }
}

export const PLANE = new Root(0, 0n, 0n);
