"""One axis of the plane: unit interval <-> hyperparameter value.

A *position* is the quantity in which the axis is evenly spaced: log10 of the value on a log10 axis, else the value.
Positions and unit coordinates are exact fractions; a hyperparameter value becomes float64 once, at the end.
"""

from __future__ import annotations

import decimal
import functools
import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from render.geometry.float64_limits import LEAST_STEPS_APART, PLAIN_STEPS_APART
from render.geometry.tiles import SAMPLES

# 60 digits are more than twice what the deepest float64 view needs, so that a value is rounded only once, to float64.
_DIGITS = 60
_CONTEXT = decimal.Context(prec=_DIGITS, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)

# The deepest level that a view may use. A view there is about 1e-118 of the plane wide.
DEEPEST_LEVEL = 400


def exact(text: str) -> Fraction:
    """Return a decimal string (any number of digits, exponent allowed) as an exact fraction.

    Raises ValueError for anything that is not a finite decimal number, and for exponents beyond +-400: no
    hyperparameter needs them, and their fractions could fill the memory.
    """
    try:
        number = Decimal(text)
    except decimal.InvalidOperation:
        raise ValueError(f"must be a decimal number, not {text!r}") from None
    if not number.is_finite():
        raise ValueError(f"must be finite, not {text!r}")
    if len(text) > 400 or (number != 0 and abs(number.adjusted()) > 400):
        raise ValueError(f"must have at most 400 digits and an exponent within +-400, not {text[:40]!r}")
    return Fraction(number)


def _decimal(value: Fraction, context: decimal.Context = _CONTEXT) -> Decimal:
    return context.divide(Decimal(value.numerator), Decimal(value.denominator))


@functools.cache
def _context(level: int) -> decimal.Context:
    """Return a context with 28 digits of the sample spacing of a level: the 16 digits of float64, and 12 more."""
    digits = max(_DIGITS, 30 + math.ceil((level + math.log2(SAMPLES)) * math.log10(2)))
    return decimal.Context(prec=digits, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


@dataclass(frozen=True)
class Axis:
    """A named hyperparameter over [lo, hi] (exact positions), spread evenly over the unit interval."""

    name: str
    scale: Literal["log10", "linear"]
    lo: Fraction
    hi: Fraction

    def __post_init__(self) -> None:
        if not self.lo < self.hi:
            raise ValueError(f"axis {self.name!r} must rise: {float(self.lo)} is not below {float(self.hi)}")

    @property
    def span(self) -> Fraction:
        """Length of the axis in positions (decades on a log10 axis)."""
        return self.hi - self.lo

    @property
    def deepest_level(self) -> int:
        """The deepest level whose neighbouring samples are at least 16 float64 steps apart."""
        return self._level_of_steps(LEAST_STEPS_APART)

    @property
    def last_plain_level(self) -> int:
        """The deepest level that is trained plainly where samples may be followed by differences."""
        return self._level_of_steps(PLAIN_STEPS_APART)

    def _level_of_steps(self, apart: int) -> int:
        if self.scale == "log10":
            steps = math.log(10) * float(self.span) * 2.0**52
        else:
            steps = float(self.span) / math.ulp(max(abs(float(self.lo)), abs(float(self.hi))))
        return math.floor(math.log2(steps / (apart * SAMPLES)))

    def position_from_value(self, value: Fraction) -> Fraction:
        """Return the position of a hyperparameter value; a log10 axis needs value > 0."""
        if self.scale == "linear":
            return value
        if value <= 0:
            raise ValueError(f"must be > 0 on the log10 axis {self.name!r}, not {float(value):g}")
        return Fraction(_CONTEXT.log10(_decimal(value)))

    def unit_from_position(self, position: Fraction) -> Fraction:
        """Return the unit coordinate of a position; outside [0, 1] when it lies outside the axis."""
        return (position - self.lo) / self.span

    def position_from_unit(self, unit: Fraction) -> Fraction:
        """Return the position at a unit coordinate, exactly."""
        return self.lo + self.span * unit

    def value_from_unit(self, unit: Fraction, level: int = 0) -> Decimal:
        """Return the hyperparameter value at a unit coordinate, with 60 digits, or more on a deep level."""
        context = _context(level)
        position = _decimal(self.position_from_unit(unit), context)
        return context.power(Decimal(10), position) if self.scale == "log10" else position

    def values(self, level: int, first: int) -> np.ndarray:
        """Return the float64 values [SAMPLES] of lattice indices first, first + 1, ... of a level.

        Each value is computed with 60 digits or more and rounded once, so it depends on its own index alone.
        """
        return _values(self, level, first)

    def differences(self, level: int, first: int, origin: Fraction) -> np.ndarray:
        """Return the exact differences of the same values from an origin, rounded once: float64 [SAMPLES]."""
        context = _context(level)
        start = _decimal(origin, context)
        return np.array([float(context.subtract(value, start)) for value in _decimals(self, level, first)])


@functools.lru_cache(maxsize=4096)
def _values(axis: Axis, level: int, first: int) -> np.ndarray:
    values = np.array([float(value) for value in _decimals(axis, level, first)])
    values.flags.writeable = False
    return values


def _decimals(axis: Axis, level: int, first: int) -> list[Decimal]:
    """Return the values of lattice indices first, first + 1, ... with the digits that the level needs."""
    spacing, context = Fraction(1, SAMPLES << level), _context(level)
    if axis.scale == "linear":
        return [_decimal(axis.position_from_unit((first + i) * spacing), context) for i in range(SAMPLES)]
    # Sample i is first_value * ratio**i. 32 multiplications at 60 digits leave an error near 1e-58, so the result
    # rounds to the float64 nearest to the exact value, at a thirtieth of the cost of 32 powers.
    values = [axis.value_from_unit(first * spacing, level)]
    ratio = context.power(Decimal(10), _decimal(axis.span * spacing, context))
    while len(values) < SAMPLES:
        values.append(context.multiply(values[-1], ratio))
    return values
