"""Frame rates in frames a second, as exact fractions.

Television uses rates such as 30000/1001. A decimal such as 29.97 is a name for such a rate: taken literally, it would
let a film drift from its sound by one frame in nine hours.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

# The largest denominator of a rate. ffmpeg and the container formats of films store such ratios exactly.
_MOST_DENOMINATOR = 1001

_NAMES = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "47.952": Fraction(48000, 1001),
    "47.95": Fraction(48000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}

_RATIO = re.compile(r"(\d{1,9})/(\d{1,9})")


def exact(fps: Fraction | float | str) -> Fraction:
    """Return a frame rate as an exact fraction with a denominator of at most 1001.

    fps: a positive number, or a text such as "30000/1001" or "29.97". Decimals that name a rate of television
    give that rate; any other float gives the nearest fraction. Raises ValueError.
    """
    if isinstance(fps, str):
        if ratio := _RATIO.fullmatch(fps.strip()):
            if not int(ratio[2]):
                raise ValueError("must not have the denominator 0")
            rate = Fraction(int(ratio[1]), int(ratio[2]))
            if rate.denominator > _MOST_DENOMINATOR:
                raise ValueError(f"must be a ratio whose denominator is at most {_MOST_DENOMINATOR}, not {fps[:60]}")
            return rate
        text = fps
        try:
            fps = float(text)
        except ValueError:
            raise ValueError(f'must be a number or a ratio such as "30000/1001", not {text[:60]!r}') from None
    if isinstance(fps, float) and not math.isfinite(fps):
        raise ValueError(f"must be finite, not {fps:g}")
    if isinstance(fps, float) and (named := _NAMES.get(repr(fps))):
        return named
    return Fraction(fps).limit_denominator(_MOST_DENOMINATOR)


def plain(fps: Fraction) -> float | str:
    """Return a frame rate as files hold it: a whole number, a decimal that gives exactly this rate, or a ratio."""
    if fps.denominator == 1:
        return int(fps)
    decimal = float(fps)
    if Fraction(repr(decimal)) == fps == exact(decimal):
        return decimal
    return f"{fps.numerator}/{fps.denominator}"
