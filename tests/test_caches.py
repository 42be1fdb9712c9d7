"""Compiled code is cached; a damaged file of the cache is made again, without a message."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.environments import DAMAGES

# ---- Numba ----------------------------------------------------------------------------------------------------------


def doubled(values: np.ndarray) -> None:
    for i in range(values.size):
        values[i] *= 2


def compiled_and_called() -> int:
    """Compile or load the loop, check what it does, and return how often it was loaded."""
    from render.picture import compiled_cache

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop = compiled_cache.compiled(doubled, "void(f8[::1])")
    values = np.arange(3.0)
    loop(values)
    assert values.tolist() == [0, 2, 4]
    return sum(loop.stats.cache_hits.values())  # type: ignore[attr-defined]


@pytest.fixture
def loops_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import numba

    from render.picture import compiled_cache  # noqa: F401 -- it reads Numba's variables first

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    return tmp_path / "numba"


def kept_files(folder: Path, count: int) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == count, files
    return files


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_loop_is_compiled_again_and_kept(loops_folder: Path, damage: str) -> None:
    assert compiled_and_called() == 0
    assert compiled_and_called() == 1
    for file in kept_files(loops_folder, 2):  # the index and the code, one after the other
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
        assert compiled_and_called() == 0, file
        assert compiled_and_called() == 1, file


def test_a_loop_that_cannot_be_kept_is_compiled_each_time(loops_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled_and_called() == 0
    for file in kept_files(loops_folder, 2):
        file.write_bytes(b"")
        file.chmod(0o400)
    from render.picture import compiled_cache

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(compiled_cache._Checked, "_open_for_write", refuse)  # root may write anywhere
    assert compiled_and_called() == 0
    assert compiled_and_called() == 0


def test_without_any_folder_loops_are_compiled(loops_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert compiled_and_called() == 0


# ---- JAX ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_kernel_counts_as_missing_and_is_replaced(tmp_path: Path, damage: str) -> None:
    from render.train.compiled import Kernels

    kernels, content = Kernels(tmp_path / "xla"), bytes(range(256)) * 8
    assert kernels.get("jit_step-0123") is None
    kernels.put("jit_step-0123", content)
    assert kernels.get("jit_step-0123") == content
    (file,) = kept_files(tmp_path, 1)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert kernels.get("jit_step-0123") is None
    kernels.put("jit_step-0123", content)
    assert kernels.get("jit_step-0123") == content
    kept_files(tmp_path, 1)


def test_a_folder_that_cannot_be_written_keeps_no_kernel(tmp_path: Path) -> None:
    from render.train.compiled import Kernels

    (tmp_path / "file").write_bytes(b"")
    kernels = Kernels(tmp_path / "file" / "xla")
    kernels.put("jit_step-0123", b"code")
    assert kernels.get("jit_step-0123") is None
    kept_files(tmp_path, 1)


def test_jax_itself_keeps_kernels_so_and_says_nothing_of_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax

    from render.files import places
    from render.train import compiled

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.keep(places.cache_folder())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")

            def trained() -> float:
                jax.clear_caches()
                return float(jax.jit(lambda v: v * 3 + 0.125)(np.float64(2.0)))

            assert trained() == 6.125
            files = list((tmp_path / "render/xla").iterdir())
            assert files and all(file.suffix == ".kernel" for file in files)
            before = {file: file.read_bytes() for file in files}
            for file, damage in zip(files, [*DAMAGES.values()] * len(files), strict=False):
                file.write_bytes(damage(file.read_bytes()))
            assert trained() == 6.125
            assert {file.name for file in before} == {file.name for file in (tmp_path / "render/xla").iterdir()}
            kernels = compiled.Kernels(tmp_path / "render/xla")
            assert all(kernels.get(file.stem) is not None for file in before)
    finally:
        monkeypatch.undo()
        compiled.keep(places.cache_folder())
