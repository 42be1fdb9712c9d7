"""What a message says of a name that a scene's system does not have: which systems do, or where else it belongs.

Everything is read from the catalogue, so that a new system needs no line here.
"""

from __future__ import annotations

import contextlib
import difflib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from render.errors import SceneError
from render.problem import DEFAULT_SYSTEM, catalogue
from render.problem.catalogue import OBSERVABLES, SYSTEMS, System
from render.scene import own_files
from render.scene.tables import of_system
from render.scene.wording import listed, nearest, quoted


class Kind(NamedTuple):
    """A kind of names that depend on the system. plural: what messages call them. names: those that a row has."""

    plural: str
    names: Callable[[System], Collection[str]]


_HYPERPARAMETERS = Kind("hyperparameters", lambda row: row.hyperparameters)
_KINDS: dict[tuple[str, ...], Kind] = {
    ("problem", "x", "name"): _HYPERPARAMETERS._replace(plural="axes"),
    ("problem", "y", "name"): _HYPERPARAMETERS._replace(plural="axes"),
    ("problem", "fixed"): _HYPERPARAMETERS,
    ("camera", "keyframes", "set"): Kind("values to set", lambda row: [*row.hyperparameters, *row.settings]),
    ("problem",): Kind("settings and hyperparameters", lambda row: [*row.settings, *row.hyperparameters]),
    ("problem", "measure"): Kind("measures", lambda row: row.measures),
    ("problem", "observe"): Kind("channels", lambda row: row.channels),
    ("look", "channel"): Kind("channels", lambda row: row.channels),
}


def _words_of(setting: str) -> Kind:
    """Return the kind of the words that a setting may be."""

    def names(row: System) -> Collection[str]:
        return row.settings[setting].words if setting in row.settings else ()

    return Kind(f"values of {setting}", names)


def hint(path: tuple[str, ...], name: str, system: str) -> str:
    """Return how to go on after a fault about a name that the system lacks; nothing if no system has anything like it.

    path: the key path of the field whose value the name is, or of the table whose field it would be, without places in
    lists.
    """
    kind = _KINDS.get(path)
    if kind is None and path[:1] == ("problem",) and len(path) == 2:
        kind = _words_of(path[1])
    if kind is None:
        return ""
    if place := _elsewhere_in(system, path, name):
        return f": {place}"
    depends = f": {kind.plural} depend on the system, {_this_system(system)}"
    having = _having(kind, system)
    if name in having:
        return f"{depends}; {quoted(name)} belongs to {_systems(having[name])}"
    if nearest(name, _own_names(path, kind, system)):
        return ""
    # Among the names of all systems, only a close one is more than chance.
    if near := difflib.get_close_matches(name[:100], having, n=1, cutoff=0.8):
        return f"{depends}; did you mean {quoted(near[0])}, which belongs to {_systems(having[near[0]])}?"
    return f"{depends}; render systems lists them all" if kind.plural == "axes" else ""


def with_visited() -> list[str]:
    """Return the systems that a bifurcation diagram can show a number of."""
    return [name for name, row in SYSTEMS.items() if row.visited]


def _this_system(system: str) -> str:
    default = ", since problem.system names no other" if system == DEFAULT_SYSTEM else ""
    return f"here {quoted(system.partition('#')[0])}{default}"


def _systems(names: list[str]) -> str:
    return f"the system{'s' if len(names) > 1 else ''} {listed(names)}"


def _having(kind: Kind, system: str) -> dict[str, list[str]]:
    """Return the names of a kind that other systems have, each with those systems."""
    having: dict[str, list[str]] = defaultdict(list)
    for other, row in _others(system):
        for name in kind.names(row):
            having[name].append(other)
    return having


def _others(system: str) -> Iterator[tuple[str, System]]:
    """Yield all other systems: those of the catalogue, then those that installed packages offer."""
    yield from ((name, row) for name, row in SYSTEMS.items() if name != system)
    for name in own_files.offered():
        with contextlib.suppress(SceneError):
            offered = own_files.named(name, None)
            if offered is not None and offered != system:
                yield name, catalogue.row(offered)


def _own_names(path: tuple[str, ...], kind: Kind, system: str) -> Collection[str]:
    """Return all that may stand where the name stands."""
    row = catalogue.row(system)
    return of_system(system).problem.model_fields if path == ("problem",) else kind.names(row)


def _elsewhere_in(system: str, path: tuple[str, ...], name: str) -> str:
    """Return where in a scene of the same system a name belongs; empty if it has none of that name."""
    row = catalogue.row(system)
    takes_names = path in (("problem",), ("problem", "fixed"), ("problem", "observe")) or path[-1] in ("name", "set")
    if not takes_names:
        return ""
    if path[-1] == "set" and name == "steps":
        return '"steps" is a field of the keyframe itself, beside its "set"'
    if path != ("problem",) and name in {*row.settings, "steps", "seed"}:
        return f"{quoted(name)} is the same for all samples; set problem.{name}"
    if name in row.hyperparameters:
        return f"{quoted(name)} is a hyperparameter; put it on an axis or into [problem.fixed]"
    if name in OBSERVABLES:
        return f"{quoted(name)} is measured where problem.observe.{name} is set, and shown by look.channel"
    if name in row.channels:
        return f"{quoted(name)} is always measured; look.channel = {quoted(name)} shows it"
    return ""
