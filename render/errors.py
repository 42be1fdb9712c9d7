"""The kinds of error that a user can meet.

Every message states what must hold, what was given, where, and what to do. A command ends with exit code 2 and
the message alone; a traceback means a bug.
"""

from pathlib import Path


class RenderError(Exception):
    """An error that the user can fix."""


class SceneError(RenderError):
    """A scene file, or an option laid over it, that cannot be used. `faults` lists every fault."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ChangedCode(SceneError):
    """A scene that was made with another version of a user's file than there is now."""


class DepthError(RenderError):
    """A view narrower than float64 hyperparameters can resolve."""


class StoreError(RenderError):
    """A tile store that cannot be read from or written to."""


class DamagedTile(StoreError):
    """A stored tile whose bytes differ from those that were written. It can always be trained again."""


class WriteError(RenderError):
    """A path that cannot be written. reason: why, as part of a sentence; advice: what to do about it, or ""."""

    def __init__(self, path: Path, reason: str, advice: str = "") -> None:
        advised = f"{advice}, or choose another path." if advice else "Choose another path."
        super().__init__(f"{path} cannot be written: {reason}. {advised}")
        self.reason = reason
        self.advice = advice


class EncodeError(RenderError):
    """ffmpeg is missing, rejected its arguments or ended early."""


class ClusterError(RenderError):
    """Machines that cannot be reached, that cannot train, or an extra that is not installed."""


class TrainingError(RenderError):
    """Some tiles could not be trained; all other tiles were."""
