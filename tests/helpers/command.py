"""The command line as a user runs it."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from render.cli import commands, messages
from tests.helpers import ROOT


def run(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with some variables of the environment."""
    return subprocess.run(
        [sys.executable, "-m", "render.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def run_here(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: what `main` does but for the process's streams and signals; seconds cheaper."""
    words, out, err = [*map(str, arguments)], io.StringIO(), io.StringIO()
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = commands.run(words)
    finally:
        messages._json = False
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def refused(*arguments: object, cwd: Path = ROOT) -> str:
    """Run a command that must be refused with exit code 2, and return its message."""
    done = run_here(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr
