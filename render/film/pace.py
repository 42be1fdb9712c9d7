"""The pace of a render: training runs, or frames, a second, and the time that is left."""

from __future__ import annotations

import time

from render.film.rendering import Progress

# The rate of training is the mean over about this long, so that it neither jumps nor lags.
_RATE_S = 20.0

# Frames are counted for this long before their rate is reported.
_LEAST_S = 1.0


class Pace:
    """Turns progress into a rate and a time: of training runs while some are left, and then of frames."""

    def __init__(self) -> None:
        self._runs = [(time.monotonic(), 0)]
        self._frames: list[tuple[float, int]] = []
        self.per_s = 0.0
        self.left_s: float | None = None

    def add(self, now: Progress) -> None:
        """Take progress into account.

        Sets per_s, training runs or frames a second, and left_s, the seconds that are left; None while that is unknown.
        """
        self._runs.append((time.monotonic(), now.samples_done))
        # The window reaches back to the last finished batch, however long ago: a slow batch does not reset the rate.
        while self._runs[-1][0] - self._runs[1][0] > _RATE_S and self._runs[1][1] < now.samples_done:
            self._runs.pop(0)
        if now.samples_done < now.samples_total:
            self._set(self._runs[0], self._runs[-1], now.samples_total, 0.0)
        else:
            self._frames.append((self._runs[-1][0], now.frames_done))
            self._set(self._frames[0], self._frames[-1], now.frames_total, _LEAST_S)

    def _set(self, begin: tuple[float, int], end: tuple[float, int], total: int, least_s: float) -> None:
        time_s, count = end[0] - begin[0], end[1] - begin[1]
        known = time_s > 0 and time_s >= least_s and count > 0
        self.per_s = count / time_s if known else 0.0
        self.left_s = (total - end[1]) / self.per_s if known else None
