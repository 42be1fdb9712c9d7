"""Join a fresh environment with the checkout that it lies in, by relative paths; say so if it lacks what render needs.

Run by `make`, with the environment's own Python, in the checkout. The paths are relative so that a copied or moved
checkout runs its own code, never that of the folder which it came from.
"""

import importlib.metadata
import os
import re
import sys
import sysconfig
import tomllib
from pathlib import Path

# The environment's packages alone: variables of a cluster's modules would put others before them.
_SCRIPT = """#!/bin/sh
unset PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE=1
exec "$(dirname -- "$(readlink -f -- "$0")")/python" -P -m render "$@"
"""


def link(checkout: Path) -> None:
    """Put the checkout's package on the environment's path, and the command `render` beside its Python."""
    packages = Path(sysconfig.get_path("purelib")).resolve()
    (packages / "render-checkout.pth").write_text(
        os.path.relpath(checkout.resolve(), packages) + "\n", encoding="utf-8"
    )
    command = Path(sys.prefix) / "bin" / "render"
    command.write_text(_SCRIPT, encoding="utf-8")
    command.chmod(0o755)


def missing(checkout: Path) -> list[str]:
    """Return the names of what render needs and this environment lacks."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[^A-Za-z0-9_.-]", wish, maxsplit=1)[0] for wish in project["dependencies"]]
    own = {re.sub(r"[-_.]+", "-", found.name).lower() for found in importlib.metadata.distributions()}
    return [name for name in names if re.sub(r"[-_.]+", "-", name).lower() not in own]


if __name__ == "__main__":
    link(Path.cwd())
    if lacking := missing(Path.cwd()):
        sys.exit(
            f".venv lacks {', '.join(lacking)}: its packages were installed somewhere else. "
            "Look at `pip config list` for `target`, `prefix` or `user`, remove that, and run make again."
        )
