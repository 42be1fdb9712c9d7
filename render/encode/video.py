"""Films: ffmpeg encodes frames from a pipe into segments, which are joined and checked at the end."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import math
import re
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from render.encode.codecs import CODECS, refusal
from render.encode.ffmpeg import (
    REMEDY,
    binary,
    check_encoder,
    comment_file,
    count_frames,
    environ,
    frame_times,
    identity,
    opens,
    room,
    stream_end_s,
    widen,
)
from render.encode.pictures import animated_s, check_frame
from render.encode.segments import Note, Segments
from render.encode.sound import Sound
from render.errors import EncodeError
from render.files import places
from render.files.atomic import WholeFile
from render.geometry import frame_rates

# x264 gives different bytes with 1, 2 and 4 threads (measured), and its default depends on the machine.
_THREADS = "4"


# The number of frames of a segment, rounded up to whole groups of pictures: 4 s at 24 frames a second. A film that is
# stopped loses half of that on average. assets/docs/production.md gives the cost of segments.
_SEGMENT_FRAMES = 96


class VideoWriter:
    """Write frames to a film, as a context manager.

    The film appears at `path` only after a clean end of the with-block. An exception stops ffmpeg and leaves no file,
    unless there is a key: then the finished segments stay, and the same film continues after them.

    path: missing folders are made, an existing file is replaced. Its suffix should be the codec's.
    size_px: (width, height), both even and at least 16.
    fps: 0.1 to 1000 frames per second, taken as `frame_rates.exact` does.
    codec: a name in `CODECS`.
    crf: 1 (best) to 51 (63 for AV1 and VP9; smallest), or None for the codec's own; ignored where there is no such
        choice.
        At 16, H.264 scored VMAF 99.9 with two thirds of the bits of 12.
    metadata: provenance, stored as one JSON object in the film's comment.
    published: as in `WholeFile`: to write the film's record.
    key: everything that decides the frames, as a text. A caller that gives one must call `finish_segment` when
        `is_full` is true, and `pass_finished` before the first frame and after each `finish_segment`, until it returns
        None.
    frames_total: the number of frames, if known. The last segment is then finished as soon as it has its frames.
    sound: the sound of the film, from its first frame to its last; only where `sound.takes_sound` returns True.
    """

    def __init__(
        self,
        path: Path,
        size_px: tuple[int, int],
        fps: Fraction | float,
        *,
        codec: str = "h264",
        crf: int | None = None,
        metadata: Mapping[str, str] | None = None,
        published: Callable[[str], None] | None = None,
        key: str = "",
        frames_total: int | None = None,
        sound: Sound | None = None,
    ) -> None:
        if any(side < 16 or side % 2 for side in size_px):
            raise EncodeError(f"{path}: width and height must be even and at least 16, not {size_px[0]}x{size_px[1]}.")
        if reason := refusal(codec, size_px) if codec in CODECS else None:
            raise EncodeError(f"{path}: {reason}")
        if not 0.1 <= fps <= 1000:
            raise EncodeError(f"{path}: fps must be from 0.1 to 1000, not {float(fps):g}.")
        if codec not in CODECS:
            raise EncodeError(f"{path}: codec must be one of {', '.join(CODECS)}, not {codec!r}.")
        row = CODECS[codec]
        if crf is not None and row.crf is not None and not 1 <= crf <= row.crf[1]:
            raise EncodeError(f"{path}: crf must be from 1 to {row.crf[1]} for {codec}, not {crf}.")
        self.path = path
        self.size_px = size_px
        self.frames = 0
        self.bits = row.bits
        self._codec = codec
        self._key, self._frames_total = key, frames_total
        self._rate = rate = frame_rates.exact(fps)
        group = max(1, round(rate / 2))  # two keyframes a second let a player jump quickly
        self.segment_frames = group * math.ceil(_SEGMENT_FRAMES / group)
        quality = "" if row.crf is None else f"-crf {crf or row.crf[0]}"
        given = "rgb48le" if row.bits == 16 else "rgb24"
        pixels = row.lossless or row.pixels
        exact = f"-threads {_THREADS} -fflags +bitexact -flags:v +bitexact"
        self._encode = (
            f"-f rawvideo -pix_fmt {given} -s {size_px[0]}x{size_px[1]} -r {rate} -i - "
            f"-vf {row.filters.format(pixels=row.pixels)} "
            f"{row.segment_encoder(size_px)} {'' if row.at_once else quality} "
            f"-g {group} -pix_fmt {pixels} {row.tags} {exact} {row.segment}"
        ).split()
        film = f"-c:v copy {row.join.format(seconds=f'{rate.denominator}/{rate.numerator}')}"
        if row.at_once:
            film = f"-vf {row.at_once} {row.encoder} {quality} -pix_fmt {row.pixels} {row.tags}"
        # JSON is ASCII, so it does not depend on the locale.
        comment = json.dumps(dict(metadata or {}), sort_keys=True)
        self._comment = comment_file(comment)
        container = row.container_with(len(comment))
        self._sound = sound
        self._join = f"-map 0:v {film} {exact} {container} -map_metadata 1 -map_metadata:s -1".split()
        self._file = WholeFile(path, check=self._check, published=published)
        self._partial: Path | None = None
        self._segments: Segments | None = None
        self._encoder: _Ffmpeg | None = None
        self._finishing: Future[None] | None = None
        self._index = 0  # the index of the current segment
        self._filled = 0  # the number of frames in it

    # ---- segments -----------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Return whether the current segment has all its frames, so that it can be finished."""
        return self._filled == self.segment_frames or (self._filled > 0 and self.frames == self._frames_total)

    @property
    def segments(self) -> Segments:
        """The finished segments, inside the with-block."""
        if self._segments is None:
            raise RuntimeError("VideoWriter has segments inside the with-block only.")
        return self._segments

    def finished_frames(self) -> list[range]:
        """Return the frame numbers in each finished segment, as ranges, in order."""
        return [
            range(first := index * self.segment_frames, first + self._frames_of(index))
            for index in sorted(self.segments.indices)
        ]

    def pass_finished(self) -> Note | None:
        """Skip the next segment if it is finished, and return its note; return None otherwise."""
        if self._filled or (note := self.segments.note(self._index)) is None:
            return None
        self.frames += self._frames_of(self._index)
        self._index += 1
        return note

    def finish_segment(self, note: Note) -> None:
        """Finish the current segment, which is full. Its encoding ends while the next segment starts.

        note: the data that the caller needs to continue after the segment in a later run.
        """
        encoder, index, frames = self._encoder, self._index, self._filled
        assert encoder is not None
        self._await_finishing()
        self._encoder, self._index, self._filled = None, index + 1, 0
        pool = ThreadPoolExecutor(1, thread_name_prefix="segment")
        self._finishing = pool.submit(self._keep, encoder, index, frames, note)
        pool.shutdown(wait=False)

    def _keep(self, encoder: _Ffmpeg, index: int, frames: int, note: Note) -> None:
        encoder.end()
        kept = count_frames(encoder.target)
        if kept != frames:
            raise EncodeError(f"{self.path}: ffmpeg must keep all {self.frames} frames, but kept {kept}. {REMEDY}")
        try:
            self.segments.keep(index, encoder.target, {**note, _FRAMES: np.array(frames)})
        except OSError as error:
            raise self._unwritable(error) from None

    def _await_finishing(self) -> None:
        if self._finishing is not None:
            finishing, self._finishing = self._finishing, None
            finishing.result()

    def _frames_of(self, index: int) -> int:
        note = self.segments.note(index)
        return 0 if note is None else int(note[_FRAMES])

    # ---- the film -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        check_encoder(self._codec, CODECS[self._codec])
        how = json.dumps([self._key, self._encode, self.segment_frames, identity()]) if self._key else ""
        with contextlib.ExitStack() as stack:
            self._partial = self._file.__enter__()
            stack.callback(self._file.discard)
            try:
                # Segments are as large as the film, so they go beside it, also if the path is a link.
                place = self._partial.with_name(self.path.name)
                self._segments = stack.enter_context(Segments(place, how))
            except OSError as error:
                raise self._unwritable(error) from None
            if self.segments.note(0) is None:
                self._encoder = self._start()
            stack.pop_all()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame: uint8 or, for ten bits and more, uint16 [height, width, 3]; sRGB, row 0 at the top."""
        if self._segments is None:
            raise RuntimeError("VideoWriter.write works inside the with-block only.")
        check_frame(self.path, frame, self.size_px, bits=self.bits)
        if self.is_full:
            self.finish_segment({})
        if self._finishing is not None and self._finishing.done():
            self._await_finishing()
        self._encoder = self._encoder or self._start()
        self._encoder.write(frame)
        self.frames += 1
        self._filled += 1

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._end()
                self._file.publish()
                self.segments.remove()
        finally:
            self._stop()
            self._file.discard()

    def _start(self) -> _Ffmpeg:
        return _Ffmpeg(self, self._encode, self.segments.unfinished(self._index))

    def _end(self) -> None:
        """Finish the last segment and join all segments."""
        if self.frames == 0:
            raise EncodeError(f"{self.path}: a film must have at least one frame, but none was written.")
        if self._filled:
            self.finish_segment({})
        self._await_finishing()
        assert self._partial is not None
        starts_us = [round(10**6 * n * self.segment_frames / self._rate) for n in range(self._index)]
        ends_us = [*starts_us[1:], round(10**6 * self.frames / self._rate)]
        # Start times are rounded to whole microseconds, so that errors of rounded durations do not add up. The errors
        # are far below a tick of the film's clock, to which ffmpeg rounds.
        lines = [
            f"file {self.segments.path(n).name}\nduration {end_us - start_us}us"
            for n, (start_us, end_us) in enumerate(zip(starts_us, ends_us, strict=True))
        ]
        try:
            listed = self.segments.unfinished(self._index)
            listed.write_text("ffconcat version 1.0\n" + "\n".join(lines) + "\n", encoding="ascii")
        except OSError as error:
            raise self._unwritable(error) from None
        inputs = ["-f", "concat", "-i", f"file:{listed.absolute()}", "-f", "ffmetadata", "-i", "-"]
        sound: list[str] = []
        if self._sound is not None:
            inputs += ["-i", f"file:{self._sound.path.absolute()}"]
            sound = self._sound.options(self._codec, self.frames / self._rate)
        self._encoder = _Ffmpeg(self, [*inputs, *sound, *self._join], self._partial)
        self._encoder.write(np.frombuffer(self._comment, np.uint8))
        self._encoder.end()

    def _check(self, partial: Path) -> None:
        """Raise EncodeError if a film does not open, or if a frame is missing or not shown at its time."""
        if CODECS[self._codec].at_once:
            # ffmpeg writes animated WebP, but cannot read it.
            shown_s, film_s = animated_s(partial), float(self.frames / self._rate)
            # A picture is shown for 0.08 s. A film without motion is a WebP of one picture, without a duration.
            if shown_s != math.inf and not abs(shown_s - film_s) <= 0.1 + 1 / self._rate:
                raise EncodeError(f"{self.path}: the film must last {film_s:g} s, but lasts {shown_s:g} s. {REMEDY}")
            return
        clock, times = frame_times(partial)
        if len(times) != self.frames:
            raise EncodeError(
                f"{self.path}: ffmpeg must keep all {self.frames} frames, but kept {len(times)}. {REMEDY}"
            )
        due = [math.floor(n / (self._rate * clock) + Fraction(1, 2)) for n in range(self.frames)]
        if late := [n for n, (time, wanted) in enumerate(zip(times, due, strict=True)) if time != wanted]:
            raise EncodeError(
                f"{self.path}: every frame must be shown at its time, but {len(late)} are not, from frame {late[0]} "
                f"on. {REMEDY}"
            )
        # A packet of sound lasts up to 0.1 s (AAC 23 ms, Opus 20 ms, FLAC 96 ms).
        film_s = float(self.frames / self._rate)
        if self._sound is not None and not abs((sound_s := stream_end_s(partial, "0:a:0")) - film_s) <= 0.15:
            raise EncodeError(f"{self.path}: its sound must last {film_s:g} s, but lasts {sound_s:g} s. {REMEDY}")
        if not opens(partial):
            raise EncodeError(f"{self.path}: the film must open, but ffmpeg does not decode it. {REMEDY}")

    def _unwritable(self, error: OSError) -> EncodeError:
        return EncodeError(
            f"{self.path}: its segments must be written beside it, but: {error.strerror or error}{room(self.path)}. "
            "Make room if that is little, or choose another folder."
        )

    def _stop(self) -> None:
        if self._encoder is not None:
            self._encoder.kill()
            self._encoder = None
        if self._finishing is not None:
            # This segment has all its frames, so its ffmpeg ends by itself, and the segment is stored.
            concurrent.futures.wait([self._finishing])
            self._finishing = None
        if self._segments is not None:
            self._segments.__exit__()
            self._segments = None


_QUIETLY = ("-hide_banner", "-loglevel", "error", "-nostdin", "-y")

# The name of the number of frames in a segment's note.
_FRAMES = "frames"


class _Ffmpeg:
    """A running ffmpeg that writes one file; frames go to its pipe if its options say so.

    of: the writer of the film. options: all options but the target.
    """

    def __init__(self, of: VideoWriter, options: list[str], target: Path) -> None:
        self.target = target
        self._of = of
        # ffmpeg's log goes to a file, because a full pipe would block it.
        self._log: IO[bytes] = places.scratch_file(target.parent)  # closed by end or kill
        ffmpeg = binary()
        try:
            # A new session keeps Ctrl-C from ffmpeg, which would end the film early but cleanly.
            self._process = subprocess.Popen(
                [ffmpeg, *_QUIETLY, *options, f"file:{target.absolute()}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=environ(),
                stderr=self._log,
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise EncodeError(f"ffmpeg could not be started from {ffmpeg} ({error.strerror}). {REMEDY}") from None
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        widen(self._pipe)

    def write(self, frame: np.ndarray) -> None:
        """Write one frame, or other input that the options expect, to the pipe as bytes."""
        try:
            self._pipe.write(np.ascontiguousarray(frame).data)
        except OSError:
            raise self._trouble() from None

    def end(self) -> None:
        """Wait until ffmpeg has finished its file. Raises EncodeError if it fails."""
        try:
            with contextlib.suppress(OSError):  # a broken pipe shows in the exit code too
                self._pipe.close()
            if self._process.wait() != 0:
                raise self._trouble()
        finally:
            self._log.close()

    def kill(self) -> None:
        """Kill ffmpeg."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._log.close()

    def _trouble(self) -> EncodeError:
        """Return ffmpeg's messages as an error. Call it only if ffmpeg has ended, or has closed its end of the pipe."""
        code, path = self._process.wait(), self._of.path
        if not path.parent.is_dir():
            return EncodeError(f"{path}: its folder is gone. Make it again, or choose another --out.")
        self._log.seek(0)
        words = re.sub(r" @ 0x[0-9a-f]+", "", self._log.read().decode(errors="replace"))
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        # The first lines give the cause, and the last lines the consequences.
        message = " | ".join(lines if len(lines) <= 5 else [*lines[:3], *lines[-2:]]) or "nothing"
        return EncodeError(
            f"{path}: ffmpeg must take every frame, but stopped after {self._of.frames} with exit code {code} and "
            f"said: {message}{room(path, code)}. Make room if that is little, or try another codec."
        )
