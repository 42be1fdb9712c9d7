"""The library that stands for file systems and machines that refuse something (refusing.c), and what films bear."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.helpers import ROOT


class Refusal(NamedTuple):
    """What is refused (the words of refusing.c), and which variables are missing or set; {here} is a scratch folder."""

    refuse: str
    without: tuple[str, ...] = ()
    variables: dict[str, str] = {}


# What a film is made in spite of, without a word: {here}/home and {here}/tmp exist.
BORNE = (
    Refusal("fsync link flock passwd", ("HOME", "XDG_CACHE_HOME"), {"RENDER_FSYNC": "1"}),
    Refusal(
        "fsync-folder read-only={here}/home", (), {"HOME": "{here}/home", "XDG_CACHE_HOME": "home", "RENDER_FSYNC": "1"}
    ),
    Refusal("full={here}/home", (), {"XDG_CACHE_HOME": "{here}/home"}),
    Refusal("fsync read-only={here}/tmp", (), {"TMPDIR": "{here}/tmp"}),
)


def build(folder: Path) -> tuple[Path | None, str]:
    """Compile the library into a folder. Return its path, or None and why there is none."""
    path, compiler = folder / "refusing.so", shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None, "refusals are simulated on Linux, with a C compiler"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(ROOT / "tests/refusing.c"), "-ldl"]
    built = subprocess.run(words, capture_output=True, text=True, check=False)
    return (None, f"the C compiler does not build it: {built.stderr[-300:]}") if built.returncode else (path, "")
