"""Waits for conditions. Their duration never decides a test: pytest's timeout ends a wait that would last for ever."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from tests.helpers import ROOT

Value = TypeVar("Value")


def until(condition: Callable[[], Value], pause_s: float = 0.02) -> Value:
    """Return the first value of a condition that is true."""
    while not (value := condition()):
        time.sleep(pause_s)
    return value


# A command that announces on stdout when a method of a class is called for the count-th time, and from then on lets no
# call of it return before stdin is closed. So a test that stops it there finds it in the midst of its work.
_HELD = """
import importlib, itertools, os, sys
module, owner, method, count = {module!r}, {owner!r}, {method!r}, {count!r}
where = getattr(importlib.import_module(module), owner)
plain, calls = getattr(where, method), itertools.count(1)
def held(*arguments, **options):
    result = plain(*arguments, **options)
    number = next(calls)
    if number == count:
        os.write(1, b"held\\n")
    if number >= count:
        sys.stdin.read()
    return result
setattr(where, method, held)
from render.cli import main
sys.argv[0] = "render"
main()
"""

# The same for a command that is about to import a module.
_HELD_AT_IMPORT = """
import os, sys
class Held:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.write(1, b"held\\n")
            sys.stdin.read()
sys.meta_path.insert(0, Held())
from render.cli import main
sys.argv[0] = "render"
main()
"""


def _announced(code: str, arguments: tuple[object, ...]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    if (line := process.stdout.readline()) != "held\n":
        process.kill()
        raise AssertionError(f"The command did not get there: {line}{process.communicate()[1]}")
    return process


def held_after_tiles(count: int, *arguments: object) -> "subprocess.Popen[str]":
    """Start a command of `render`; return it once it has stored so many tiles, where it stays until stdin is closed."""
    place = {"module": "render.storage.store", "owner": "DirectoryStore", "method": "put", "count": count}
    return _announced(_HELD.format(**place), arguments)


def held_after_batches(count: int, *arguments: object) -> "subprocess.Popen[str]":
    """The same once it has trained so many batches on this machine."""
    place = {"module": "render.train.engine", "owner": "Engine", "method": "run", "count": count}
    return _announced(_HELD.format(**place), arguments)


def held_at_import(module: str, *arguments: object) -> "subprocess.Popen[str]":
    """The same where it is about to import a module."""
    return _announced(_HELD_AT_IMPORT.format(module=module), arguments)
