"""The parts of a film that is not whole yet: segments of frames, encoded one by one, in a folder beside the film.

A segment is whole groups of pictures, so it needs no frame of another, and a film is its segments in a row, joined
without encoding anything again. A film that was stopped goes on from those that are finished. One that was never
stopped is joined of the same segments, so both have the same bytes.

<folder>/.<film>.segments/key             what decides the bytes of every segment
<folder>/.<film>.segments/00007.segment   the eighth segment, a film of its own
<folder>/.<film>.segments/00007.note      the checksum of both, and what the film's maker needs to go on after it
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from render.files import folders

# A note: arrays by name.
Note = Mapping[str, np.ndarray]

_SUFFIX = ".segments"
_PRIVATE = re.compile(r"\..+\.[0-9a-f]{16}\.segments", re.DOTALL)
_NAME_BYTES = 200  # of the 255 that a file system allows; digits and a suffix are added


class Segments:
    """The finished segments of one film, held by one process: a context manager.

    film: where the film will be; its folder must exist. key: everything that decides the bytes of segments, as a text:
    those that were kept under another key are removed. "" keeps nothing beyond the with-block.
    """

    def __init__(self, film: Path, key: str) -> None:
        self._film, self._key = film, key
        self._kept: dict[int, Note] = {}
        self._held = contextlib.ExitStack()
        self.folder = film

    def __enter__(self) -> Segments:
        name = _folder_name(self._film.name)
        for left in self._film.parent.glob(f".*{_SUFFIX}"):
            if left.name.startswith(f".{name}.") and _PRIVATE.fullmatch(left.name):
                folders.remove(left)
        shared = self._film.with_name(f".{name}{_SUFFIX}")
        if not self._key or not self._hold(shared):
            # Another process makes this film now, or nothing is to be kept: segments of this process alone.
            self._key = ""
            self._hold(self._film.with_name(f".{name}.{secrets.token_hex(8)}{_SUFFIX}"))
        self._take_over()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the folder: what is finished is kept for the next time."""
        if not (self._key and self._kept):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            for path in self._strangers():
                path.unlink(missing_ok=True)
        self._held.close()

    @property
    def indices(self) -> list[int]:
        """The places of the finished segments in the film, from 0."""
        return sorted(self._kept)

    @property
    def size_bytes(self) -> int:
        """Size of the finished segments on disk."""
        return sum(self.path(index).stat().st_size for index in self._kept)

    @property
    def outlive(self) -> bool:
        """Return whether finished segments are kept where the film is not finished."""
        return bool(self._key)

    def path(self, index: int) -> Path:
        """Return where a segment lies once it is finished."""
        return self.folder / f"{index:05d}.segment"

    def unfinished(self, index: int) -> Path:
        """Return where to write a segment until it is finished."""
        return self.folder / f"{index:05d}.{secrets.token_hex(4)}.unfinished"

    def note(self, index: int) -> Note | None:
        """Return the note of a finished segment; None where it is not finished."""
        return self._kept.get(index)

    def keep(self, index: int, written: Path, note: Note) -> None:
        """Take over a segment that was written whole, with a note. Raises OSError."""
        written.replace(self.path(index))
        # The note comes last, and its sum covers both: without it, or with half of it, there is no segment.
        packed = _packed(note)
        self._note_path(index).write_bytes(_sum(self.path(index), packed).encode() + packed)
        self._kept[index] = note

    def remove(self) -> None:
        """Remove all of them: the film is whole."""
        self._kept.clear()

    def _hold(self, folder: Path) -> bool:
        """Take a folder for this process, making it if need be; False where a living process has it."""
        held = folders.held(folder)
        if held is None:
            return False
        self._held, self.folder = held, folder
        return True

    def _take_over(self) -> None:
        """Find the segments that an earlier process finished, and remove everything else."""
        key = self.folder / "key"
        with contextlib.suppress(OSError):
            if self._key and key.read_bytes() == self._key.encode():
                for path in sorted(self.folder.glob("*.note")):
                    if path.stem.isdecimal() and (note := self._read(int(path.stem))) is not None:
                        self._kept[int(path.stem)] = note
        for path in self._strangers():
            path.unlink(missing_ok=True)
        if self._key:
            key.write_bytes(self._key.encode())

    def _read(self, index: int) -> Note | None:
        """Return the note of a segment that is whole, byte for byte; else None."""
        try:
            content = self._note_path(index).read_bytes()
            digest, packed = content[:64].decode("ascii"), content[64:]
            if digest != _sum(self.path(index), packed):
                return None
            with np.load(io.BytesIO(packed)) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile):
            return None

    def _strangers(self) -> Iterator[Path]:
        """Yield what lies in the folder and is not of a finished segment."""
        known = {"key"} | {path.name for index in self._kept for path in (self.path(index), self._note_path(index))}
        for path in list(self.folder.iterdir()):
            if path.name not in known and not folders.is_owner(path):
                yield path

    def _note_path(self, index: int) -> Path:
        return self.folder / f"{index:05d}.note"


def abandoned(folder: Path) -> bool:
    """Return whether a folder holds segments of a film that no living process makes."""
    return folder.name.startswith(".") and folder.name.endswith(_SUFFIX) and folders.abandoned(folder)


def _folder_name(film: str) -> str:
    """Return a film's name, cut to a length that leaves room; a digest keeps two long ones apart."""
    encoded = film.encode(errors="surrogateescape")
    if len(encoded) <= _NAME_BYTES:
        return film
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: _NAME_BYTES - 17].decode(errors='ignore')}-{digest}"


def _packed(note: Note) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **note)
    return file.getvalue()


def _sum(segment: Path, packed: bytes) -> str:
    with segment.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(packed)
    return digest.hexdigest()
