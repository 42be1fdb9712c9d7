"""The vocabulary of code and prose: names that say what they hold, and words that a reader of the field expects."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("render", "tests") for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*(ROOT / "assets" / "docs").glob("*.md"), *ROOT.glob("*.md")])

# A name of these holds anything at all: what was found, made or reported is a match, a record, a tile, a path.
VAGUE = {"found", "made", "own", "whole", "there", "told", "said"}
# `render doctor --json` has called it so since it was first published.
KEPT = {("render/tools/doctor.py", "found")}

# Words that this project says in another way: fix, again, the user, a person.
UNUSED = re.compile(r"\b(mend(s|ed|ing)?|anew|nobody|no one|somebody)\b", re.IGNORECASE)


def bound(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every name that a module gives to something, anywhere, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname, node.lineno) for alias in node.names if alias.asname)


def vague(text: str) -> list[tuple[str, int]]:
    return [
        (name, line) for name, line in bound(ast.parse(text)) if name.lower().strip("_") in VAGUE and name != "WHOLE"
    ]


def test_no_name_is_vague() -> None:
    names = {
        (str(path.relative_to(ROOT)), name): line
        for path in CODE
        for name, line in vague(path.read_text(encoding="utf-8"))
    }
    assert [f"{path}:{line}: {name}" for (path, name), line in names.items() if (path, name) not in KEPT] == []
    assert names.keys() >= KEPT


@pytest.mark.parametrize(
    "text",
    [
        "found = 1",
        "def told(x): ...",
        "def f(*, own): ...",
        "self._made = 2",
        "[whole for whole in x]",
        "if (said := 3): pass",
        "import x as there",
        "for a, (b, found) in x: pass",
        "with x as made: pass",
        "lambda own: 1",
        "class Told: ...",
    ],
)
def test_each_way_to_bind_a_name_is_seen(text: str) -> None:
    assert len(vague(text)) == 1


def test_words_that_are_said_in_another_way_are_not_used() -> None:
    paths = [*(path for path in CODE if path.is_relative_to(ROOT / "render")), *PAGES]
    lines = (
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    )
    assert [f"{place}: {line.strip()}" for place, line in lines if UNUSED.search(line)] == []
