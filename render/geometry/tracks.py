"""Numbers that keyframes set besides the view: the steps of the runs, or a hyperparameter. They change along the path.

The path has a length also where such a number changes while the camera stands still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

# The name of the track of the number of steps after which runs are shown.
STEPS = "steps"

# A number that changes linearly has no octaves, so each way from one keyframe to the next counts as this many.
# Keyframes with values closer together therefore show a part of its range in more slices.
_LINEAR_OCTAVES = 4.0


@dataclass(frozen=True)
class Track:
    """One number along a path.

    name: STEPS, or the name of the hyperparameter or setting. logarithmic: whether the logarithm of the number, and not
    the number itself, changes linearly between keyframes; the values must then be > 0. values: one for each keyframe.
    label: the name in words. integer: whether the number is shown as an integer.
    """

    name: str
    logarithmic: bool
    values: tuple[float, ...]
    label: str = ""
    integer: bool = False

    def words(self, value: float, *, short: bool = False) -> str:
        """Return a value as a frame shows it. short: by the track's name, where its label finds no room."""
        if self.name == STEPS:
            count = round(value)
            return f"after {count:,} step{'s' if count != 1 else ''}"
        name = self.name if short or not self.label else self.label
        return f"{name} {f'{round(value):,}' if self.integer else f'{value:.3g}'}"

    def between(self, i: int, fraction: float) -> float:
        """Return the value at a fraction, 0 to 1, of the way from keyframe i to the next."""
        a = self.values[i]
        if fraction <= 0.0 or i + 1 == len(self.values):
            return a
        b = self.values[i + 1]
        if fraction >= 1.0 or a == b:
            return b
        if self.logarithmic:
            return math.exp(math.log(a) + (math.log(b) - math.log(a)) * fraction)
        return a + (b - a) * fraction

    def length(self, i: int) -> float:
        """Return the length of the way from keyframe i to the next, in octaves of path."""
        a, b = self.values[i], self.values[i + 1]
        if self.logarithmic:
            return abs(math.log2(b / a))
        return _LINEAR_OCTAVES if a != b else 0.0

    def reversed(self) -> Track:
        """Return the track of the same keyframes in the opposite order."""
        return replace(self, values=self.values[::-1])
