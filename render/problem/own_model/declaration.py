"""The declaration in a user's file, read without running it: a row of the catalogue, or every fault with its line.

Declarations are assignments of plain values at the top level of the file. They are data, so that a scene can be checked
and listed in a blink, whoever wrote the file, and by whoever has no reason to trust it.
"""

from __future__ import annotations

import ast
import dataclasses
import keyword
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from render.errors import SceneError
from render.geometry import axes
from render.problem.catalogue.kinds import LANES, OWN_KERNEL, Hyperparameter, NoSettings, Setting, System
from render.problem.catalogue.settings import MOST
from render.problem.own_model.source import Source, parsed
from render.samples import CHANNELS

# Names that a file declares with plain values.
DECLARED = (
    "hyperparameters", "settings", "steps", "batch", "recorded", "files", "channels", "escape_radius", "lanes",
    "reference",
)  # fmt: skip

# Names of the functions that a file may have. Data may be an array instead.
FUNCTIONS = ("data", "init", "loss", "optimiser", "update", "start", "step", "readout")

# A file has all functions of one of these.
WAYS = (("init", "loss", "optimiser"), ("init", "loss", "update"), ("start", "step"))

# What a scene may say of every problem: no setting may have such a name.
_TAKEN = {"x", "y", "system", "code", "steps", "seed", "measure", "fixed", "batch", "recorded", "channels"}

MEASURES = ("published", "absolute", "bounded", "torkamandi")

_MOST_STEPS = 1_000_000


def files(source_name: str, text: str) -> tuple[str, ...]:
    """Return the relative paths of the data files that a file declares. SceneError for a declaration that is none."""
    declared = _Declared(source_name, text)
    names = declared.get("files", [])
    faults = [
        f"{source_name}: line {declared.line('files')}: files must be a list of names of files beside this one, "
        f"without .. in them, not {name!r}."
        for name in (names if isinstance(names, (list, tuple)) else [names])
        if not _is_beside(name)
    ]
    if faults:
        raise SceneError(*faults)
    return tuple(names)


def _is_beside(name: object) -> bool:
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [".."]
    return all(part not in ("", ".", "..") and ":" not in part for part in parts)


def row(source: Source) -> System:
    """Return the row of the catalogue that a user's file is. SceneError with all faults, each with its line."""
    declared = _Declared(source.name, source.text)
    faults = declared.faults
    functions = declared.bound & set(FUNCTIONS)
    way = next((way for way in WAYS if set(way) <= functions), None)
    if way is None:
        spelt = " (this file has `optimizer`; the name is `optimiser`)" if "optimizer" in declared.bound else ""
        faults.append(
            f"{source.name}: must define init, loss and optimiser; or init, loss and update; or start and step. "
            f"It defines {', '.join(sorted(functions)) or 'none of them'}{spelt}."
        )
    hyperparameters = dict(_hyperparameters(declared))
    settings = dict(_settings(declared))
    if "batch" in declared.nodes and (batch := declared.get("batch")) is not None:
        if not _is_whole(batch, 1, MOST):
            declared.fault("batch", f"must be None or a whole number 1..{MOST}, not {batch!r}")
        settings["batch"] = Setting(batch, "Examples per gradient, or the full set.", integer=(1, MOST), none="full")
    elif way is not None and "init" in way:
        settings["batch"] = Setting(None, "Examples per gradient, or the full set.", integer=(1, MOST), none="full")
    if way is not None and "init" in way:
        recorded = declared.get("recorded", "all")
        if recorded not in ("all", "batch"):
            declared.fault("recorded", f'must be "all" or "batch", not {recorded!r}')
            recorded = "all"
        settings["recorded"] = Setting(
            recorded, "The loss that is recorded: of all data, or of the batch.", ("all", "batch")
        )
    steps = declared.checked("steps", 500, lambda v: _is_whole(v, 1, _MOST_STEPS), f"a whole number 1..{_MOST_STEPS}")
    lanes = declared.checked("lanes", LANES, lambda v: _is_whole(v, 1, 4096), "a whole number 1..4096")
    declared.checked("escape_radius", math.inf, lambda v: _is_number(v) and v > 0, "a number > 0")
    reference = declared.checked("reference", "", lambda v: isinstance(v, str), "a text")
    channels = _channels(declared)
    if channels and "readout" not in functions:
        declared.fault("channels", "need a function `readout` that measures them")
    if faults:
        raise SceneError(*sorted(set(faults), key=faults.index))
    names, length_asked = tuple(hyperparameters), _length_asked(source)
    return System(
        title=declared.title or f"The system of {source.name}",
        source=reference or source.name,
        kernel=OWN_KERNEL,
        hyperparameters=hyperparameters,
        axes=(names[0], names[1]),
        settings_type=_settings_type(source.name, settings),
        measures=MEASURES,
        channels=channels,
        no_prefixes=lambda settings: length_asked,
        steps=steps,
        lanes=lanes,
    )


def _length_asked(source: Source) -> str | None:
    """Return why the first steps of a run may be no run of so many steps: a function asks how many there will be."""
    for node in ast.walk(parsed(source.text, source.name)):
        if isinstance(node, ast.arguments):
            for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs):
                if argument.arg == "steps":
                    return (
                        f"a function of {source.name} asks for steps (line {argument.lineno}), so that its runs may "
                        "depend on how many there will be; let it do without"
                    )
    return None


def escape_radius(source: Source) -> float:
    """Return the escape radius that a file declares; inf where it declares none."""
    radius: Any = _Declared(source.name, source.text).get("escape_radius", math.inf)
    return float(radius)


class _Declared:
    """The plain values that a file assigns at its top level, and everything else that it binds there."""

    def __init__(self, name: str, text: str) -> None:
        tree = parsed(text, name)
        self.name, self.title = name, (ast.get_docstring(tree) or "").strip().partition("\n")[0].rstrip(".")
        self.nodes: dict[str, ast.expr] = {}
        self.values: dict[str, Any] = {}
        self.bound: set[str] = set()
        self.faults: list[str] = []
        for statement in tree.body:
            self.bound |= _bound(statement)
            for target, value in _assigned(statement):
                if target in DECLARED:
                    if target in self.nodes:
                        self.faults.append(f"{name}: line {statement.lineno}: {target} must be assigned once.")
                    self.nodes[target] = value
            plain = {target for target, _ in _assigned(statement)}
            for node in _stores(statement):
                if node.id in DECLARED and node.id not in plain:
                    self.faults.append(
                        f"{name}: line {node.lineno}: {node.id} must be assigned by itself, outside of any block."
                    )
        for target, value in self.nodes.items():
            try:
                self.values[target] = ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                self.faults.append(
                    f"{name}: line {value.lineno}: {target} must be plain values (numbers, texts, lists), because "
                    "it is read without running the file."
                )

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def line(self, name: str, *path: str) -> int:
        """Return the line of a declaration, or of an entry in its dictionaries."""
        node = self.nodes[name]
        for key in path:
            if not isinstance(node, ast.Dict):
                break
            values = [
                value
                for k, value in zip(node.keys, node.values, strict=True)
                if isinstance(k, ast.Constant) and k.value == key
            ]
            if not values:
                break
            node = values[-1]
        return node.lineno

    def fault(self, name: str, what: str, *path: str) -> None:
        where = ".".join([name, *path])
        self.faults.append(f"{self.name}: line {self.line(name, *path)}: {where} {what}.")

    def checked(self, name: str, default: Any, good: Callable[[Any], bool], what: str) -> Any:
        """Return a declared value; the default where there is none, or where it is not good."""
        if name not in self.values:
            return default
        if good(self.values[name]):
            return self.values[name]
        self.fault(name, f"must be {what}, not {self.values[name]!r}")
        return default

    def entries(self, name: str) -> Iterator[tuple[str, Any]]:
        """Yield the entries of a declared dictionary whose names are good."""
        table = self.get(name, {})
        if not isinstance(table, dict):
            self.fault(name, f"must be a dictionary, not {table!r:.60}")
            return
        for key, value in table.items():
            if isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("_"):
                yield key, value
            else:
                self.fault(name, f"must have names such as lr or weight_decay, not {key!r:.60}")


def _hyperparameters(declared: _Declared) -> Iterator[tuple[str, Hyperparameter]]:
    count = 0
    for name, entry in declared.entries("hyperparameters"):
        count += 1
        fields = entry if isinstance(entry, dict) else {"default": entry}
        where = ("hyperparameters", name)
        if unknown := set(fields) - {"label", "default", "scale", "range"}:
            declared.fault(
                where[0],
                f"has no field {sorted(map(str, unknown))[0]!r}; its fields are label, default, scale, range",
                name,
            )
        default: Any = fields.get("default")
        label = fields.get("label", name.replace("_", " "))
        scale, ends = fields.get("scale", "log10"), fields.get("range")
        if not _is_number(default):
            declared.fault(where[0], f"must have a default, a finite number, not {default!r:.60}", name, "default")
            continue
        if not isinstance(label, str) or not label.isprintable() or not 1 <= len(label) <= 80:
            declared.fault(where[0], "must be a text of 1 to 80 characters", name, "label")
            continue
        if scale not in ("log10", "linear"):
            declared.fault(where[0], f'must be "log10" or "linear", not {scale!r:.60}', name, "scale")
            continue
        exact = _ends(ends)
        if ends is not None and (exact is None or not exact[0] < exact[1] or (scale == "log10" and exact[0] <= 0)):
            above = " above 0" if scale == "log10" else ""
            declared.fault(
                where[0], f"must be two rising numbers{above}, such as [1e-4, 10], not {ends!r:.60}", name, "range"
            )
            continue
        written = None if exact is None or ends is None else (str(ends[0]), str(ends[1]))
        yield name, Hyperparameter(label, float(default), scale=scale, range=written)
    if count < 2:
        what = f"must have at least two hyperparameters, one for each axis, not {count}"
        if "hyperparameters" in declared.nodes:
            declared.fault("hyperparameters", what)
        else:
            declared.faults.append(f"{declared.name}: {what}: hyperparameters = {{...}}.")


def _ends(ends: Any) -> tuple[Fraction, Fraction] | None:
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return None
    try:
        low, high = (axes.exact(str(end)) for end in ends if isinstance(end, (int, float, str)) and end is not True)
    except ValueError:
        return None
    return low, high


def _settings(declared: _Declared) -> Iterator[tuple[str, Setting]]:
    for name, entry in declared.entries("settings"):
        if name in _TAKEN:
            declared.fault("settings", "is a name that every problem has; choose another", name)
            continue
        fields = entry if isinstance(entry, dict) else {"default": entry}
        if unknown := set(fields) - {"about", "default", "one_of", "range"}:
            declared.fault(
                "settings",
                f"has no field {sorted(map(str, unknown))[0]!r}; its fields are about, default, one_of, range",
                name,
            )
            continue
        setting = _setting(
            fields.get("default"), str(fields.get("about", "")), fields.get("one_of"), fields.get("range")
        )
        if setting is None:
            declared.fault(
                "settings",
                "must be true or false, a whole number or a number (with range = [least, most] if you like, both whole "
                'where the default is), or a text with one_of = ["a", "b"]; the default must be one that is permitted',
                name,
            )
        else:
            yield name, setting


def _setting(default: Any, about: str, words: Any, ends: Any) -> Setting | None:
    if isinstance(default, bool):
        return Setting(default, about) if words is None and ends is None else None
    if isinstance(default, str):
        good = isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words) and default in words
        return Setting(default, about, tuple(words)) if good and ends is None else None
    if words is not None or not _is_number(default):
        return None
    is_whole = isinstance(default, int)
    least, most = (
        ends if isinstance(ends, (list, tuple)) and len(ends) == 2 else (0, MOST) if is_whole else (-1e300, 1e300)
    )
    if ends is not None and not (_is_number(least) and _is_number(most)):
        return None
    if not least <= default <= most:
        return None
    if is_whole and not (isinstance(least, int) and isinstance(most, int)):  # half of a whole number is none
        return None
    if is_whole:
        return Setting(default, about, integer=(int(least), int(most)))
    return Setting(default, about, number=(float(least), float(most)))


def _channels(declared: _Declared) -> dict[str, str]:
    channels = {}
    for name, about in declared.entries("channels"):
        if name in CHANNELS:
            declared.fault("channels", f"must not be one of {', '.join(CHANNELS)}, which every sample has", name)
        elif not isinstance(about, str):
            declared.fault("channels", "must be a few words about what is measured", name)
        else:
            channels[name] = about
    return channels


def _settings_type(name: str, settings: dict[str, Setting]) -> type[NoSettings]:
    fields = [
        (key, type(setting.default), dataclasses.field(default=setting.default, metadata={"setting": setting}))
        for key, setting in settings.items()
    ]
    settings_type: type[NoSettings] = dataclasses.make_dataclass(
        "OwnSettings", fields, bases=(NoSettings,), frozen=True, namespace={"__doc__": f"Settings of {name}."}
    )
    return settings_type


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Return the names that a statement does nothing but assign a value to."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        return [(target.id, statement.value)] if isinstance(target, ast.Name) else []
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        return [(statement.target.id, statement.value)]
    return []


def _stores(statement: ast.AST) -> Iterator[ast.Name]:
    """Yield the names that are stored to outside of functions and classes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return
    if isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement
    for inner in ast.iter_child_nodes(statement):
        yield from _stores(inner)


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds at the top level."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    return {node.id for node in _stores(statement)}
