"""A TOML text as its tables, one after the other, each with the comments around it: to be edited without loss.

tomlkit keeps comments within a table, but counts the ones above a header to the table before, and loses its bearings
when tables of a list change places. So the text is cut at the headers, and tomlkit edits one table at a time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit

_HEADER = re.compile(r"^\s*(\[{1,2})\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*\]{1,2}\s*(#.*)?$")


@dataclass
class Block:
    """One table of a text: the comment lines right above it, its header with its keys, and the blank lines behind.

    name: dotted, as in the header; "" for what stands before the first header.
    """

    name: str
    lead: str
    body: str
    tail: str

    @staticmethod
    def new(header: str) -> Block:
        """Return an empty table."""
        return Block(header.strip("[]"), "", header + "\n", "")

    def edit(self, change: Callable[[Any], None]) -> None:
        """Let a function change the table, a mapping; what it leaves alone stays as it was, comments included."""
        document = tomlkit.parse(self.body)
        change(_table(document, self.name))
        self.body = tomlkit.dumps(document)
        if not self.body.endswith("\n"):
            self.body += "\n"


def table_of(block: Block) -> Any:
    """Return a block's table, to read it."""
    return _table(tomlkit.parse(block.body), block.name)


def _table(document: Any, name: str) -> Any:
    found = document
    for part in name.split("."):
        found = found[part]
    return found[0] if isinstance(found, list) else found


def blocks(text: str) -> list[Block]:
    """Cut a text at its table headers. `text(blocks(t))` is t, but for a newline at its end."""
    pieces: list[tuple[str, list[str]]] = [("", [])]
    # At line feeds alone: TOML has no other line ends, and texts may hold U+2028 or U+0085.
    for line in text.split("\n")[: -1 if text.endswith("\n") else None]:
        header = _HEADER.match(line)
        if header is None:
            pieces[-1][1].append(line)
            continue
        before = pieces[-1][1]
        start = len(before)
        while start > 0 and before[start - 1].lstrip().startswith("#"):
            start -= 1
        # Comments that touch the table above belong to it; the first lines of all belong to the file.
        lead = before[start:] if start > 0 and not before[start - 1].strip() else []
        del before[len(before) - len(lead) :]
        pieces.append((re.sub(r"\s", "", header[2]), [*lead, line]))
    return [_block(name, lines) for name, lines in pieces if name or lines]


# Strings, which may hold signs of comments, or a comment.
_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|(#[^\n]*)', re.DOTALL
)


def comments_in(text: str) -> list[str]:
    """Return the comments of a TOML text, each from its sign to the end of its line, in order."""
    return [found[1].rstrip() for found in _STRING_OR_COMMENT.finditer(text) if found[1]]


def with_tables(text: str, names: Sequence[str]) -> str:
    """Return the same document in which some top-level tables have headers of their own.

    What is written as an inline or a dotted table, or under a quoted header, moves to the end of the text, with its
    comments above it. Raises ValueError where that would change what the document means.
    """
    written = {block.name.partition(".")[0] for block in blocks(text)}
    meant = tomllib.loads(text)
    moved = [name for name in names if name in meant and name not in written]
    if not moved:
        return text
    document = tomlkit.parse(text)
    ends = []
    before = comments_in(text)
    for name in moved:
        document.remove(name)
        table = tomlkit.document()
        table[name] = meant[name]
        ends.append(tomlkit.dumps(table))
    kept = tomlkit.dumps(document)
    for comment in comments_in(kept):
        before.remove(comment)
    lead = "".join(f"{comment}\n" for comment in before)
    made = f"{kept.rstrip()}\n\n{lead}" + "\n".join(ends)
    if tomllib.loads(made) != meant:
        raise ValueError("its tables cannot be given headers of their own")
    return made


def _block(name: str, lines: list[str]) -> Block:
    first = next((i for i, line in enumerate(lines) if _HEADER.match(line)), 0) if name else 0
    last = len(lines)
    while last > first and not lines[last - 1].strip():
        last -= 1
    return Block(
        name, *("".join(line + "\n" for line in part) for part in (lines[:first], lines[first:last], lines[last:]))
    )


def text(blocks: list[Block]) -> str:
    """Return the blocks as one text."""
    return "".join(block.lead + block.body + block.tail for block in blocks)
