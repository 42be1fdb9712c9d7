"""Which modules may import which, and how long a module may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "render").rglob("*.py"))


def run(*command: object) -> str:
    """Run a command in the repository's root; if it fails, fail with its output."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_import_contracts_hold() -> None:
    run(Path(sys.executable).parent / "lint-imports", "--no-cache")


def test_every_module_says_what_it_is_and_is_short() -> None:
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in MODULES}
    assert len(texts) > 100
    assert [path for path, text in texts.items() if not ast.get_docstring(ast.parse(text))] == []
    assert [path for path, text in texts.items() if len(text.splitlines()) >= 400] == []


@pytest.mark.parametrize(
    "modules", ["render.train, render.storage.store", "render.train.engine, render.backends.local"]
)
def test_training_and_storing_need_nothing_that_draws_or_talks(modules: str) -> None:
    blocked = ("pydantic", "cyclopts", "cmap", "imageio_ffmpeg", "PIL")
    run(sys.executable, "-c", f"import sys; sys.modules.update(dict.fromkeys({blocked})); import {modules}")


def test_the_command_line_starts_without_anything_slow() -> None:
    slow = ("jax", "scipy", "pydantic", "PIL")
    loaded = run(sys.executable, "-c", f"import sys, render.cli; print(*{{*{slow}}} & {{*sys.modules}})")
    assert loaded.split() == []
