"""The command line as a person runs it: a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT


def run(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "render.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def refused(*arguments: object, cwd: Path = ROOT) -> str:
    """Run a command that must end as a person's mistake, and return what it says."""
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr
