"""The name of a scene: one that every file name, record and terminal can hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from render.errors import SceneError
from render.scene.wording import quoted

# File systems take 255 bytes. The longest that is added to a name, in a film of some frames with its hidden folder of
# parts, is ".", "-preview-00000-00029-1a2b3c-prores4444.mov" and ".segments", 53 bytes; what settings changed adds "-"
# and up to `variants.MOST_TAG_BYTES`.
MOST_BYTES = 180

# Files that Windows takes for devices, whatever their suffix (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICES = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_SPECIAL = '/\\:*?"<>|'


# Between names that are joined: shells and URLs leave it as it is, in all places.
_JOINT = "."


def joined(names: Iterable[str]) -> str:
    """Return the name of what several names say together: of files laid over each other, or of a scene and a shape."""
    return _JOINT.join(names)


def name_of(stem: str) -> str:
    """Return the name of a scene whose file has this stem: the same, with %XX for bytes that are no printable text.

    Python keeps a byte that is not valid in a file name as a lone surrogate (PEP 383), which no record can hold.
    """
    return "".join(c if c.isprintable() else "".join(f"%{byte:02X}" for byte in _bytes(c)) for c in stem)


def checked(name: str, what: str = "the name") -> str:
    """Return a name if files can be named by it; raise SceneError if not. what: how messages call it."""
    if not name or not name.isprintable() or name.startswith(".") or any(c in name for c in "/\\"):
        raise SceneError(f"{what} must be a plain file name, not {quoted(name)}.")
    if (size := len(name.encode())) > MOST_BYTES:
        raise SceneError(
            f"{what} must have at most {MOST_BYTES} bytes, since names of files are made from it; {quoted(name)} has "
            f"{size}. Give a shorter one with --name."
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise SceneError(
            f"{what} must be made of characters that names of files may have here ({error.encoding}), and "
            f"{quoted(name)} is not. Give another one with --name, or set a locale of UTF-8, such as LC_ALL=C.UTF-8."
        ) from None
    return name


def checked_chosen_name(name: str) -> str:
    """Return a name that a person chose; raise SceneError for one that some system's files cannot have."""
    if name.startswith("-") or any(c in name for c in _SPECIAL):
        raise SceneError(f"--name must be a plain file name, not {quoted(name)}.")
    checked(name, "--name")
    if name.endswith((".", " ")) or name.startswith(" "):
        raise SceneError(f"--name must neither begin nor end with a space, nor end with a dot, unlike {quoted(name)}.")
    if _DEVICES.fullmatch(name):
        raise SceneError(f"--name must not be the name of a device on Windows, as {quoted(name)} is.")
    return name


def _bytes(character: str) -> bytes:
    return character.encode("utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")
