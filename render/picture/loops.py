"""Compiled loops over the samples and pixels of a frame: values to codes, codes to pixels, linear light to 8-bit sRGB.

A film is encoded while its frames are made, on the same cores, so what counts is processor time. These loops take a
quarter of what the same takes as operations on whole arrays: each pixel is read and written once. They run beside each
other in threads, and are compiled at first use, for the machine at hand; Numba keeps the result beside this file (or in
the user's cache).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import numpy as np

_ZERO, _HALF, _ONE, _TWO, _THREE = (np.float32(number) for number in (0, 0.5, 1, 2, 3))
_LEAST_KNOWN = np.float32(0.1)

# Samples that are added in one pass over a sum, and sums of neighbouring pixels that are stored together.
_AT_ONCE, _SIDE_BY_SIDE = 4, 8

# Pixels across that are made together, so that all their samples' rows stay in a core's own cache; and how much farther
# apart than that rows lie, so that they do not share their places in it.
_STRIP, _ASIDE = 512, 16


# Arrays as arguments: float32 in C order, and codes cut out of a larger array.
_TAPS = "i8[::1], f4[:, ::1]"
_PICTURE, _PLANE, _CODES = "f4[:, :, ::1]", "f4[:, ::1]", "u2[:, :]"

_compiling = threading.Lock()
_makers: list[Callable[[], Callable[..., None]]] = []


def make_all() -> None:
    """Compile every loop, or load what was kept, so that no time is measured while one compiles."""
    with _compiling:
        for make in _makers:
            make()


def compiled(*arguments: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what makes of a function one that is compiled, for arguments of these types, when it is first called."""

    def wrapped(function: Callable[..., None]) -> Callable[..., None]:
        @functools.cache
        def compiled_function() -> Callable[..., None]:
            # Numba takes a second to load, which commands without pictures can do without.
            from render.picture import compiled_cache

            return compiled_cache.compiled(function, f"void({', '.join(arguments)})")

        _makers.append(compiled_function)

        @functools.wraps(function)
        def call(*values: object) -> None:
            with _compiling:
                loop = compiled_function()
            loop(*values)

        return call

    return wrapped


@compiled("f8[:, ::1]", "f8[::1]", "i8[::1]", "f8[:, ::1]", "f8", "f8", "i8", "i8")
def add_weights(
    weights: np.ndarray,
    centres: np.ndarray,
    first: np.ndarray,
    pieces: np.ndarray,
    wide: float,
    share: float,
    step: int,
    start: int,
) -> None:
    """Add a filter's weights of the samples that pixels read, `share` in sum for each pixel, in place.

    weights: float64 [pixels, taps]. centres: float64 [pixels], where pixels stand among samples. first: int64 [pixels],
    the first samples that they read. pieces: see `resample.Filter`. wide: what counts as a distance of 1, in samples.
    step, start: 1 or 2, only every so many samples are weighted, one of them of number `start`.
    """
    taps = weights.shape[1]
    values = np.empty(taps)
    for pixel in range(weights.shape[0]):
        total = 0.0
        for k in range(taps):
            x = abs(first[pixel] + k - centres[pixel]) / wide
            values[k] = 0.0
            if x < 2 and (first[pixel] + k - start) & (step - 1) == 0:
                piece = pieces[0 if x < 1 else 1]
                values[k] = ((piece[3] * x + piece[2]) * x + piece[1]) * x + piece[0]
            total += values[k]
        for k in range(taps):
            weights[pixel, k] += share * (values[k] / total)


@compiled("f8[:, :]", "f8[::1]", "f8[::1]", "f8[::1]", "u2[:, ::1]")
def code_values(values: np.ndarray, knots: np.ndarray, at: np.ndarray, slopes: np.ndarray, codes: np.ndarray) -> None:
    """Write the nearest whole numbers to a curve of straight lines, which ends level, at values; 0 at NaN.

    values: float64 [rows, columns]. knots: rising, filled up with infinity to a power of two. at: the curve's height at
    knots. slopes: from each knot on. codes: uint16 [rows, columns].
    """
    width = values.shape[1]
    lowest, highest = knots[0], knots[at.size - 1]
    value, last = np.empty(width), np.empty(width, dtype=np.uint32)
    for y in range(values.shape[0]):
        read, into = values[y], codes[y]
        for x in range(width):
            number = read[x]
            number = number if number > lowest else lowest
            value[x] = number if number < highest else highest
            last[x] = 0
        # All values of a row take each step of the search together: alone, one waits for the processor to guess every
        # step's outcome, and takes five times as long.
        half = np.uint32(knots.size // 2)
        while half:
            for x in range(width):
                last[x] += half * np.uint32(knots[last[x] + half] <= value[x])
            half >>= np.uint32(1)
        for x in range(width):
            knot = last[x]
            code = np.rint(at[knot] + (value[x] - knots[knot]) * slopes[knot])
            into[x] = np.uint16(np.int32(code)) if read[x] == read[x] else np.uint16(0)


@compiled(_PICTURE, _CODES, _PLANE, _TAPS, _TAPS, _PLANE, "b1")
def add_pixels(  # noqa: C901, PLR0915 -- one loop nest, compiled: Numba inlines no function into its inner loops
    picture: np.ndarray,
    codes: np.ndarray,
    table: np.ndarray,
    first_rows: np.ndarray,
    row_weights: np.ndarray,
    first_columns: np.ndarray,
    column_weights: np.ndarray,
    coverage: np.ndarray,
    gaps: bool,
) -> None:
    """Add coded samples, coloured and filtered, to a picture, in place.

    picture: float32 [3, pixel rows, pixel columns], row 0 at the top. codes: uint16 [rows, columns], row 0 lowest.
    table: float32 [codes, 4], the fourth 0 where there is no sample, else 1. first_rows [pixel rows], row_weights
    [pixel rows, taps]: the samples that pixels read, counted from the lowest row of pixels; likewise for columns.
    coverage: float32 [pixel rows, pixel columns], by how much each pixel is added. gaps: whether some samples are
    missing, so that sums are divided by the weight of those that are known.
    """
    height, width = coverage.shape
    seen = np.zeros(width, dtype=np.float32)
    for y in range(height):
        read = coverage[y]
        for x in range(width):
            seen[x] += read[x]
    shown = seen > 0  # where the finer level has all, rounding leaves a little less than nothing
    columns = np.flatnonzero(shown)
    if columns.size == 0:
        return
    left, right = columns[0], columns[-1] + 1
    row_taps, column_taps = row_weights.shape[1], column_weights.shape[1]
    low = first_rows[0]
    rows = first_rows[height - 1] + row_taps - low
    start = first_columns[left]
    count = first_columns[right - 1] + column_taps - start
    channels = 4 if gaps else 3

    # Across first: where samples are sparser than pixels, as they mostly are, their rows are fewer. All rows' values
    # at a column lie side by side, so that a processor multiplies many at once by the same weight; and four samples
    # are added in one pass over them, since reading and writing the sum again takes longer than adding. What fills
    # weights up to fours is 0, and what that is multiplied by only has to be there.
    across = np.zeros((width, -(-column_taps // _AT_ONCE) * _AT_ONCE), dtype=np.float32)
    across[:, :column_taps] = column_weights
    upwards = np.zeros((height, -(-row_taps // _AT_ONCE) * _AT_ONCE), dtype=np.float32)
    upwards[:, :row_taps] = row_weights
    values = channels * rows
    colours = np.empty((count + _AT_ONCE, values), dtype=np.float32)
    colours[count:] = _ZERO
    read_codes = codes[low : low + rows, start : start + count]
    for c in range(count):
        red, green, blue = colours[c, :rows], colours[c, rows : 2 * rows], colours[c, 2 * rows : 3 * rows]
        for r in range(rows):
            colour = table[read_codes[r, c]]
            red[r], green[r], blue[r] = colour[0], colour[1], colour[2]
        if gaps:
            presence = colours[c, 3 * rows :]
            for r in range(rows):
                presence[r] = table[read_codes[r, c], 3]
    wide = np.empty((values + _AT_ONCE, _STRIP + _ASIDE), dtype=np.float32)
    wide[values:] = _ZERO
    totals = np.empty((_SIDE_BY_SIDE, values), dtype=np.float32)
    line = np.empty((channels, _STRIP), dtype=np.float32)
    here = left
    while here < right:
        if not shown[here]:
            here += 1
            continue
        end = here
        while end < min(here + _STRIP, right) and shown[end]:
            end += 1
        for begin in range(here, end, _SIDE_BY_SIDE):
            totals[:] = _ZERO
            for column in range(begin, min(begin + _SIDE_BY_SIDE, end)):
                at, total = first_columns[column] - start, totals[column - begin]
                for k in range(0, across.shape[1], _AT_ONCE):
                    w0, w1 = across[column, k], across[column, k + 1]
                    w2, w3 = across[column, k + 2], across[column, k + 3]
                    read0, read1 = colours[at + k], colours[at + k + 1]
                    read2, read3 = colours[at + k + 2], colours[at + k + 3]
                    for i in range(values):
                        total[i] = total[i] + w0 * read0[i] + w1 * read1[i] + w2 * read2[i] + w3 * read3[i]
            t0, t1, t2, t3 = totals[0], totals[1], totals[2], totals[3]
            t4, t5, t6, t7 = totals[4], totals[5], totals[6], totals[7]
            for i in range(values):
                into = wide[i, begin - here : begin - here + _SIDE_BY_SIDE]
                into[0], into[1], into[2], into[3] = t0[i], t1[i], t2[i], t3[i]
                into[4], into[5], into[6], into[7] = t4[i], t5[i], t6[i], t7[i]
        # Slices, not indices from an offset on: only of indices that count from 0 the compiler knows that none is
        # negative.
        size = end - here
        for up in range(height):
            y = height - 1 - up
            by = coverage[y, here:end]
            if upwards.shape[1] == _AT_ONCE and not gaps:  # as most are: then no sum needs to be kept
                w0, w1, w2, w3 = upwards[up, 0], upwards[up, 1], upwards[up, 2], upwards[up, 3]
                for channel in range(3):
                    row = channel * rows + first_rows[up] - low
                    read0, read1, read2, read3 = wide[row], wide[row + 1], wide[row + 2], wide[row + 3]
                    into = picture[channel, y, here:end]
                    for x in range(size):
                        into[x] += by[x] * (w0 * read0[x] + w1 * read1[x] + w2 * read2[x] + w3 * read3[x])
                continue
            for channel in range(channels):
                into = line[channel, :size]
                into[:] = _ZERO
                for k in range(0, upwards.shape[1], _AT_ONCE):
                    w0, w1, w2, w3 = upwards[up, k], upwards[up, k + 1], upwards[up, k + 2], upwards[up, k + 3]
                    row = channel * rows + first_rows[up] - low + k
                    read0, read1, read2, read3 = wide[row], wide[row + 1], wide[row + 2], wide[row + 3]
                    for x in range(size):
                        into[x] = into[x] + w0 * read0[x] + w1 * read1[x] + w2 * read2[x] + w3 * read3[x]
            if gaps:
                # At a straight end of the samples the known share is a half, at a corner a quarter or a little less.
                known = line[3, :size]
                for x in range(size):
                    known[x] = by[x] / max(known[x], _LEAST_KNOWN)
                by = known
            for channel in range(3):
                into, read = picture[channel, y, here:end], line[channel]
                for x in range(size):
                    into[x] += by[x] * read[x]
        here = end


@compiled(_PLANE, _PLANE, _PLANE, _TAPS, _TAPS, "i8", "i8", "f8")
def split_coverage(
    visible: np.ndarray,
    inside: np.ndarray,
    distance: np.ndarray,
    first_rows: np.ndarray,
    row_weights: np.ndarray,
    first_columns: np.ndarray,
    column_weights: np.ndarray,
    begin: int,
    end: int,
    margin: float,
) -> None:
    """Split how much of each pixel is to be filled between a finer level and what is coarser, in place.

    visible: float32 [pixel rows, pixel columns]; what the coarser levels keep, afterwards. inside: the same, the finer
    one's; must be 0. distance: float32 [rows, columns] of cells, row 0 lowest, how far they are inside the finer
    level: it fills all from `margin` on, and rises to that smoothly from 0. begin, end: the columns of pixels outside
    of which none reads more than 0.
    """
    height = visible.shape[0]
    row_taps, column_taps = row_weights.shape[1], column_weights.shape[1]
    low, left = first_rows[0], first_columns[begin]
    rows = first_rows[height - 1] + row_taps - low
    right = first_columns[end - 1] + column_taps
    width = end - begin
    wide = np.zeros((rows, width), dtype=np.float32)
    at = (first_columns[begin:end] - left).astype(np.uint32)  # of unsigned indices, too, the compiler knows it
    across = column_weights[begin:end].T.copy()
    for r in range(rows):
        read, into = distance[low + r, left:right], wide[r]
        for k in range(column_taps):
            for x in range(width):
                into[x] += across[k, x] * read[np.uint32(at[x] + k)]
    line = np.empty(width, dtype=np.float32)
    scale = np.float32(1 / margin)
    for up in range(height):
        y = height - 1 - up
        line[:] = _ZERO
        for k in range(row_taps):
            weight = row_weights[up, k] * scale
            if weight != 0:
                read = wide[first_rows[up] - low + k]
                for x in range(width):
                    line[x] += weight * read[x]
        finer, coarser = inside[y, begin:end], visible[y, begin:end]
        for x in range(width):
            part = line[x] if line[x] > _ZERO else _ZERO
            part = part if part < _ONE else _ONE
            finer[x] = coarser[x] * part * part * (_THREE - _TWO * part)
            coarser[x] -= finer[x]


@compiled(_PICTURE, "f4[::1]", "f4[::1]", "f4[::1]")
def blend_outside(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray, background: np.ndarray) -> None:
    """Lay a picture [3, rows, columns] over a colour, by the coverage rows[y] * columns[x] of each pixel, in place."""
    for channel in range(3):
        beyond = background[channel]
        for y in range(picture.shape[1]):
            line, of_row = picture[channel, y], rows[y]
            for x in range(picture.shape[2]):
                line[x] = beyond + (line[x] - beyond) * (of_row * columns[x])


@compiled(_PICTURE, "u1[::1]", "u1[:, :, ::1]")
def look_up(picture: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """Write table entries, at most 65,536, of values 0 to 1 (clipped) of a picture [3, rows, columns] to `out`, uint8
    [rows, columns, 3]."""
    last = np.float32(table.shape[0] - 1)
    width = picture.shape[2]
    index = np.empty((3, width), dtype=np.uint16)
    for y in range(picture.shape[1]):
        for channel in range(3):
            line, into = picture[channel, y], index[channel]
            for x in range(width):
                value = line[x] if line[x] > _ZERO else _ZERO  # not max(), which lets NaN through
                value = value if value < _ONE else _ONE
                into[x] = np.uint16(np.int32(value * last + _HALF))
        red, green, blue, pixels = index[0], index[1], index[2], out[y]
        for x in range(width):
            pixels[x, 0] = table[red[x]]
            pixels[x, 1] = table[green[x]]
            pixels[x, 2] = table[blue[x]]


@compiled("u1[:, :, :]", "f4[:, :]", "f4[:, :]", "f4", "f4")
def stamp(patch: np.ndarray, dark: np.ndarray, ink: np.ndarray, backing: float, bright: float) -> None:
    """Shade a patch [height, width, 3] of a frame by `backing` where it is to be dark, and lay ink over it, in place.

    dark, ink: float32 [height, width], 0 to 1. bright: the ink's colour, 0 to 255.
    """
    for y in range(patch.shape[0]):
        for x in range(patch.shape[1]):
            if dark[y, x] > 0 or ink[y, x] > 0:
                for channel in range(3):
                    shaded = np.float32(patch[y, x, channel]) * (_ONE - backing * dark[y, x])
                    patch[y, x, channel] = np.uint8(np.rint(shaded + (bright - shaded) * ink[y, x]))


@compiled("u1[:, :, :]", "f4[:, :, ::1]")
def lay_over(patch: np.ndarray, box: np.ndarray) -> None:
    """Lay a box over a patch [height, width, 3] of a frame, in place.

    box: float32 [height, width, 4], what is added, and the share of the frame that stays.
    """
    for y in range(patch.shape[0]):
        for x in range(patch.shape[1]):
            for channel in range(3):
                left = np.float32(patch[y, x, channel]) * box[y, x, 3]
                patch[y, x, channel] = np.uint8(np.rint(left + box[y, x, channel]))
