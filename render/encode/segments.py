"""The parts of an unfinished film: segments of frames, encoded one by one, in a folder beside the film.

A segment consists of whole groups of pictures, so it needs no frame of another segment. A film is made by joining its
segments without encoding them again. A film that was stopped continues after its finished segments. A film that was
never stopped is joined from the same segments, so both have the same bytes.

<folder>/.<film>.segments/key             everything that decides the bytes of segments
<folder>/.<film>.segments/00007.segment   the eighth segment, itself a film
<folder>/.<film>.segments/00007.note      the checksum of both, and the data needed to continue after the segment
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
_NAME_BYTES = 200  # a file system allows 255; digits and a suffix are added


class Segments:
    """The finished segments of one film, held by one process: a context manager.

    film: the path of the film; its folder must exist. key: everything that decides the bytes of segments, as a text.
    Segments of another key are removed. With "" no segment outlives the with-block.
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
            # Another process makes this film now, or no segment is to be stored: use a folder of this process alone.
            self._key = ""
            self._hold(self._film.with_name(f".{name}.{secrets.token_hex(8)}{_SUFFIX}"))
        self._take_over()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the folder. Finished segments stay for the next time."""
        if not (self._key and self._kept):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            for path in self._strangers():
                path.unlink(missing_ok=True)
        self._held.close()

    @property
    def indices(self) -> list[int]:
        """The indices of the finished segments in the film, from 0."""
        return sorted(self._kept)

    @property
    def size_bytes(self) -> int:
        """The size of the finished segments on disk."""
        return sum(self.path(index).stat().st_size for index in self._kept)

    @property
    def outlive(self) -> bool:
        """Return whether finished segments stay on disk if the film is not finished."""
        return bool(self._key)

    def path(self, index: int) -> Path:
        """Return the path of a segment once it is finished."""
        return self.folder / f"{index:05d}.segment"

    def unfinished(self, index: int) -> Path:
        """Return a path for a segment that is not finished yet."""
        return self.folder / f"{index:05d}.{secrets.token_hex(4)}.unfinished"

    def note(self, index: int) -> Note | None:
        """Return the note of a segment; None if it is not finished."""
        return self._kept.get(index)

    def keep(self, index: int, written: Path, note: Note) -> None:
        """Store a completely written segment, with a note. Raises OSError."""
        written.replace(self.path(index))
        # The note is written last, and its checksum covers both. Without a complete note a segment does not count.
        packed = _packed(note)
        self._note_path(index).write_bytes(_sum(self.path(index), packed).encode() + packed)
        self._kept[index] = note

    def remove(self) -> None:
        """Remove all segments, because the film is complete."""
        self._kept.clear()

    def _hold(self, folder: Path) -> bool:
        """Hold a folder for this process, and make it if needed. Return False if another living process holds it."""
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
        """Return the note of a segment; None if a byte of either is wrong."""
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
        """Yield the files in the folder that do not belong to a finished segment."""
        known = {"key"} | {path.name for index in self._kept for path in (self.path(index), self._note_path(index))}
        for path in list(self.folder.iterdir()):
            if path.name not in known and not folders.is_owner(path):
                yield path

    def _note_path(self, index: int) -> Path:
        return self.folder / f"{index:05d}.note"


def abandoned(folder: Path) -> bool:
    """Return whether a folder holds segments of a film, and no living process makes that film."""
    return folder.name.startswith(".") and folder.name.endswith(_SUFFIX) and folders.abandoned(folder)


def _folder_name(film: str) -> str:
    """Return a film's name, shortened if needed; a digest distinguishes long names."""
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
