"""Sound for films: what a file holds, and how it becomes as long as a film."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.encode.codecs import CODECS
from render.encode.ffmpeg import stream_end_s


@dataclass(frozen=True)
class Sound:
    """A sound file as a film plays it. start_s: where in it the film begins. fade_s: seconds of fading at its end."""

    path: Path
    start_s: float = 0.0
    fade_s: float = 0.0

    def options(self, codec: str, film_s: Fraction) -> list[str]:
        """Return ffmpeg's options that encode the third input as the sound of a film of so many seconds."""
        length, fade = float(film_s), min(self.fade_s, float(film_s))
        # Silence without end follows, and both are cut where the film ends.
        filters = f"atrim=start={self.start_s:.6f},asetpts=PTS-STARTPTS,apad,atrim=end={length:.6f}"
        if fade > 0:
            filters += f",afade=t=out:st={length - fade:.6f}:d={fade:.6f}"
        return ["-map", "2:a:0", "-af", filters, *CODECS[codec].sound.split(), "-flags:a", "+bitexact"]


def takes_sound(codec: str) -> bool:
    """Say whether films of a codec can have sound. A folder of pictures has none."""
    return codec in CODECS and bool(CODECS[codec].sound)


def length_s(path: Path) -> float:
    """Return how long a file's sound is, in seconds; 0 where it has none, or cannot be read."""
    return stream_end_s(path, "0:a:0", decode=True)
