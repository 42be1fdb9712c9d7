"""The numbers of steps after which the value of a run is kept, for films along training time.

A film shows any number of steps: between two rungs of the ladder their pictures are mixed.
"""

from __future__ import annotations

# Rungs of one power of ten, over it. No rung lies farther above the one below than a tenth, and below twenty there is
# every step. They are round numbers, and the same for runs of any length.
_DECADE = (*range(100, 200, 5), *range(200, 500, 10), *range(500, 1000, 25))


def ladder(steps: int) -> tuple[int, ...]:
    """Return the rungs for runs of so many steps, rising; `steps` itself, which needs none, is left out."""
    rungs, scale = set(range(1, min(100, steps))), 1
    while 100 * scale < steps:
        rungs.update(rung * scale for rung in _DECADE)
        scale *= 10
    return tuple(sorted(rung for rung in rungs if rung < steps))
