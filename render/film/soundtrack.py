"""The sound of a film: checked before anything is trained, and cut to the frames that are shown."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from render.encode.sound import Sound, length_s, takes_sound
from render.errors import SceneError
from render.scene import Scene


def check(scene: Scene) -> None:
    """Raise SceneError for a film whose sound file cannot be read."""
    output = scene.output
    if not output.audio or not takes_sound(output.codec):
        return
    path = Path(output.audio)
    if not os.path.isfile(path):  # also False where permissions forbid to look
        why = "is not a plain file" if os.path.exists(path) else "does not exist, or cannot be read"
        raise SceneError(f"{scene.name}: output.audio must be a sound file, but {path.absolute()} {why}.")
    if not length_s(path):
        raise SceneError(f"{scene.name}: output.audio: {path} has no sound that ffmpeg can read.")


def of(scene: Scene, numbers: Sequence[int]) -> Sound | None:
    """Return the part of the sound that belongs to some frames; None without sound, or if frames are skipped."""
    output = scene.output
    if not output.audio or not takes_sound(output.codec) or [*numbers] != [*range(numbers[0], numbers[-1] + 1)]:
        return None
    return Sound(Path(output.audio), float(numbers[0] / output.fps), output.audio_fade_s)


def identity(scene: Scene) -> dict[str, str]:
    """Return the name and a digest of the sound file, for the film's provenance; empty without sound."""
    path = Path(scene.output.audio)
    if not scene.output.audio or not os.path.isfile(path):
        return {}
    with path.open("rb") as file:
        return {"audio": f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"}


def remark(scene: Scene, frames: int) -> str | None:
    """Return a sentence on how the sound's length differs from the film's; None if it does not."""
    if not scene.output.audio:
        return None
    if not takes_sound(scene.output.codec):
        return f'A film of codec "{scene.output.codec}" has no sound: output.audio is left out.'
    fps = scene.output.fps
    sound_s, film_s = length_s(Path(scene.output.audio)), float(frames / fps)
    if abs(sound_s - film_s) <= 0.1:
        return None
    what = "is cut" if sound_s > film_s else "ends before the film, which goes on in silence"
    return (
        f"{Path(scene.output.audio).name} lasts {sound_s:.1f} s, the film {film_s:.1f} s: it {what}. "
        f"output.frames = {max(1, round(sound_s * fps))} makes the film as long as the sound."
    )
