"""The vocabulary of code and prose: names that say what they hold, and words that a reader of the field expects."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("render", "tests") for path in (ROOT / folder).rglob("*.py"))
SCRIPTS = sorted(path for path in (ROOT / "render").rglob("*.js") if "leaflet" not in path.parts)
PAGES = sorted([*(ROOT / "assets" / "docs").glob("*.md"), *ROOT.glob("*.md")])

# A name of these holds anything at all: what was found, made or reported is a match, a record, a tile, a path.
VAGUE = {"found", "made", "own", "whole", "there", "told", "said"}
# `render doctor --json` has called it so since it was first published.
KEPT = {("render/tools/doctor.py", "found")}

# The project writes "fix", "again", "the user" and "a person" instead. After "~" such a word names an account.
UNUSED = re.compile(r"\b(?<!~)(mend(s|ed|ing)?|anew|nobody|no one|somebody)\b", re.IGNORECASE)
# The same words in names of functions, which are sentences without spaces; "reported" replaces "told" and "said".
UNUSED_IN_NAMES = {"mend", "mends", "mended", "mending", "anew", "nobody", "somebody", "told", "said"}

# JavaScript up to what stands in quotes or in a comment, which the other groups take.
TOKEN = re.compile(
    r"""//.*|/\*[\s\S]*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?P<mark>[`{}])|(?P<name>[A-Za-z_$][\w$]*)|\n"""
)
TEMPLATE_TEXT = re.compile(r"(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(`|\$\{)")


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


def script_names(text: str) -> Iterator[tuple[str, int]]:
    """Yield every identifier of a JavaScript text with its line; not the words of comments, strings and templates."""
    at, nested = 0, [""]  # what each open brace belongs to: "{", or "${" inside of a template
    while token := TOKEN.search(text, at):
        at = token.end()
        if token["name"]:
            yield token["name"], text.count("\n", 0, token.start()) + 1
        elif token["mark"] == "{":
            nested.append("{")
        elif token["mark"] == "`" or (token["mark"] == "}" and nested.pop() == "${"):
            words = TEMPLATE_TEXT.match(text, at)
            assert words is not None, "a template has an end"
            at = words.end()
            nested += ["${"] if words[1] == "${" else []


def vague_in_script(text: str) -> list[tuple[str, int]]:
    return [(name, line) for name, line in script_names(text) if name.lower().strip("_$") in VAGUE]


def test_no_name_is_vague() -> None:
    names = {
        (str(path.relative_to(ROOT)), name): line
        for paths, search in ((CODE, vague), (SCRIPTS, vague_in_script))
        for path in paths
        for name, line in search(path.read_text(encoding="utf-8"))
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


@pytest.mark.parametrize(
    "text",
    [
        "const found = 1;",
        "f(({ made }) => made2);",
        "class A { whole() {} }",
        "page.there = true;",
        "`found ${own} there`",
        "`a ${b ? `${told} found` : {}} made`",
        "'found' + \"made\" + said // own",
        "/* own\n made */ let there;",
    ],
)
def test_each_vague_name_of_a_script_is_seen_and_no_word_of_its_texts(text: str) -> None:
    assert len(vague_in_script(text)) == 1


def test_scripts_are_read_to_their_end() -> None:
    """A quote or a brace that the reading misjudges would hide the names behind it."""
    assert len(SCRIPTS) > 20
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        assert ("there", text.count("\n") + 1) in script_names(text + "there;"), path


def test_names_of_functions_use_the_words_of_the_prose() -> None:
    names = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and UNUSED_IN_NAMES & set(node.name.split("_"))
    ]
    assert names == []


def test_words_that_have_a_better_one_are_not_used() -> None:
    paths = [*(path for path in CODE if path != Path(__file__)), *SCRIPTS, *PAGES]
    lines = (
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    )
    assert [f"{place}: {line.strip()}" for place, line in lines if UNUSED.search(line)] == []
