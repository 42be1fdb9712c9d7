"""A problem as pure data: everything that decides a sample's value, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from render.geometry.axes import Axis
from render.problem import catalogue
from render.problem.catalogue import OWN_KERNEL, NoSettings, Value
from render.samples import CHANNELS, value_after

S = TypeVar("S", bound=NoSettings)

# The system of a scene that names none.
DEFAULT_SYSTEM = "mlp"


@dataclass(frozen=True, init=False)
class Problem:
    """One family of runs over a plane of two hyperparameters.

    system: name of a row of the catalogue.
    steps: length of a run. seed: of everything random. measure: a row of render.train.measures.MEASURES.
    fixed: hyperparameters that are not on an axis, as sorted (name, value) pairs, including the system's defaults.
    settings: all settings of the system, as (name, value) pairs in the row's order; `settings_as` gives them types.
    prefixes: numbers of steps, rising and below `steps`, after which every sample's value is stored too: see `ladder`.
    observe: what is measured of every run besides, as sorted (row of catalogue.OBSERVABLES, its number) pairs.
    """

    x: Axis
    y: Axis
    system: str
    steps: int
    seed: int
    measure: str
    fixed: tuple[tuple[str, float], ...]
    settings: tuple[tuple[str, Value], ...]
    prefixes: tuple[int, ...]
    observe: tuple[tuple[str, float], ...]

    def __init__(
        self,
        x: Axis,
        y: Axis,
        system: str = DEFAULT_SYSTEM,
        *,
        steps: int | None = None,
        seed: int = 0,
        measure: str | None = None,
        fixed: Iterable[tuple[str, float]] = (),
        settings: Iterable[tuple[str, Value]] = (),
        prefixes: Iterable[int] = (),
        observe: Iterable[tuple[str, float]] = (),
        **more_settings: Any,
    ) -> None:
        """Make a problem. more_settings: by name, which override those in `settings`; all others have defaults.

        Raises ValueError for prefixes of a problem whose runs have none, see `catalogue.System.no_prefixes`, and for
        what cannot be observed, see `unobservable`.
        """
        row = catalogue.row(system)
        chosen = {name: setting.default for name, setting in row.settings.items()} | dict(settings) | more_settings
        if unknown := set(chosen) - set(row.settings):
            raise TypeError(f"{system} has no setting {', '.join(sorted(unknown))}")
        given = {name: value for name, value in fixed if name not in (x.name, y.name)}
        given |= row.defaults(chosen, {x.name, y.name, *given})
        values = {
            "x": x,
            "y": y,
            "system": system,
            "steps": row.steps if steps is None else steps,
            "seed": seed,
            "measure": row.measures[0] if measure is None else measure,
            "fixed": tuple(sorted(given.items())),
            "settings": tuple((name, chosen[name]) for name in row.settings),
            "prefixes": tuple(sorted(set(prefixes))),
            "observe": tuple(sorted((name, float(asked)) for name, asked in dict(observe).items())),
        }
        self.__dict__.update(values)  # the dataclass is frozen
        if self.prefixes and (reason := row.no_prefixes(chosen)):
            raise ValueError(f"runs of {system} have no prefixes: {reason}")
        if not all(0 < count < self.steps for count in self.prefixes):
            raise ValueError(f"prefixes must have 1 to {self.steps - 1} steps, not {self.prefixes}")
        if faults := unobservable(row, self.steps, dict(self.observe)):
            raise ValueError(f"problem.observe.{'; '.join(faults)}")

    def settings_as(self, kind: type[S]) -> S:
        """Return the settings as the dataclass of the system. TypeError if the system has another type of settings."""
        if self.row.settings_type is not kind:
            raise TypeError(f"the settings of {self.system} are {self.row.settings_type.__name__}, not {kind.__name__}")
        return kind(**dict(self.settings))

    def moved(self, values: Mapping[str, float]) -> Problem:
        """Return the problem with other values of hyperparameters that are on no axis, or of integer settings."""
        hyper = {name: value for name, value in values.items() if name in self.row.hyperparameters}
        settings = {name: int(value) for name, value in values.items() if name not in hyper}
        return replace(
            self,
            fixed=tuple((dict(self.fixed) | hyper).items()),
            settings=tuple((dict(self.settings) | settings).items()),
        )

    @property
    def row(self) -> catalogue.System:
        """The system's row of the catalogue."""
        return catalogue.row(self.system)

    @property
    def labels(self) -> tuple[str, str]:
        """The names of the x and y axes, in words."""
        named = self.row.hyperparameters
        return named[self.x.name].label, named[self.y.name].label

    @property
    def channels(self) -> dict[str, np.dtype]:
        """The name and the dtype of each stored channel of a sample."""
        return _stored([*self.row.channels, *dict(self.observe)], self.prefixes)

    def describe(self) -> dict[str, object]:
        """Return the canonical typed fields: what the key covers and what a store writes beside its tiles."""

        def axis(a: Axis) -> dict[str, str]:
            return {"name": a.name, "scale": a.scale, "lo": str(a.lo), "hi": str(a.hi)}

        return {
            "system": self.system,
            **{name: self.row.settings[name].written(value) for name, value in self.settings},
            "steps": self.steps,
            "seed": self.seed,
            "measure": self.measure,
            "fixed": {name: repr(float(value)) for name, value in self.fixed},
            "x": axis(self.x),
            "y": axis(self.y),
            **({"channels": list(self.row.channels)} if self.row.kernel == OWN_KERNEL else {}),
            # Only problems with prefixes have this field, so that the keys of all others do not change.
            **({"prefixes": list(self.prefixes)} if self.prefixes else {}),
            # The same for what is observed.
            **({"observe": {name: repr(asked) for name, asked in self.observe}} if self.observe else {}),
        }

    @property
    def key(self) -> str:
        """The 16 hex digits of the problem. Two problems have the same key only if all their samples are the same."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def last_plain_level(self) -> int:
        """The deepest level that is trained plainly where samples may be followed by differences."""
        return min(self.x.last_plain_level, self.y.last_plain_level)

    @property
    def deepest_level(self) -> int:
        """The deepest level that float64 resolves on both axes."""
        return min(self.x.deepest_level, self.y.deepest_level)


def unobservable(row: catalogue.System, steps: int, observe: Mapping[str, float]) -> list[str]:
    """Return what is wrong with what runs of so many steps are to be observed for: clauses that begin with its name."""
    faults = []
    for name, asked in observe.items():
        if name not in catalogue.OBSERVABLES:
            faults.append(f"{name} is not known; known are {', '.join(catalogue.OBSERVABLES)}")
        elif name in row.channels:
            faults.append(f"{name} must have another name than a channel of the system; rename that channel")
        elif catalogue.OBSERVABLES[name].integer and not 1 <= asked < steps:
            faults.append(f"{name} must be a step from 1 to {steps - 1}, not {asked:g}")
    return faults


def described(description: Mapping[str, Any]) -> Problem:
    """Return the problem of a description: the inverse of `describe`. Raises ValueError if it is not known here."""
    try:
        row = catalogue.row(description["system"])
        x, y = (
            Axis(a["name"], a["scale"], Fraction(a["lo"]), Fraction(a["hi"]))
            for a in (description["x"], description["y"])
        )
        problem = Problem(
            x,
            y,
            description["system"],
            steps=description["steps"],
            seed=description["seed"],
            measure=description["measure"],
            fixed=[(name, float(value)) for name, value in description["fixed"].items()],
            settings=[(name, setting.read(description[name])) for name, setting in row.settings.items()],
            prefixes=description.get("prefixes", ()),
            observe=[(name, float(asked)) for name, asked in description.get("observe", {}).items()],
        )
        if problem.describe() == description and problem.measure in row.measures:
            return problem
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    raise ValueError(f"this version does not know a problem such as {dict(description)}")


def channels_of(description: Mapping[str, Any]) -> dict[str, np.dtype]:
    """Return the name and the dtype of each stored channel, given the description of a problem.

    Raises KeyError for a system that this version does not know. A user's file need not be known: its description
    lists its channels.
    """
    further = description["channels"] if "channels" in description else catalogue.row(description["system"]).channels
    return _stored([*further, *description.get("observe", {})], description.get("prefixes", ()))


def _stored(further: Iterable[str], prefixes: Iterable[int]) -> dict[str, np.dtype]:
    return CHANNELS | dict.fromkeys([*further, *map(value_after, prefixes)], np.dtype(np.float64))
