"""Numbers that keyframes set besides the view: the steps of the runs, or a hyperparameter. They move with the camera.

A camera that stands still while such a number moves is on its way all the same: the path has a length there too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

# The name of the track that holds after how many steps runs are looked at.
STEPS = "steps"

# A number that moves evenly in itself has no octaves: from one keyframe to the next it counts as so many, however far.
# So keyframes with values closer together show a part of its range in more slices.
_LINEAR_OCTAVES = 4.0


@dataclass(frozen=True)
class Track:
    """One number along a path.

    name: STEPS, or that of the hyperparameter or setting. logarithmic: whether it is even in its logarithm between
    keyframes, and not in itself; its values are > 0 then. values: at each keyframe. label: its name in words.
    whole: whether only whole numbers mean anything.
    """

    name: str
    logarithmic: bool
    values: tuple[float, ...]
    label: str = ""
    whole: bool = False

    def words(self, value: float, *, short: bool = False) -> str:
        """Return a value as a frame shows it. short: by the track's name, where its label finds no room."""
        if self.name == STEPS:
            count = round(value)
            return f"after {count:,} step{'s' if count != 1 else ''}"
        name = self.name if short or not self.label else self.label
        return f"{name} {round(value):,}" if self.whole else f"{name} {value:.3g}"

    def between(self, i: int, share: float) -> float:
        """Return the value at a share, 0 to 1, of the way from keyframe i to the next."""
        a = self.values[i]
        if share <= 0.0 or i + 1 == len(self.values):
            return a
        b = self.values[i + 1]
        if share >= 1.0 or a == b:
            return b
        return math.exp(math.log(a) + (math.log(b) - math.log(a)) * share) if self.logarithmic else a + (b - a) * share

    def length(self, i: int) -> float:
        """Return how long the way from keyframe i to the next is, in octaves of path."""
        a, b = self.values[i], self.values[i + 1]
        if self.logarithmic:
            return abs(math.log2(b / a))
        return _LINEAR_OCTAVES if a != b else 0.0

    def reversed(self) -> Track:
        """Return the track of the same keyframes in the opposite order."""
        return replace(self, values=self.values[::-1])
