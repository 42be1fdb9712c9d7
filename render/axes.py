"""One axis of the plane: unit interval <-> hyperparameter value.

A *position* is what the axis is even in: log10 of the value on a log10 axis, the value itself on a linear one.
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

from render.tiles import SAMPLES

# 60 digits: more than twice what the deepest float64 view needs, so that rounding to float64 happens once.
_CONTEXT = decimal.Context(prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)

# Neighbouring samples must be this many float64 steps apart. At 16, rounding moves a sample by at most 1/32 of
# the lattice spacing. On a nine-decade axis the limit is a view of about 1e-13 decades, where training itself
# keeps only 96 % of the signs in float64 (measured against 80-bit arithmetic), so nothing true is lost.
_STEPS_APART = 16


def exact(text: str) -> Fraction:
    """Return a decimal string (any number of digits, exponent allowed) as an exact fraction.

    Raises ValueError for anything that is not a finite decimal number, and for exponents beyond +-400, which
    no hyperparameter needs and which would take a program's memory.
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


def _decimal(value: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


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
        if self.scale == "log10":
            steps = math.log(10) * float(self.span) * 2.0**52
        else:
            steps = float(self.span) / math.ulp(max(abs(float(self.lo)), abs(float(self.hi))))
        return math.floor(math.log2(steps / (_STEPS_APART * SAMPLES)))

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

    def value_from_unit(self, unit: Fraction) -> Decimal:
        """Return the hyperparameter value at a unit coordinate, to 60 digits."""
        position = _decimal(self.position_from_unit(unit))
        return _CONTEXT.power(Decimal(10), position) if self.scale == "log10" else position

    def values(self, level: int, first: int) -> np.ndarray:
        """Return the float64 values [SAMPLES] of lattice indices first, first + 1, ... of a level.

        Computed to 60 digits and rounded once, so a value depends on its own index alone.
        """
        return _values(self, level, first)


@functools.lru_cache(maxsize=4096)
def _values(axis: Axis, level: int, first: int) -> np.ndarray:
    spacing = Fraction(1, SAMPLES << level)
    values = np.empty(SAMPLES)
    if axis.scale == "linear":
        values[:] = [float(axis.position_from_unit((first + i) * spacing)) for i in range(SAMPLES)]
    else:
        # Sample i is first_value * ratio**i. 32 multiplications at 60 digits leave an error near 1e-58, so the
        # float64 nearest to the exact value comes out, at a thirtieth of the cost of 32 powers.
        value = axis.value_from_unit(first * spacing)
        ratio = _CONTEXT.power(Decimal(10), _decimal(axis.span * spacing))
        for i in range(SAMPLES):
            values[i] = float(value)
            value = _CONTEXT.multiply(value, ratio)
    values.flags.writeable = False
    return values
