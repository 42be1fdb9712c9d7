"""The output of every command: results on stdout, everything else on stderr, both also as JSON.

This module does not load what makes films, so that the explorer can print its address at once.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

# Results go to stdout, everything else to stderr. Messages are printed literally: [bold] and :smile: are not markup.
_console = functools.partial(Console, highlight=False, markup=False, emoji=False)
_out = _console(soft_wrap=True)
err = _console(stderr=True, soft_wrap=True)

# Where the output is no terminal, progress is a line printed this often, instead of one that changes.
LINE_S = 10.0

# Columns of a table that no terminal cuts off; rich takes no more than its cells need.
_WIDEST = 100_000

# Whether results and events are printed as JSON, one object a line.
_json = False


def speak_json() -> None:
    """Print JSON from now on: results to stdout, everything else to stderr, one object per line."""
    global _json
    _json = True


def is_live() -> bool:
    """Return whether messages go to a terminal, where progress is updated in place."""
    return err.is_terminal and not _json


def speaks_json() -> bool:
    """Return whether output is JSON."""
    return _json


def emit(event: str, text: str, *, style: str | None = None, **facts: object) -> None:
    """Print a message that is not a result: a line of text, or its facts as JSON."""
    if _json:
        print(json.dumps({"event": event, **(facts or {"message": text})}), file=sys.stderr, flush=True)
    else:
        err.print(text, style=style)


def result(event: str, text: str, *, style: str | None = None, **facts: object) -> None:
    """Print a result on stdout: a line of text, if it has any, or its facts as JSON."""
    if _json:
        print(json.dumps({"event": event, **facts}), flush=True)
    elif text:
        _out.print(text, style=style)


def show(table: RenderableType) -> None:
    """Print a table on stdout, in 80 columns if that is not a terminal; with JSON, print nothing."""
    if not _json:
        (_out if _out.is_terminal else _console(width=80)).print(table)


def note(text: str) -> None:
    """Write a message that is not a result to stderr."""
    emit("note", text)


def show_table(rows: Iterable[Sequence[str]], *, wide: bool = False) -> None:
    """Print rows of words in columns on stdout; with JSON, print nothing, since results are printed one by one.

    wide: whether every row is one line if stdout is not a terminal, as programs that read it expect. Otherwise long
    words are wrapped.
    """
    if _json:
        return
    table = Table.grid(padding=(0, 2))
    rows = [tuple(row) for row in rows]
    for _ in range(max(map(len, rows), default=0)):
        table.add_column(overflow="fold")  # a long path is wrapped and never cut off
    for row in rows:
        table.add_row(*row)
    (_console(width=_WIDEST) if wide and not _out.is_terminal else _out).print(table)


@contextlib.contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show that work is under way; yield a function that updates the message.

    Where the output is no terminal, a line is printed every LINE_S instead, once the work takes that long.
    """
    if is_live():
        with err.status(Text(what)) as status:
            yield lambda words: status.update(Text(f"{what}: {words}"))
        return
    last_line_s = time.monotonic()

    def print_now_and_then(words: str) -> None:
        nonlocal last_line_s
        if time.monotonic() - last_line_s >= LINE_S:
            last_line_s = time.monotonic()
            emit("working", f"{what}: {words}")

    yield print_now_and_then


def served(address: str, place: str) -> None:
    """Print the address of a served page on stdout, and a note on how to stop it."""
    print(address, flush=True)
    note(f"The explorer serves this machine only, at {place}. Open the address above; Ctrl-C stops it.")


def watched(address: str, place: str) -> None:
    """Print the address of a page on a film that is being made."""
    text = f"To watch the film being made, open {address} (on this machine only)."
    emit("watch", text, address=address, place=place)


def wrote(*paths: Path) -> None:
    """Print the paths of results on stdout, one per line."""
    for path in paths:
        result("wrote", str(path), path=str(path))
