"""A user's file as text: with the modules that it imports from beside it, its data files, and a digest of its meaning.

The digest is part of a problem's key. It covers the syntax tree of every module, so that comments, blank lines and line
ends may change; the content of the declared data files; and the versions of the packages that are imported, since
another version of an optimiser may take other steps. Words that only describe (docstrings, labels) and ranges are left
out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from render.errors import SceneError
from render.machine import texts

_MOST_MODULES = 200
_MOST_BYTES = 1_000_000  # of a module

# What only describes a hyperparameter or a setting.
_WORDS = {"label", "about", "range", "scale"}

# Of these every version gives the same values, or the numerics name it (jaxlib).
_UNVERSIONED = {"numpy", "render", "jaxlib"}


@dataclass(frozen=True)
class Source:
    """name: of the file, such as "my_net.py". modules: (dotted name, text) of the file itself, whose name is "", and of
    what it imports from beside it. packages: those that have no module, only a folder. data: (relative path, SHA-256)
    of its data files.
    """

    name: str
    modules: tuple[tuple[str, str], ...]
    packages: tuple[str, ...] = ()
    data: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The text of the file itself."""
        return dict(self.modules)[""]

    @functools.cached_property
    def code_digest(self) -> str:
        """SHA-256 of every byte of code: what a person trusts."""
        text = json.dumps([self.name, self.modules, self.packages])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @functools.cached_property
    def digest(self) -> str:
        """16 hex digits of everything that decides a value: what a problem's key covers."""
        meaning = {
            "modules": [(name, _meaning(text, declares=name == "")) for name, text in self.modules],
            "data": self.data,
            "versions": self.versions,
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @functools.cached_property
    def versions(self) -> dict[str, str]:
        """The value of `installed` where this code was read, or where it came from."""
        return self.installed()

    def installed(self) -> dict[str, str]:
        """Return the versions of the installed packages that are imported, and of JAX, by the imported names."""
        names = {"jax"}
        for _, text in self.modules:
            names |= {name.partition(".")[0] for name, level, _ in _imports(ast.parse(text)) if level == 0}
        beside = {name.partition(".")[0] for name, _ in self.modules} | set(self.packages)
        outside = names - beside - set(sys.stdlib_module_names) - _UNVERSIONED
        return {name: _version(name) for name in sorted(outside)}


def read(path: Path, data: tuple[str, ...] = ()) -> Source:
    """Return the source of a file, with what it imports from beside it. data: relative paths of its data files.

    SceneError for a file that cannot be read, or that is not valid Python.
    """
    folder = path.parent
    modules: dict[str, str] = {"": _text(path, path.name)}
    packages: set[str] = set()
    waiting = [""]
    while waiting:
        module = waiting.pop()
        for wanted in _wanted(module, modules[module], path.name, folder):
            for name in _parents(wanted):
                if name in modules or name in packages:
                    continue
                file = _file(folder, name)
                if file is None:
                    packages.add(name)
                    continue
                modules[name] = _text(file, str(file.relative_to(folder)))
                waiting.append(name)
                if len(modules) > _MOST_MODULES:
                    raise SceneError(f"{path.name}: it must import at most {_MOST_MODULES} modules from beside it.")
    hashed = tuple((name, _data_digest(folder, name, path.name)) for name in sorted(data))
    return Source(path.name, tuple(sorted(modules.items())), tuple(sorted(packages)), hashed)


def file_of(name: str, source: Source) -> str:
    """Return the relative path of a module of a source, as messages name it."""
    return source.name if name == "" else name.replace(".", "/") + ".py"


def beside(folder: Path, name: str) -> bool:
    """Return whether a top-level name is a module or a package beside a file."""
    return (folder / f"{name}.py").is_file() or _is_package(folder / name)


def _is_package(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("*.py"))


def _file(folder: Path, name: str) -> Path | None:
    place = folder.joinpath(*name.split("."))
    options = [place / "__init__.py", place.with_name(place.name + ".py")]
    return next((option for option in options if option.is_file()), None)


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _wanted(module: str, text: str, file: str, folder: Path) -> Iterator[str]:
    """Yield the modules beside a file that one of its modules imports."""
    is_package = module != "" and (folder.joinpath(*module.split("."), "__init__.py")).is_file()
    for name, level, froms in _imports(parsed(text, file if module == "" else module)):
        if level:
            above = module.split(".") if module else []
            above = above[: len(above) - level + (1 if is_package else 0)]
            name = ".".join([*above, *([name] if name else [])])
        elif not beside(folder, name.partition(".")[0]):
            continue
        if name:
            yield name
        for inner in froms:
            full = f"{name}.{inner}" if name else inner
            if _file(folder, full) is not None:
                yield full


def _imports(tree: ast.AST) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (module, level, names) of every import: level 0 is absolute, names are what `from` takes out of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0, []
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level, [alias.name for alias in node.names]


def parsed(text: str, file: str) -> ast.Module:
    """Return the syntax tree of a text. SceneError, with the line, if it is not valid Python."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise SceneError(f"{file}: line {error.lineno}: is not valid Python ({error.msg}).") from None
    except (ValueError, RecursionError, MemoryError):
        raise SceneError(f"{file}: is not valid Python.") from None


def _text(path: Path, name: str) -> str:
    text = texts.read(path, name, _MOST_BYTES).replace("\r\n", "\n").replace("\r", "\n")
    parsed(text, name)
    return text


def _data_digest(folder: Path, name: str, file: str) -> str:
    try:
        with (folder / name).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SceneError(f"{file}: files: {name} cannot be read ({error.strerror}).") from None


def _version(package: str) -> str:
    """Return the version of an imported package; "none" where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(package, [])
        return " ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names))) or "none"


def _meaning(text: str, *, declares: bool) -> object:
    """Return what a module's text says, without line numbers, comments, and words that only describe."""
    tree = ast.parse(text)
    if "__doc__" not in text:
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                _drop_docstring(node)
    if declares:
        for statement in tree.body:
            _drop_words(statement)
    return _plain(tree)


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        del node.body[0]


def _drop_words(statement: ast.stmt) -> None:
    """Drop labels, descriptions and ranges from a declaration of hyperparameters, settings or channels."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or not isinstance(statement.value, ast.Dict):
        return
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    if not names & {"hyperparameters", "settings"}:
        return
    for value in statement.value.values:
        if isinstance(value, ast.Dict):
            kept = [
                (key, inner)
                for key, inner in zip(value.keys, value.values, strict=True)
                if not (isinstance(key, ast.Constant) and key.value in _WORDS)
            ]
            value.keys, value.values = [key for key, _ in kept], [inner for _, inner in kept]


def _plain(node: object) -> object:
    """Return a syntax tree as lists. Fields that are empty are left out: another Python may have more of them."""
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node) if name not in ("kind", "ctx")]
        return [type(node).__name__, [pair for pair in fields if pair[1] not in (None, [])]]
    if isinstance(node, list):
        return [_plain(entry) for entry in node]
    return node if node is None else repr(node)
