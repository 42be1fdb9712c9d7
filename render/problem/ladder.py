"""The numbers of steps after which the value of a run is kept, for films along training time.

A film shows any number of steps: between two rungs of the ladder their pictures are mixed.
"""

from __future__ import annotations

# Rungs of one decade. Below 100 every number is a rung. The rungs are round, and the same for runs of any length. Half
# way between two of them the mixed picture differs from the true one by so many steps of 8-bit colour on average, and
# neighbouring samples by so much less: 1.5 and 3.5 % from 100 to 105, 0.4 and 1.6 % from 200 to 220, 0.2 and 0.4 % from
# 400 to 440 (64 x 40 samples across the border of the tanh plane).
_DECADE = (*range(100, 200, 5), *range(200, 500, 25), *range(500, 1000, 50))


def ladder(steps: int) -> tuple[int, ...]:
    """Return the rungs for runs of so many steps, rising; `steps` itself, which needs none, is left out."""
    rungs, scale = set(range(1, min(100, steps))), 1
    while 100 * scale < steps:
        rungs.update(rung * scale for rung in _DECADE)
        scale *= 10
    return tuple(sorted(rung for rung in rungs if rung < steps))
