"""The kinds of entries that the catalogue of systems is made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

# Runs in a block on CPUs: with width 16 and 272 examples each large array of 16 of them takes 0.55 MB, so a step stays
# within a core's second-level cache. Measured on two cores with 2 MB each (us per step and sample, median of 5 rounds
# in turn): 8 lanes 4.24, 12 3.96, 16 4.04, 24 4.56, 32 4.60, 64 about 6.
LANES = 16

# Where a step is a few operations on a few numbers, a block of 16 would be mostly overhead.
LIGHT_LANES = 512

# The kernel of every row that a user's file declares.
OWN_KERNEL = "own_model"

Value = int | float | str | bool | None
Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Setting:
    """A choice that all samples of a problem share: of structure or data, never on an axis.

    Its kind follows from what is given: words (one of them), integer (with its bounds), number (a float within
    bounds), words and integer (either), or none of these (true or false).
    none: the word for None in scenes and keys.
    """

    default: Value
    about: str = ""
    words: tuple[str, ...] = ()
    integer: tuple[int, int] | None = None
    number: tuple[float, float] | None = None
    none: str | None = None

    def written(self, value: Value) -> int | float | str | bool:
        """Return a value as scenes and keys write it."""
        if value is None:
            assert self.none is not None
            return self.none
        return value

    def read(self, written: int | float | str | bool) -> Value:
        """Return the value that is written like this."""
        return None if self.none is not None and written == self.none else written


def setting(
    default: Value,
    about: str = "",
    words: tuple[str, ...] = (),
    *,
    integer: tuple[int, int] | None = None,
    number: tuple[float, float] | None = None,
    none: str | None = None,
) -> Any:
    """Return a field of a settings dataclass, described by a `Setting` with the same arguments."""
    return field(default=default, metadata={"setting": Setting(default, about, words, integer, number, none)})


@dataclass(frozen=True)
class NoSettings:
    """The settings of a system that has none, and the base class of all others. Every field is made by `setting`."""

    @classmethod
    def described(cls) -> Mapping[str, Setting]:
        """Return the description of every setting by its name, in the order of the fields."""
        return MappingProxyType({field.name: field.metadata["setting"] for field in fields(cls)})


@dataclass(frozen=True)
class When:
    """A condition on a setting: its value is one of some."""

    setting: str
    values: Container[Any]
    text: str

    def holds(self, settings: Settings) -> bool:
        """Return whether it holds; a setting that is not known yet, because it is at fault, may be anything."""
        if self.setting not in settings:
            return True
        value = settings[self.setting]
        # Python compares what is no int with every number of a range: 20 ms for `None in range(1_000_000)`.
        return (isinstance(value, int) or not isinstance(self.values, range)) and value in self.values


@dataclass(frozen=True)
class Hyperparameter:
    """A number that each sample may have to itself: what an axis, or a fixed value, can set.

    label: the name that a frame shows. default: its value where nothing sets it; None if something must (see
    System.once), or if it then plays no part. when: what it needs to have any effect.
    scale: what it is even in between keyframes that set it (its logarithm then takes values > 0 alone), and along an
    axis of an own model. range: of such an axis, the ends as decimals; None if a scene must give them.
    """

    label: str
    default: float | None = None
    when: When | None = None
    scale: Literal["log10", "linear"] = "log10"
    range: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class System:
    """A row of the catalogue.

    title, source: what it is, and who described it. kernel: file of render/train/systems.
    once: of each group of hyperparameters exactly one must be set; the group's name completes "the ... learning rate".
    optional: groups that only matter when a condition holds.
    settings_type: the dataclass of its settings; `settings` describes each of its fields by name.
    rule: what must hold between settings, as a sentence about them without its full stop; None if all is well.
    no_prefixes: why the first steps of a run are not a run of so many steps, as an instruction without its full stop;
    None where they are.
    channels: what it measures besides the usual, with a few words for each.
    steps: default length of a run. axes: the pair that its first scene shows.
    visited: hyperparameters that are the start of a number which the steps move, in the order of `visited` of its
    kernel: what the y axis of a bifurcation diagram may be.
    lanes: runs in a block on CPUs, part of the numerics; None where they follow from the memory that a run takes.
    """

    title: str
    source: str
    kernel: str
    hyperparameters: Mapping[str, Hyperparameter]
    axes: tuple[str, str]
    settings_type: type[NoSettings] = NoSettings
    once: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: Mapping[str, When] = field(default_factory=dict)
    measures: tuple[str, ...] = ("published",)
    channels: Mapping[str, str] = field(default_factory=dict)
    rule: Callable[[Settings], str | None] = lambda settings: None
    no_prefixes: Callable[[Settings], str | None] = lambda settings: None
    steps: int = 500
    visited: tuple[str, ...] = ()
    lanes: int | None = LANES

    @functools.cached_property
    def settings(self) -> Mapping[str, Setting]:
        """The description of every setting by its name, in the order in which keys and scenes write them."""
        return self.settings_type.described()

    def defaults(self, settings: Settings, given: Container[str]) -> dict[str, float]:
        """Return the hyperparameters that nothing sets but that have a value."""
        return {
            name: h.default
            for name, h in self.hyperparameters.items()
            if h.default is not None and name not in given and (h.when is None or h.when.holds(settings))
        }

    def lacking(self, name: str, settings: Settings) -> str | None:
        """Return what a hyperparameter would need to have any effect; None if it has one."""
        when = self.hyperparameters[name].when
        return None if when is None or when.holds(settings) else when.text

    def matters(self, group: str, settings: Settings) -> bool:
        """Return whether a group of `once` must be set."""
        when = self.optional.get(group)
        return when is None or when.holds(settings)
