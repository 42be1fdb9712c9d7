"""Reading the texts that people write: scene files, and their own models."""

from __future__ import annotations

from pathlib import Path

from render.errors import SceneError


def read(path: Path, name: str, most_bytes: int) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark. Its line ends stay as they are.

    name: what to call the file in errors. Raises SceneError for a file that cannot be read, has more bytes than
    most_bytes, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise SceneError(f"{name}: cannot be read ({error.strerror}).") from None
    if len(content) > most_bytes:
        raise SceneError(f"{name}: must have at most {most_bytes} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SceneError(f"{name}: must be UTF-8 text; byte {error.start} is not.") from None
