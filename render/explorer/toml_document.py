"""Edits a TOML text without loss: everything that is not edited stays as the user wrote it, byte for byte.

tomlkit edits single tables well, but has four faults (seen with 0.15) that this module avoids. It counts the comments
above a header to the table before, so that they end up in a wrong place when tables of a list are moved or removed. It
loses the comments beside items of a list that are moved. It loses the comment beside a key that is removed. It ends the
lines that it adds with a line feed, whatever ends the other lines, and adds none before them if the last line has none.
So here the text is cut at its headers, and a list at its commas, and tomlkit edits one piece at a time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import tomlkit

# The pieces of a TOML text. Strings and comments are one piece each, so that characters in them are not taken for
# brackets, commas or the ends of lines.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\r\n]*"
    r"|[^\"'\#\[\]{},\s]+"
    r"|[^\S\n]+"
    r"|.",
    re.DOTALL,
)

Path = tuple[str, ...]


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """Yield the pieces of a text, each with the number of brackets that are open around it."""
    depth = 0
    for match in _PIECE.finditer(text):
        piece = match[0]
        depth -= piece in ("]", "}")
        yield piece, depth
        depth += piece in ("[", "{")


def statements(text: str) -> list[str]:
    """Cut a text into headers, keys with their values, comments and blank lines; each ends with its line."""
    complete, start, at = [], 0, 0
    for piece, depth in _pieces(text):
        at += len(piece)
        if piece == "\n" and depth <= 0:
            complete.append(text[start:at])
            start = at
    return [*complete, text[start:]] if start < len(text) else complete


def _comments(text: str) -> list[str]:
    return [piece for piece, _ in _pieces(text) if piece.startswith("#")]


def _key(statement: str) -> Path:
    """Return the key that a statement sets; () if it is a header, a comment or blank."""
    if statement.strip()[:1] in ("", "#", "["):
        return ()
    return tuple(part.key for part in tomlkit.key_value(statement)[0])


def _is_header(statement: str) -> bool:
    return statement.lstrip(" \t").startswith("[")


def _header_name(header: str) -> Path:
    name: Path = ()
    table: Any = tomllib.loads(header)
    while table:
        ((key, table),) = table.items()
        table = table[0] if isinstance(table, list) else table
        name += (key,)
    return name


def _at(document: Any, path: Path) -> Any:
    value = document
    for key in path:
        value = value[key]
        value = value[0] if isinstance(value, list) else value
    return value


@dataclass
class Block:
    """One table of a text. lead: the comments right above it. body: its header and keys. tail: the blank lines after
    it.

    name: the key path in the header; () for the text before the first header. end: the end of new lines.
    """

    name: Path
    lead: str
    body: str
    tail: str
    end: str

    def edit(self, change: Callable[[Any], None], path: Path) -> None:
        """Let a function change the table at a path of the document; everything else stays as it was."""
        document = tomlkit.parse(self.body)
        change(_at(document, path))
        known = set(self.body.split("\n"))
        lines = tomlkit.dumps(document).removesuffix("\n").split("\n")
        self.body = "".join(line + "\n" if line in known else line.removesuffix("\r") + self.end for line in lines)

    def drop(self, path: Path) -> None:
        """Remove a key, if there is one; a comment beside it stays, on a line of its own."""
        kept = []
        for statement in statements(self.body):
            key = _key(statement)
            full = self.name + key
            if key and full == path:
                kept += [comment + self.end for comment in _comments(statement)]
            elif key and full == path[: len(full)]:  # an inline table
                document = tomlkit.parse(statement)
                _at(document, path[len(self.name) : -1]).pop(path[-1], None)
                kept.append(tomlkit.dumps(document))
            else:
                kept.append(statement)
        self.body = "".join(kept)


@dataclass
class Document:
    """A whole text, cut at its headers. end: the end of new lines. ended: whether the last line has an end."""

    blocks: list[Block]
    end: str
    ended: bool

    @staticmethod
    def parse(text: str) -> Document:
        """Return the document of a valid TOML text; `str` of it is that text."""
        crlf = text.count("\r\n")
        end = "\r\n" if crlf > text.count("\n") - crlf else "\n"
        ended = not text or text.endswith("\n")
        groups: list[list[str]] = [[]]
        for statement in statements(text if ended else text + end):
            if _is_header(statement):
                groups.append(_cut_lead(groups[-1]))
            groups[-1].append(statement)
        return Document([_block(group, end) for group in groups], end, ended)

    def __str__(self) -> str:
        text = "".join(block.lead + block.body + block.tail for block in self.blocks)
        return text if self.ended else text.removesuffix("\n").removesuffix("\r")

    def tables(self, *name: str) -> list[Block]:
        """Return the tables with this name in their header."""
        return [block for block in self.blocks if block.name == name]

    def holder(self, key: str) -> Block | None:
        """Return the block that has the keys of a table: under its header, or inline or dotted at the top."""
        if key in tomllib.loads(self.blocks[0].body):
            return self.blocks[0]
        return next(iter(self.tables(key)), None)

    def new(self, header: str) -> Block:
        """Return an empty table, to be put among the blocks."""
        return Block(_header_name(header), "", header + self.end, "", self.end)

    def insert(self, header: str, before: Block | None) -> Block:
        """Insert an empty table before another one, or at the end, and return it."""
        block = self.new(header)
        if before is None:
            last = self.blocks[-1]
            last.tail = last.tail or self.end
            self.blocks.append(block)
        else:
            block.tail = self.end
            self.blocks.insert(self._place(before), block)
        return block

    def replace(self, old: list[Block], new: list[Block]) -> None:
        """Put new blocks in the place of the first of the old ones, and remove the old ones."""
        at = self._place(old[0])
        self.blocks[at:at] = new
        self.blocks = [block for block in self.blocks if not any(block is each for each in old)]

    def _place(self, block: Block) -> int:
        return next(i for i, each in enumerate(self.blocks) if each is block)  # two may be equal


def _cut_lead(before: list[str]) -> list[str]:
    """Remove the comments right above a header from the statements before it, and return them.

    Comments without a blank line above them belong to the table above; the first lines belong to the file.
    """
    start = len(before)
    while start > 0 and before[start - 1].lstrip().startswith("#"):
        start -= 1
    if start == 0 or before[start - 1].strip():
        return []
    lead = before[start:]
    del before[start:]
    return lead


def _block(group: list[str], end: str) -> Block:
    first = next((i for i, statement in enumerate(group) if _is_header(statement)), None)
    start, last = first or 0, len(group)
    while last > start and not group[last - 1].strip():
        last -= 1
    lead, body, tail = ("".join(part) for part in (group[:start], group[start:last], group[last:]))
    return Block(() if first is None else _header_name(group[start]), lead, body, tail, end)


# ---- lists ------------------------------------------------------------------------------------------------------


@dataclass
class Item:
    """An item of a list that is an inline table, with the text around it.

    before: comments and blanks. gap: the text between the item and its comma. beside: the rest of the line after the
    comma, a comment and the line's end; "" if another item follows on that line.
    """

    before: str
    value: str
    gap: str = ""
    beside: str = ""

    def edit(self, change: Callable[[Any], None]) -> None:
        """Let a function change the table; everything else stays as it was."""
        document = tomlkit.parse(f"item = {self.value}")
        table: Any = document["item"]
        change(table)
        self.value = table.as_string()

    def empty(self) -> Item:
        """Return a new item without keys, on a line of its own if this one has one."""
        indent, end = re.search(r"[ \t]*$", self.before), re.search(r"\r?\n$", self.beside)
        return Item(indent[0] if indent else "", "{}", beside=end[0] if end else "")


@dataclass
class List:
    """A list of inline tables, cut at its commas. comma: whether there is one after the last item.

    opening: the rest of the line after the first bracket. closing: comments and blanks before the last bracket.
    """

    opening: str = ""
    items: list[Item] = field(default_factory=list)
    closing: str = ""
    comma: bool = False

    @staticmethod
    def parse(text: str) -> List:
        """Return the list of a valid text."""
        parsed = List()
        parts: list[list[str]] = [[]]
        for piece, depth in _pieces(text[1:-1]):
            if piece == "," and depth == 0:
                parts.append([])
            else:
                parts[-1].append(piece)
        for i, part in enumerate(parts):
            before, value, behind = _trimmed(part)
            # The rest of a line belongs to the item before it on that line.
            beside, before = _end_of_line(before)
            if parsed.items:
                parsed.items[-1].beside += beside
            else:
                parsed.opening += beside
            if not value:
                parsed.closing, parsed.comma = before, i > 0
            elif i < len(parts) - 1:
                parsed.items.append(Item(before, value, gap=behind))
            else:
                beside, parsed.closing = _end_of_line(behind)
                parsed.items.append(Item(before, value, beside=beside))
        return parsed

    def __str__(self) -> str:
        text = "[" + self.opening
        for i, item in enumerate(self.items):
            text += item.before or ("" if text.endswith(("[", "\n")) else " ")
            text += item.value + item.gap + ("," if self.comma or i < len(self.items) - 1 else "") + item.beside
        return text + self.closing + "]"


def _trimmed(pieces: list[str]) -> tuple[str, str, str]:
    """Return the text before a value, the value, and the text after it."""
    solid = [i for i, piece in enumerate(pieces) if piece.strip() and not piece.startswith("#")]
    first, last = (solid[0], solid[-1] + 1) if solid else (len(pieces), len(pieces))
    return "".join(pieces[:first]), "".join(pieces[first:last]), "".join(pieces[last:])


def _end_of_line(blanks: str) -> tuple[str, str]:
    """Return the rest of a line, a comment and the line's end, and what follows; "" if the line goes on."""
    match = re.match(r"[^\S\n]*(#[^\r\n]*)?\r?\n", blanks)
    return (match[0], blanks[match.end() :]) if match else ("", blanks)
