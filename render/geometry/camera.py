"""The path of the camera: keyframes become a continuous path, and a frame number becomes a view on it.

Geometry and timing are kept apart. The geometry is a chain of segments, each parameterised by *path length* s:
the zoom in octaves, plus the travel measured in widths of the view (van Wijk and Nuij, "Smooth and efficient
zooming and panning", 2003). Timing maps seconds to s by a monotone cubic. What must be trained follows from the
geometry alone, so retiming a film or changing its frame rate trains nothing.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from render.geometry.interpolation import MonotoneCubic
from render.geometry.tracks import Track
from render.geometry.viewport import Viewport

# van Wijk and Nuij's trade-off between zooming and panning; their user study found sqrt(2) most pleasant.
_RHO = math.sqrt(2.0)

Play = Literal["forward", "backward", "ping-pong"]

EASINGS = ("linear", "smooth")
Easing = Literal["linear", "smooth"]

# Seconds in which the camera accelerates (and later slows down) with "smooth" easing; at most half of a short leg.
_RAMP_S = 2.0

# A frame averages at most this many moments of an open shutter, because each costs as much as a frame.
_MOST_MOMENTS = 16

# The largest number of viewports in the cache, of about half a kilobyte each: all moments of a film would fill the
# memory.
_MOST_VIEWPORTS = 50_000


@dataclass(frozen=True)
class View:
    """A resting place of the camera: exact centre in unit coordinates, width in units of the unit square."""

    x: Fraction
    y: Fraction
    width: float


@dataclass(frozen=True)
class Keyframe:
    """A view, the second at which the camera arrives there, and how long it then rests (seconds >= 0).

    phase: the rotation of a closed palette there, in turns.
    """

    view: View
    time_s: float
    hold_s: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True)
class _Segment:
    """The path from one view to another, `length` octaves long; `at` gives the view at a fraction p of it."""

    start: View
    end: View
    aspect: float  # height / width of the frame
    length: float
    nested: bool

    def at(self, p: float) -> View:
        if p <= 0.0:
            return self.start
        if p >= 1.0 or self.start == self.end:
            return self.end
        return self._zoom(p) if self.nested else self._travel(p)

    def _zoom(self, p: float) -> View:
        # c(p) = c* + (c1 - c*) r**p about the fixed point c* = (c2 - r c1) / (1 - r): exactly one point of the
        # plane keeps its place on the screen. The path is computed towards the narrower view, from its exact centre,
        # so that the distance to it, a multiple of the current width, is the only rounded number:
        # c = c2 + (c* - c2)(1 - r**p / r).
        wide, deep, p = (
            (self.start, self.end, p) if self.end.width < self.start.width else (self.end, self.start, 1 - p)
        )
        r = deep.width / wide.width
        width = wide.width * r**p
        ratio = Fraction(r)
        fraction = Fraction(math.expm1((p - 1.0) * math.log(r))) * ratio / (1 - ratio)
        return View(deep.x + (wide.x - deep.x) * fraction, deep.y + (wide.y - deep.y) * fraction, width)

    def _travel(self, p: float) -> View:
        # van Wijk and Nuij (2003), equations 9 to 11, computed from the nearer end: near a deep view the distance to
        # that view, not to the other one, must be exact. Their u(s) = w0 / rho^2 (cosh r0 tanh(rho s + r0) - sinh r0)
        # cancels badly for deep views; cosh a sinh(a + x) - sinh a cosh(a + x) = sinh x gives the form below.
        near, far, p = (self.start, self.end, p) if p <= 0.5 else (self.end, self.start, 1.0 - p)
        dx, dy = far.x - near.x, far.y - near.y
        distance = math.hypot(float(dx), float(dy))
        r0, total = _wijk(near.width, far.width, distance)
        arc = _RHO * p * total
        width = near.width * math.cosh(r0) / math.cosh(r0 + arc)
        fraction = Fraction(near.width / _RHO**2 * math.sinh(arc) / math.cosh(r0 + arc) / distance)
        return View(near.x + dx * fraction, near.y + dy * fraction, width)


def _wijk(w0: float, w1: float, u1: float) -> tuple[float, float]:
    """Return (r0, arc length S) of the optimal path between widths w0 and w1 at distance u1 > 0."""
    rho2 = _RHO**2
    b0 = (w1**2 - w0**2 + rho2**2 * u1**2) / (2 * w0 * rho2 * u1)
    b1 = (w1**2 - w0**2 - rho2**2 * u1**2) / (2 * w1 * rho2 * u1)
    r0, r1 = -math.asinh(b0), -math.asinh(b1)
    return r0, (r1 - r0) / _RHO


def _segment(start: View, end: View, aspect: float) -> _Segment:
    dx, dy = abs(float(end.x - start.x)), abs(float(end.y - start.y))
    slack = abs(start.width - end.width) / 2
    octaves = abs(math.log2(end.width / start.width))
    if dx <= slack and dy <= slack * aspect and octaves > 0:
        return _Segment(start, end, aspect, octaves, nested=True)
    distance = math.hypot(dx, dy)
    if distance == 0.0:
        return _Segment(start, end, aspect, 0.0, nested=True)
    # The paper measures arc length in units in which a pure zoom by e costs 1 / rho. It is converted to octaves here.
    _, arc = _wijk(start.width, end.width, distance)
    return _Segment(start, end, aspect, arc * _RHO / math.log(2), nested=False)


def _segments(views: list[View], aspect: float, tracks: tuple[Track, ...]) -> list[_Segment]:
    """Return the segments between views. Where a track moves, its segment is at least as long as the track's."""
    segments = []
    for i, (start, end) in enumerate(itertools.pairwise(views)):
        segment = _segment(start, end, aspect)
        segments.append(replace(segment, length=max([segment.length, *(track.length(i) for track in tracks)])))
    return segments


class Path:
    """The continuous path through the views of a list of keyframes, for frames of one shape.

    length: total path length in octaves. rests: path lengths at which the camera rests (holds, both ends).
    duration_s: of the whole film, both directions included. tracks: the values that move besides the view.
    """

    def __init__(
        self,
        keyframes: tuple[Keyframe, ...],
        size_px: tuple[int, int],
        easing: Easing = "smooth",
        play: Play = "forward",
        tracks: tuple[Track, ...] = (),
        height_power: float = 1.0,
    ) -> None:
        """Chain the keyframes; times must rise by more than each hold. size_px: (width, height) of a frame.

        height_power: views narrow to this power of their width in height, from the widest keyframe on.
        play: "backward" runs from the last keyframe to the first; "ping-pong" runs there and back, for loops.
        tracks: the other values that the keyframes set, one value for each keyframe.
        """
        if not keyframes:
            raise ValueError("a path needs at least one keyframe")
        if play == "backward":
            keyframes, tracks = _reversed(keyframes), tuple(track.reversed() for track in tracks)
        self.tracks = tracks
        self._back = play == "ping-pong"
        self._keyframes = keyframes
        self._size_px = size_px
        aspect = size_px[1] / size_px[0]
        self._segments = _segments([key.view for key in keyframes], aspect, tracks)
        self.marks = np.concatenate([[0.0], np.cumsum([s.length for s in self._segments])])
        self.length = float(self.marks[-1])
        self.rests = tuple(float(s) for i, s in enumerate(self.marks) if _rests(keyframes, i))
        self._way_s = keyframes[-1].time_s + keyframes[-1].hold_s
        self.duration_s = self._way_s * (2 if self._back else 1)
        self._viewports: dict[float, Viewport] = {}
        self._height_power, self._widest = height_power, max(key.view.width for key in keyframes)
        self._easing: Easing = easing

    def view(self, s: float) -> View:
        """Return the view at path length s (clamped to the path)."""
        i, fraction = self.place(s)
        return self._segments[i].at(fraction) if self._segments else self._keyframes[0].view

    def place(self, s: float) -> tuple[int, float]:
        """Return the index of the keyframe before path length s, and the fraction of the way to the next keyframe.

        At the end of the path the index is that of the last keyframe but one, if there are several.
        """
        if not self._segments or s >= self.length:  # (s - mark) / length may round to less than 1
            return max(0, len(self._segments) - 1), 1.0
        i = int(np.searchsorted(self.marks[1:-1], s, side="right"))
        length = self._segments[i].length
        return i, (s - self.marks[i]) / length if length else 1.0

    def value(self, track: Track, s: float) -> float:
        """Return the value of one of the path's tracks at path length s."""
        return track.between(*self.place(s))

    def viewport(self, s: float) -> Viewport:
        """Return the viewport at path length s."""
        if s not in self._viewports:  # a plan needs each of its few thousand places many times
            if len(self._viewports) >= _MOST_VIEWPORTS:
                self._viewports.clear()
            view = self.view(s)
            stretch = (view.width / self._widest) ** (self._height_power - 1)
            self._viewports[s] = Viewport(view.x, view.y, view.width, *self._size_px, stretch)
        return self._viewports[s]

    def phase(self, s: float) -> float:
        """Return the rotation of the palette at path length s, in turns: linear in s between keyframes."""
        return float(np.interp(s, self.marks, [key.phase for key in self._keyframes]))

    @functools.cached_property
    def _timing(self) -> MonotoneCubic:
        return _timing(self._keyframes, self.marks, self._easing)

    def s_at(self, time_s: float) -> float:
        """Return the path length reached after time_s seconds."""
        return min(max(float(self._timing(time_s)), 0.0), self.length) if self.length else 0.0

    def frame_count(self, fps: Fraction | float) -> int:
        """Return the number of frames: the film's duration in frames, rounded once, at least one.

        With "ping-pong" both directions count, without the two frames that would be shown twice where they meet.
        """
        count = self._way_count(fps)
        return max(count, 2 * count - 2) if self._back else count

    def _way_count(self, fps: Fraction | float) -> int:
        return max(1, round(self._way_s * float(fps)))

    def s_of_frame(self, frame: float, fps: Fraction | float) -> float:
        """Return the path length of a frame. The last frame of each direction is exactly at its end.

        frame: a frame number; a number with a fraction is a moment between two frames.
        """
        count, frame = self._way_count(fps), max(frame, 0.0)
        if frame > count - 1 and self._back:
            frame = 2 * (count - 1) - frame
        return self.s_at(self._way_s * max(frame, 0.0) / (count - 1)) if frame < count - 1 else self.length

    def moments(self, frame: int, fps: Fraction | float, shutter: float) -> tuple[float, ...]:
        """Return the path lengths that a frame averages: its own, or several while the shutter is open.

        shutter: the fraction of a frame's time for which the shutter is open. Several path lengths, 2 to 16, are
        spaced so that the corners of the view move by about two pixels or less from one to the next.
        """
        here = self.s_of_frame(frame, fps)
        if shutter <= 0:
            return (here,)
        open_s = [self.s_of_frame(frame + shift * shutter / 2, fps) for shift in (-1, 1)]
        moved_px = abs(open_s[1] - open_s[0]) * math.log(2) / 2 * max(self._size_px)
        count = min(_MOST_MOMENTS, math.ceil(moved_px / 2))
        if count < 2:
            return (here,)
        shifts = (np.arange(count) + 0.5) / count - 0.5
        return tuple(self.s_of_frame(frame + float(shift) * shutter, fps) for shift in shifts)


def _reversed(keyframes: tuple[Keyframe, ...]) -> tuple[Keyframe, ...]:
    """Return the same rests in the opposite order and at mirrored times."""
    end = keyframes[-1].time_s + keyframes[-1].hold_s
    return tuple(replace(key, time_s=end - key.time_s - key.hold_s) for key in reversed(keyframes))


def _rests(keyframes: tuple[Keyframe, ...], i: int) -> bool:
    """Return whether the camera stands still at a keyframe: at a hold, and at both ends of the film."""
    return keyframes[i].hold_s > 0 or i in (0, len(keyframes) - 1)


def _trapezoid(elapsed: float, ramp: float, soft: tuple[bool, bool]) -> float:
    """Return the fraction of a leg's path that is covered after a fraction of its time: constant speed, soft ends.

    ramp: the fraction of the time, at most 0.5, that a soft end takes.
    """
    speed = 1 / (1 - ramp / 2 * sum(soft))
    if soft[0] and elapsed < ramp:
        return speed * elapsed**2 / (2 * ramp)
    if soft[1] and elapsed > 1 - ramp:
        return 1 - speed * (1 - elapsed) ** 2 / (2 * ramp)
    return speed * (elapsed - ramp / 2 * soft[0])


def _timing(keyframes: tuple[Keyframe, ...], marks: np.ndarray, easing: Easing) -> MonotoneCubic:
    """Return the monotone cubic from seconds to path length. It cannot overshoot, so that no zoom runs backwards."""
    times, lengths = [], []
    for i, (key, s) in enumerate(zip(keyframes, marks, strict=True)):
        times.append(key.time_s)
        lengths.append(s)
        if key.hold_s > 0:
            times.append(key.time_s + key.hold_s)
            lengths.append(s)
        if i + 1 < len(keyframes):
            # The camera starts and stops softly where it rests; keyframes that it only passes do not slow it down.
            # The cubic follows the wanted speed only where its points are close together.
            soft = (easing == "smooth" and _rests(keyframes, i), easing == "smooth" and _rests(keyframes, i + 1))
            begin, end = times[-1], keyframes[i + 1].time_s
            ramp = min(_RAMP_S / (end - begin), 0.5)
            moments = np.concatenate(
                [np.linspace(0.0, ramp, 17), np.linspace(ramp, 1 - ramp, 17), np.linspace(1 - ramp, 1.0, 17)]
            )
            for elapsed in np.unique(moments)[1:-1]:
                times.append(begin + elapsed * (end - begin))
                lengths.append(s + _trapezoid(elapsed, ramp, soft) * (marks[i + 1] - s))
    if len(times) == 1:
        times.append(times[0] + 1.0)
        lengths.append(lengths[0])
    return MonotoneCubic(np.asarray(times, dtype=float), np.asarray(lengths, dtype=float))


def on_beats(times_s: list[float], holds_s: list[float], bpm: float) -> tuple[list[float], list[float]]:
    """Return arrivals and holds in whole beats of a music of so many a minute, as near to those given as can be.

    A way between two keyframes takes a beat at least, and so does a hold that is not 0.
    """
    beat_s = 60 / bpm
    arrivals, holds, free = [], [], 0
    for time_s, hold_s in zip(times_s, holds_s, strict=True):
        arrivals.append(max(free, round(time_s / beat_s)))
        holds.append(max(1, round(hold_s / beat_s)) if hold_s > 0 else 0)
        free = arrivals[-1] + holds[-1] + 1
    return [n * beat_s for n in arrivals], [n * beat_s for n in holds]


def stretched(keyframes: tuple[Keyframe, ...], duration_s: float) -> tuple[Keyframe, ...]:
    """Return the keyframes with their timeline, holds included, stretched evenly to duration_s."""
    now_s = keyframes[-1].time_s + keyframes[-1].hold_s
    if now_s == 0:  # a film of a single view rests there
        return (*keyframes[:-1], replace(keyframes[-1], hold_s=duration_s))
    factor = duration_s / now_s
    return tuple(replace(key, time_s=key.time_s * factor, hold_s=key.hold_s * factor) for key in keyframes)


def times_from_speed(
    views: list[View],
    size_px: tuple[int, int],
    holds_s: list[float],
    octaves_per_s: float,
    tracks: tuple[Track, ...] = (),
) -> list[float]:
    """Return the second at which each view is reached at a mean speed in octaves of path per second."""
    times = [0.0]
    for segment, hold_s in zip(_segments(views, size_px[1] / size_px[0], tracks), holds_s, strict=False):
        times.append(times[-1] + (hold_s + max(segment.length / octaves_per_s, 1e-3)))
    return times
