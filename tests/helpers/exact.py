"""One training run in arbitrary precision, written out by hand: it shares no code with `render.train`.

python-flint's real balls one by one, in the published order of operations. The constants are float64, as a problem
defines them: sqrt(2) is the float64 nearest to it, data and initial weights are taken as exact.
"""

import math
from fractions import Fraction

import flint
import numpy as np

from tests.helpers.published import Draws

CAP = 1e6


def run(
    draws: Draws, activation: str, steps: int, names: tuple[str, str], x: Fraction, y: Fraction, bits: int = 256
) -> float:
    """Return the measure of a run of a net with one hidden layer: < 0 if it converged.

    draws: weights, inputs, targets, batches as in tests/helpers/oracle.py. names: of x and y, as there.
    """
    flint.ctx.prec = bits
    weights, inputs, targets, batches = draws
    big = {name: flint.arb(flint.fmpq(v.numerator, v.denominator)) for name, v in zip(names, (x, y), strict=True)}
    rates = [big.get("lr_input", big.get("lr")), big.get("lr_output", big.get("lr"))]
    n = inputs.shape[1]
    gain = 1.0 if activation == "identity" else math.sqrt(2.0)
    scale = flint.arb(gain / math.sqrt(n))
    every = flint.arb_mat([[float(v) for v in row] for row in inputs])
    goal = [flint.arb(float(v)) for v in targets[:, 0]]
    w0 = flint.arb_mat([[float(v) for v in row] for row in weights[0]])
    w1 = flint.arb_mat([[float(v)] for v in weights[1][:, 0]])
    history = []
    for step in range(steps):
        if "offset" in big:
            w0 = flint.arb_mat(n, n, [v + big["offset"] for v in w0.entries()])
        if batches is None:
            loss, gradients = _pass(w0, w1, every, goal, scale, activation, n)
        else:
            loss, _ = _pass(w0, w1, every, goal, scale, activation, n)
            chosen = batches[step]
            part = flint.arb_mat([[float(v) for v in inputs[i]] for i in chosen])
            _, gradients = _pass(w0, w1, part, [goal[i] for i in chosen], scale, activation, n)
        history.append(float(loss))
        if not math.isfinite(history[-1]) or history[-1] > 1e60:
            history += [math.inf] * (steps - len(history))
            break
        w0, w1 = (
            flint.arb_mat(
                w.nrows(),
                w.ncols(),
                [(v - rate * g).mid() for v, g in zip(w.entries(), gradient.entries(), strict=True)],
            )
            for w, rate, gradient in zip((w0, w1), rates, gradients, strict=True)
        )
    return _measure(np.array(history))


def _pass(w0, w1, inputs, goal, scale, activation, n):  # type: ignore[no-untyped-def]
    count = inputs.nrows()
    z = (inputs * w0 * scale).entries()
    if activation == "tanh":
        h = [v.tanh() for v in z]
        slope = [1 - v * v for v in h]
    elif activation == "relu":
        on = [v.mid() > 0 for v in z]
        h = [v if o else flint.arb(0) for v, o in zip(z, on, strict=True)]
        slope = [flint.arb(int(o)) for o in on]
    else:
        h, slope = z, [flint.arb(1)] * len(z)
    hidden = flint.arb_mat(count, n, h)
    output = [v / n for v in (hidden * w1).entries()]
    error = [o - g for o, g in zip(output, goal, strict=True)]
    loss = sum((e * e for e in error), flint.arb(0)) / count
    in_output = flint.arb_mat(count, 1, [2 * e / count / n for e in error])
    back = (in_output * w1.transpose()).entries()
    in_z = flint.arb_mat(count, n, [b * s * scale for b, s in zip(back, slope, strict=True)])
    return loss, (inputs.transpose() * in_z, hidden.transpose() * in_output)


def _measure(losses: np.ndarray) -> float:
    finite = np.where(np.isfinite(losses), losses, CAP)
    v = np.where(np.isfinite(losses), np.minimum(finite / finite[0], CAP), CAP)
    return float(-v.sum() if v[-20:].mean() < 1 else (1 / v).sum())
