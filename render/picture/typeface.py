"""The choice of a font file for a text: the bundled one, one that a scene names, or one of this machine."""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# The font of everything that is written on pictures, where it has the letters.
BUNDLED = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"

_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}

# Families that are made to be read on a screen come first, in this order; then all others by name. An upright face of
# normal weight is the one whose name has none of the words below.
_PREFERRED = ("dejavusans", "notosans", "liberationsans", "arial", "helvetica", "roboto", "opensans", "segoeui")
_OTHER_FACES = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "serif", "condensed", "emoji", "symbol")

# Letters that are drawn by joining or reordering others, and scripts that run from right to left, need a layout engine.
_JOINING = {"Mn", "Mc"}
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


class LacksLetters(ValueError):
    """No font that may be used has some letters of a text."""


def find(text: str, wanted: str = "") -> Path:
    """Return the font file that writes a text.

    wanted: the path of a font file, or the name of a family or file of this machine's fonts; "" for the bundled font,
    or else the first of this machine that has every letter. Raises LacksLetters, which names what is missing.
    """
    if wanted:
        file = _named(wanted)
        if missing := lacking(text, file):
            raise LacksLetters(f"needs letters that the font {wanted!r} lacks: {' '.join(missing)}")
    else:
        file = BUNDLED
        if lacking(text, file):
            file = _fallback(text)
    if needs_layout(text) and not _has_layout():
        raise LacksLetters(
            "is in a script whose letters join or run from right to left, which this Pillow cannot lay out"
        )
    return file


def lacking(text: str, file: Path) -> list[str]:
    """Return the characters of a text that a font file has no glyph for, each once, in order."""
    known = _letters(file)
    return [c for c in dict.fromkeys(text) if ord(c) not in known and not c.isspace()]


def needs_layout(text: str) -> bool:
    """Return whether letters of a text join, combine, or run from right to left."""
    return any(unicodedata.category(c) in _JOINING or unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text)


@functools.cache
def _has_layout() -> bool:
    from PIL import features

    return bool(features.check("raqm"))


@functools.lru_cache(maxsize=512)
def _letters(file: Path) -> frozenset[int]:
    """Return the code points that a font file has; none of a file that is no font."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        # A file object of our own: fontTools leaves one that is no font open.
        with file.open("rb") as content, TTFont(content, lazy=True, fontNumber=0) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, ValueError, KeyError, AssertionError):
        return frozenset()


def _fallback(text: str) -> Path:
    """Return the first font of this machine that has every letter of a text."""
    files = installed()
    fewest: list[str] = lacking(text, BUNDLED)
    for file in files:
        missing = lacking(text, file)
        if not missing:
            return file
        fewest = min(fewest, missing, key=len)
    raise LacksLetters(
        f"needs letters that neither the bundled font nor any of this machine's {len(files)} fonts has: "
        f"{' '.join(fewest)}"
    )


def _named(wanted: str) -> Path:
    """Return the font file that a path, a file's name, or a family's name means."""
    path = Path(wanted).expanduser()
    if path.is_file():
        if not _letters(path):
            raise LacksLetters(f"cannot be written with {wanted!r}, which is no font file (TrueType or OpenType)")
        return path
    name = _plain(wanted)
    for file in installed():
        if name in (_plain(file.stem), _plain(file.stem.partition("-")[0])):
            return file
    raise LacksLetters(f"cannot be written with the font {wanted!r}: it is neither a file nor a font of this machine")


@functools.cache
def installed() -> tuple[Path, ...]:
    """Return this machine's font files, those that suit best first; the order follows from their names alone."""
    files = {file for folder in _folders() for file in _fonts_in(folder)}
    return tuple(sorted(files, key=lambda file: (_rank(file), _plain(file.stem), str(file))))


def _fonts_in(folder: Path) -> Iterable[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            if Path(name).suffix.lower() in _SUFFIXES:
                yield Path(place, name)


def _folders() -> list[Path]:
    """Return where this system keeps fonts."""
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts")]
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    personal = os.environ.get("XDG_DATA_HOME", "")
    return [Path(folder) / "fonts" for folder in [*shared.split(":"), personal] if os.path.isabs(folder)]


def _rank(file: Path) -> tuple[int, int]:
    name = _plain(file.stem)
    family = next((i for i, known in enumerate(_PREFERRED) if name.startswith(known)), len(_PREFERRED))
    return sum(word in name for word in _OTHER_FACES), family


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
