"""Users' files run as modules: from the text that was read, trusted and hashed, never from what lies on disk by then.

Each file, with what it imports from beside it, is a package of its own, so that two files with helpers of one name do
not meet, and an edited file is another package. Imports of modules beside a file are rewritten to lead into it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import random
import sys
import sysconfig
import threading
import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

import render
from render.errors import RenderError
from render.problem import Problem, own_model
from render.problem.own_model import Known
from render.storage import trust

_lock = threading.RLock()
_running = threading.local()


def module(problem: Problem, copy: int = 0) -> types.ModuleType:
    """Return the user's file of a problem as a module. copy: 0, or 1 for one that was run by itself, to compare with.

    Raises Untrusted for code that the person has not said to trust, RenderError for whatever the code raises.
    """
    trust.require(problem)
    return _module(own_model.find(problem.system), problem.seed, copy)


@functools.lru_cache(maxsize=32)
def _module(known: Known, seed: int, copy: int) -> types.ModuleType:
    _check_data(known)
    package = f"_render_own_{known.source.code_digest[:24]}_{next(_numbers)}"
    with _lock, running(known), seeded(seed):
        finder = _Finder(package, known)
        sys.meta_path.insert(0, finder)
        try:
            module = importlib.import_module(package)
        except RenderError:
            raise
        except Exception as error:
            raise failure(known, error, "cannot be run") from error
    return module


_numbers = iter(range(sys.maxsize))


def path_of(known: Known) -> str:
    """Return the file name that the code of a user's file has in tracebacks."""
    return str(known.folder / known.source.name)


def line_of(known: Known, frames: Sequence[tuple[str, int]]) -> str:
    """Return the innermost place in a user's files among (file name, line) frames, outermost first; "" if none is."""
    names = {_code_name(known, name): own_model.source.file_of(name, known.source) for name, _ in known.source.modules}
    places = [(names[file], line) for file, line in frames if file in names]
    return f"{places[-1][0]}: line {places[-1][1]}" if places else ""


def failure(known: Known, error: BaseException, what: str) -> RenderError:
    """Return what a user's code raised, as an error with its line. what: the end of "my_net.py ..."."""
    if isinstance(error, RenderError):
        return error
    frames, at = [], error.__traceback__
    while at is not None:
        frames.append((at.tb_frame.f_code.co_filename, at.tb_lineno))
        at = at.tb_next
    where = line_of(known, frames) or known.source.name
    # JAX says in its first line that something differs, and in the next what it is; after dashes, how to see frames.
    text = " ".join(str(error).partition("\n-----")[0].split())
    return RenderError(f"{where}: {what}: {type(error).__name__}: {text[:400].rstrip('.')}.{_advice(error)}")


def _advice(error: BaseException) -> str:
    """Return what to do about the errors that users of JAX and of this program meet first."""
    if isinstance(error, ModuleNotFoundError):
        return f" Install {error.name} into the environment of render ({sys.prefix})."
    if isinstance(error, (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)):
        return (
            " Hyperparameters and parameters are traced, so no `if` may depend on them: use jnp.where, and multiply a "
            'schedule that optax made of plain numbers, as in optax.adamw(lambda t: hyper["lr"] * schedule(t)).'
        )
    return ""


@contextmanager
def running(known: Known) -> Iterator[None]:
    """Accompany everything that runs a user's code: what it reads is watched, and it may mix types and ranks.

    A program may have set JAX to be strict about those; the user's libraries need not be.
    """
    with reading_only(known), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Give the global generators of NumPy and Python a seed, and set them back: a file that draws from them repeats."""
    before = np.random.get_state(), random.getstate()  # noqa: NPY002 -- what a user's file may draw from
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])


# ---- files that the code reads --------------------------------------------------------------------------------------


@contextmanager
def reading_only(known: Known) -> Iterator[None]:
    """Refuse that a user's code, in this thread, reads a file which its key does not cover."""
    _watch()
    before = getattr(_running, "known", None)
    _running.known = known
    try:
        yield
    finally:
        _running.known = before


@functools.cache
def _watch() -> None:
    """Have Python report every file that is opened; this can be asked for only once, and not be taken back."""
    sys.addaudithook(_opened)


@typing.no_type_check  # It is called for everything that Python reports: checking types would take longer than it does.
def _opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or (known := getattr(_running, "known", None)) is None:
        return
    path, _mode, flags = arguments
    if not isinstance(path, (str, bytes, os.PathLike)) or (
        isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY
    ):
        return
    _running.known = None  # what is asked below opens no files of the user's
    try:
        place = os.path.realpath(os.fsdecode(path))
        declared = {os.path.realpath(known.folder / name) for name, _ in known.source.data}
        if place in declared or place.startswith(_installed()) or not os.path.exists(place):
            return
        where = _asking(known)
        if where:
            name = os.path.basename(place)
            raise RenderError(
                f"{where}: reads {os.path.relpath(place, known.folder)}, on which the samples then depend, but "
                f'does not declare it. Put it beside {known.source.name} and write files = ["{name}"] there.'
            )
    finally:
        _running.known = known


def _asking(known: Known) -> str:
    """Return the place in a user's files that opens a file; "" where JAX does so for its compiled kernels."""
    paths = {_code_name(known, name) for name, _ in known.source.modules}
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name in paths:
            return line_of(known, [(name, frame.f_lineno)])
        if name.startswith(_JAX):
            return ""
        frame = frame.f_back
    return ""


_JAX = os.path.dirname(jax.__file__) + os.sep


@functools.cache
def _installed() -> tuple[str, ...]:
    """Return where installed packages and the machine's own files are, whose versions a key or the numerics name."""
    paths = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, str(Path(render.__file__).parent)}
    return (*tuple(os.path.realpath(path) + os.sep for path in paths), "/proc/", "/sys/", "/dev/", "/etc/")


def _check_data(known: Known) -> None:
    for name, digest in known.source.data:
        try:
            with (known.folder / name).open("rb") as opened:
                now = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise RenderError(f"{known.source.name}: {name} cannot be read ({error.strerror}).") from None
        if now != digest:
            raise RenderError(
                f"{known.source.name}: {name} has changed since the scene was read. Run the command again."
            )


# ---- modules --------------------------------------------------------------------------------------------------------


def _path(known: Known, module_name: str) -> str:
    return str(known.folder / own_model.source.file_of(module_name, known.source))


def _code_name(known: Known, module_name: str) -> str:
    """Return how tracebacks name a module's file: as UTF-8, which XLA insists on, with escapes for other bytes."""
    return os.fsencode(_path(known, module_name)).decode("utf-8", "backslashreplace")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the modules of one source as those of a package."""

    def __init__(self, package: str, known: Known) -> None:
        self._package, self._known = package, known
        self._texts = dict(known.source.modules)
        self._packages = {"", *known.source.packages}
        self._packages |= {name.rpartition(".")[0] for name in self._texts}
        self._beside = {name.partition(".")[0] for name in (*self._texts, *known.source.packages) if name}

    def find_spec(
        self, fullname: str, path: Any = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module of this package; None for any other."""
        if fullname != self._package and not fullname.startswith(self._package + "."):
            return None
        name = fullname[len(self._package) + 1 :]
        if name not in self._texts and name not in self._packages:
            return None
        origin = _path(self._known, name)
        spec = importlib.util.spec_from_loader(fullname, self, origin=origin, is_package=name in self._packages)
        if spec is not None:
            spec.has_location = True
        return spec

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a module's text, with imports of modules beside it led into the package."""
        name = module.__name__[len(self._package) + 1 :]
        text = self._texts.get(name, "")
        path = _code_name(self._known, name)
        # Tracebacks show the lines that were run, whatever is on disk by then.
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        tree = ast.fix_missing_locations(_Led(self._package, self._beside).visit(ast.parse(text)))
        exec(compile(tree, path, "exec"), module.__dict__)


class _Led(ast.NodeTransformer):
    """Leads imports of some top-level names into a package."""

    def __init__(self, package: str, beside: set[str]) -> None:
        self._package, self._beside = package, beside

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        """Turn `import a.b` into an import of package.a.b that binds `a`, as before."""
        imports: list[ast.stmt] = []
        for alias in node.names:
            top = alias.name.partition(".")[0]
            if top not in self._beside:
                imports.append(ast.Import([alias]))
            elif alias.asname:
                above, _, last = f"{self._package}.{alias.name}".rpartition(".")
                imports.append(ast.ImportFrom(above, [ast.alias(last, alias.asname)], 0))
            else:
                imports.append(ast.Import([ast.alias(f"{self._package}.{alias.name}", f"_{self._package}")]))
                imports.append(ast.ImportFrom(self._package, [ast.alias(top)], 0))
        return [ast.copy_location(one, node) for one in imports]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """Turn `from a import b` into `from package.a import b`."""
        if node.level == 0 and node.module and node.module.partition(".")[0] in self._beside:
            return ast.copy_location(ast.ImportFrom(f"{self._package}.{node.module}", node.names, 0), node)
        return node
