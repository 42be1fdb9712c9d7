// The colour curve of samples, as curve_from_values in render/picture/colour.py makes it; a test compares both.

const KNOTS = 128;
const NEXT_TO_ZERO = 1e-300;

/** As NumPy rounds: a half goes to the even neighbour. */
function rounded(v) {
  const low = Math.floor(v);
  const part = v - low;
  return part < 0.5 || part === 0.5 && low % 2 === 0 ? low : low + 1;
}

/** Knots that rise, and their tones, of signed sizes. */
export function curveOf(values, gap) {
  const knots = [];
  const tones = [];
  for (const [negative, first, last] of [[true, 1, gap], [false, -gap, -1]]) {
    const zero = negative ? -NEXT_TO_ZERO : 0;
    let side = values.filter((v) => negative ? v < 0 : v >= 0).sort();
    if (!side.length) side = Float64Array.of(zero);
    const count = Math.min(KNOTS, side.length);
    const means = new Map(); // point -> [sum, number] of its tones: equal values share the mean
    for (let i = 0; i < count; i++) {
      const rank = count > 1 ? i / (count - 1) : 0;
      const point = side[rounded(rank * (side.length - 1))] + 0; // one zero, not two
      const target = first + (last - first) * (side.length > 1 ? rank : 0.5);
      const [sum, n] = means.get(point) ?? [0, 0];
      means.set(point, [sum + target, n + 1]);
    }
    const points = [...means].map(([point, [sum, n]]) => [point, sum / n]);
    if (!means.has(zero)) points.splice(negative ? points.length : 0, 0, [zero, negative ? last : first]);
    for (const [point, tone] of points) {
      knots.push(point);
      tones.push(tone);
    }
  }
  return { knots, tones };
}
