"""Compiled loops, kept between runs by Numba, and checked: the counterpart of `render.train.compiled`.

Numba trusts its files: an empty one stops every program that would load it, and a flipped bit is run as machine code.
Here each file begins with a digest of its content. One that is damaged counts as missing and is written again, and a
folder that cannot be written keeps nothing. Neither changes a picture, so neither is reported.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from collections.abc import Callable
from typing import Any

# Pictures are the same whatever the environment says: of Numba's variables, those remain that say where it keeps what
# it compiled. Compiling looks at them again, so they are taken away for good.
for _name in [name for name in os.environ if name.startswith("NUMBA_") and not name.startswith("NUMBA_CACHE_")]:
    del os.environ[_name]

import numba  # noqa: E402
from numba.core import caching  # noqa: E402

numba.config.reload_config()  # a program may have imported it before

_Files: Any = caching.IndexDataCacheFile


class _Checked(_Files):  # type: ignore[misc] # Numba has no types
    """The files of one loop, beside those that Numba would write itself."""

    def __init__(self, like: Any) -> None:
        super().__init__(like._cache_path, f"checked-{like._index_name.removesuffix('.nbi')}", like._source_stamp)

    def load(self, key: Any) -> Any:
        """Return what was kept under a key; None if there is nothing, or nothing whole."""
        try:
            return super().load(key)
        except (OSError, ValueError):
            return None

    def save(self, key: Any, data: Any) -> None:
        """Keep a loop under a key, if the folder can be written."""
        with contextlib.suppress(OSError):
            super().save(key, data)

    def _load_index(self) -> Any:
        try:
            stamp, overloads = self._load_data(self._index_name)
        except (OSError, ValueError):
            return {}
        return overloads if stamp == self._source_stamp else {}

    def _save_index(self, overloads: Any) -> None:
        self._save_data(self._index_name, (self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        """Return what a file holds. Raises ValueError if that is not what this version of Numba wrote."""
        with open(self._data_path(name), "rb") as file:
            content = file.read()
        if self._digest(content[32:]) != content[:32]:
            raise ValueError(f"{name} is damaged, or another version's")
        return pickle.loads(content[32:])

    def _dump(self, obj: Any) -> bytes:
        content: bytes = super()._dump(obj)
        return self._digest(content) + content

    def _digest(self, content: bytes) -> bytes:
        return hashlib.sha256(self._version.encode() + content).digest()


def compiled(function: Callable[..., None], types: str) -> Callable[..., None]:
    """Return a function compiled for arguments of some types, in Numba's words, or loaded if it was kept."""
    make: Any = numba.njit(nogil=True, error_model="numpy")
    try:
        loop = make(function)
        # Without a folder to keep it in, every process compiles it again, in some seconds.
        with contextlib.suppress(RuntimeError, OSError):
            loop.enable_caching()
            loop._cache._cache_file = _Checked(loop._cache._cache_file)
        loop.compile(types)
    except OSError:  # the folder cannot be written any more
        loop = make(function)
        loop.compile(types)
    loop.disable_compile()
    result: Callable[..., None] = loop
    return result
