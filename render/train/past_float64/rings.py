"""Rings: what all runs near a reference do, until they leave it, as polynomials of the two offsets they start with.

Ring j holds offsets of size (2^(j-1), 2^j], the larger of the two axes, each relative to a power of two near the
reference's hyperparameter. With s the offset over 2^j, from -1 to 1 on both axes, the difference from the reference
after t steps is a smooth function of s, and so are the measure's sums. Both are fitted by polynomials of total degree 8
to 100 probe lanes of the difference engine, and tested at 28 others. The first phase after which a test fails ends the
ring for good: a polynomial that is good again later would be so by chance.

A ring follows from its reference and its number alone, and so a sample remains a function of its place.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Total degree. Of the published network, degree 8 holds to 1e-12 about as long as lanes are followed at all; degree 4
# gives up ten phases earlier at 1e-12 decades.
_DEGREE = 8

# Probes along an axis: two more than there are coefficients along it, so that what is left out does not fold back.
_NODES = 10

# Largest error at the tests, relative to the largest difference of the leaf. Samples may stand as near as 1e-9 of their
# distance from the reference (see reference_search): a thousandth of that, so that a lane is not moved from its place.
_ERROR = 1e-12

# The same of the measure's sums, relative to the sums. They only add to the value, and nothing grows from them.
_SUMS_ERROR = 1e-10

# Terms T_a(s_x) T_b(s_y).
_TERMS = tuple((a, b) for a in range(_DEGREE + 1) for b in range(_DEGREE + 1 - a))


def _probe_places() -> np.ndarray:
    """Return s [probe, 2]: the zeros of T_10 on both axes, then the tests, corners and middles of sides included."""
    zeros = [math.cos(math.pi * (2 * i + 1) / (2 * _NODES)) for i in range(_NODES)]
    fitted = [(a, b) for a in zeros for b in zeros]
    edges = [(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0) if (a, b) != (0.0, 0.0)]
    # Twenty more, spread evenly by multiples of the golden ratio and its like in the plane (Roberts's sequence).
    spread = [(2 * math.modf(0.5 + i * 0.7548776662466927)[0] - 1, 2 * math.modf(0.5 + i * 0.5698402909980532)[0] - 1)
              for i in range(1, 21)]  # fmt: skip
    return np.array(fitted + edges + spread)


PLACES = _probe_places()
PROBES = len(PLACES)
_FITTED = _NODES * _NODES


def number_of(dx: np.ndarray, dy: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Return the ring int [point] of each offset; where both offsets are 0, the least whole number.

    scale: the powers of two that offsets are relative to.
    """
    size = np.maximum(np.abs(dx) / scale[0], np.abs(dy) / scale[1])
    mantissa, exponent = np.frexp(size)
    return np.where(size > 0, exponent.astype(np.int64) - (mantissa == 0.5), NONE)


# The ring of the reference itself, which has none.
NONE = np.iinfo(np.int64).min


def scale_of(value: float) -> float:
    """Return the power of two that offsets of a hyperparameter are relative to: no larger than it; 1 at zero."""
    return math.ldexp(1.0, math.frexp(value)[1] - 1) if value else 1.0


def _chebyshev(s: Any, degree: int) -> list[Any]:
    """Return T_0(s) to T_degree(s)."""
    terms = [s * 0 + 1.0, s]
    for _ in range(2, degree + 1):
        terms.append(2.0 * s * terms[-1] - terms[-2])
    return terms


def _basis(s_x: Any, s_y: Any) -> list[Any]:
    """Return the terms at places, in order."""
    along_x, along_y = _chebyshev(s_x, _DEGREE), _chebyshev(s_y, _DEGREE)
    return [along_x[a] * along_y[b] for a, b in _TERMS]


_AT_PROBES = np.stack(_basis(PLACES[:, 0], PLACES[:, 1]), axis=1)  # [probe, term]
# Chebyshev polynomials are orthogonal over these zeros, so that a coefficient is a sum over them.
_WEIGHTS = np.stack(
    [_AT_PROBES[:_FITTED, i] * ((1 + (a > 0)) * (1 + (b > 0)) / _FITTED) for i, (a, b) in enumerate(_TERMS)]
)  # [term, fitted probe]


def fit(values: np.ndarray, *, sums: bool) -> np.ndarray | None:
    """Return coefficients float64 [term, ...] of values [probe, ...]; None where the tests say that they are no good.

    sums: whether the values are the measure's sums, which may be less exact than differences of the state.
    Values that are not float64 must be equal for all probes, and are returned [1, ...].
    """
    if values.dtype != np.float64:
        return values[:1] if (values == values[:1]).all() else None
    flat = values.reshape(PROBES, -1)
    if not np.isfinite(flat).all():
        return None
    # Sums in one order, element by element: a matrix product would leave the last bits to the library.
    coefficients = np.zeros((len(_TERMS), flat.shape[1]))
    for probe in range(_FITTED):
        coefficients += _WEIGHTS[:, probe, None] * flat[None, probe]
    tests = flat[_FITTED:]
    error = np.abs(_AT_PROBES[_FITTED:] @ coefficients - tests).max(initial=0.0)
    if error > (_SUMS_ERROR if sums else _ERROR) * np.abs(flat).max(initial=0.0):
        return None
    return coefficients.reshape(-1, *values.shape[1:])


# Lanes whose polynomials are added up at once: all of them in a processor's cache, 16 lanes of the published network.
_AT_ONCE = 16


def evaluate(coefficients: jax.Array, s_x: jax.Array, s_y: jax.Array) -> jax.Array:
    """Return the values [lane, ...] of polynomials [term, ...] at places [lane]; values [1, ...] are repeated.

    Term after term: the same bits for a place whatever the other lanes are.
    """
    if coefficients.shape[0] == 1:
        return jnp.broadcast_to(coefficients, (s_x.size, *coefficients.shape[1:]))
    size = math.gcd(s_x.size, _AT_ONCE)
    lanes = (-1, *[1] * (coefficients.ndim - 1))

    def some(places: tuple[jax.Array, jax.Array]) -> jax.Array:
        terms = jnp.stack(_basis(*places))  # [term, lane]

        def add(i: jax.Array, total: jax.Array) -> jax.Array:
            return total + terms[i].reshape(lanes) * coefficients[i][None]

        total: jax.Array = jax.lax.fori_loop(0, len(_TERMS), add, jnp.zeros((size, *coefficients.shape[1:])))
        return total

    values: jax.Array = jax.lax.map(some, (s_x.reshape(-1, size), s_y.reshape(-1, size)))
    return values.reshape(s_x.size, *coefficients.shape[1:])
