"""What can be trained or iterated: one row of SYSTEMS each, as pure data.

A row says what a scene may set, what its axes may be, and where the system comes from. Scene tables, their errors, the
editor schema, axis labels and `render systems` follow from it. The kernel is the function `make` in the file of
render/train/systems that the row names.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = int | float | str | bool | None
Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Setting:
    """A choice that all samples of a problem share: of structure or data, never on an axis.

    Its kind follows from what is given: words (one of them), whole (an integer within bounds), number (a float within
    bounds), words and whole (either), or none of these (true or false).
    none: the word for None in scenes and keys.
    """

    default: Value
    about: str = ""
    words: tuple[str, ...] = ()
    whole: tuple[int, int] | None = None
    number: tuple[float, float] | None = None
    none: str | None = None

    def written(self, value: Value) -> int | float | str | bool:
        """Return a value as scenes and keys write it."""
        if value is None:
            assert self.none is not None
            return self.none
        return value


@dataclass(frozen=True)
class When:
    """A condition on a setting: its value is one of some."""

    setting: str
    values: Container[Any]
    text: str

    def holds(self, settings: Settings) -> bool:
        """Say whether it holds; a setting that is not known yet, because it is at fault, may be anything."""
        return self.setting not in settings or settings[self.setting] in self.values


@dataclass(frozen=True)
class Hyperparameter:
    """A number that each sample may have to itself: what an axis, or a fixed value, can set.

    label: the name that a frame shows. default: its value where nothing sets it; None if something must (see
    System.once), or if it then plays no part. when: what it needs to have any effect.
    """

    label: str
    default: float | None = None
    when: When | None = None


@dataclass(frozen=True)
class System:
    """A row of the catalogue.

    title, source: what it is, and who described it. kernel: file of render/train/systems.
    once: of each group of hyperparameters exactly one must be set; the group's name completes "the ... learning rate".
    optional: groups that only matter when a condition holds.
    channels: what it measures besides the usual, with a few words for each.
    steps: default length of a run. axes: the pair that its first scene shows.
    """

    title: str
    source: str
    kernel: str
    hyperparameters: Mapping[str, Hyperparameter]
    axes: tuple[str, str]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    once: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: Mapping[str, When] = field(default_factory=dict)
    measures: tuple[str, ...] = ("published",)
    channels: Mapping[str, str] = field(default_factory=dict)
    steps: int = 500

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
        """Say whether a group of `once` must be set."""
        when = self.optional.get(group)
        return when is None or when.holds(settings)


_MOST = 1_000_000

_PLANE = {"re": Hyperparameter("real part"), "im": Hyperparameter("imaginary part")}

SYSTEMS: dict[str, System] = {
    "mlp": System(
        "The published network: no biases, mean-field scaling, squared error, plain gradient descent",
        "Sohl-Dickstein 2024, arXiv:2402.06184",
        kernel="mlp",
        axes=("lr_input", "lr_output"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "lr_input": Hyperparameter("input layer learning rate"),
            "lr_output": Hyperparameter("output layer learning rate"),
            "offset": Hyperparameter("weight offset added at every step"),
            "init_mean": Hyperparameter("mean of the initial weights"),
        },
        once={"input layer": ("lr", "lr_input"), "output layer": ("lr", "lr_output")},
        settings={
            "width": Setting(16, "Units per hidden layer, and inputs.", whole=(1, 4096)),
            "depth": Setting(2, "Number of weight matrices.", whole=(2, 64)),
            "activation": Setting("tanh", words=("tanh", "relu", "identity")),
            "data": Setting("gaussian", words=("gaussian",)),
            "examples": Setting(
                "parameters",
                "Random examples: as many as the net has parameters, or inputs, or a number.",
                words=("parameters", "inputs"),
                whole=(1, _MOST),
            ),
            "batch": Setting(
                None,
                "Examples per gradient, drawn with replacement; or the full set.",
                whole=(1, _MOST),
                none="full",
            ),
        },
    ),
    "mandelbrot": System(
        "z -> z^2 + c from z = 0, at c = the sample; inside where the last values of abs(z) stay below 2 on average",
        "the comparison picture of Sohl-Dickstein/fractal; area 1.50659 (Foerstemann 2012)",
        kernel="maps",
        axes=("re", "im"),
        hyperparameters=_PLANE,
        measures=("absolute",),
        steps=100,
    ),
    "julia": System(
        "z -> z^2 + c from z = the sample, with c fixed; the unit circle for c = 0",
        "Julia 1918",
        kernel="maps",
        axes=("re", "im"),
        hyperparameters=_PLANE
        | {"c_re": Hyperparameter("real part of c", 0.0)}
        | {"c_im": Hyperparameter("imaginary part of c", 0.0)},
        measures=("absolute",),
        steps=100,
    ),
    "nonconvex": System(
        "Gradient descent on a quadratic with a cosine, the least non-convexity that makes a border fractal",
        "Liu 2024, arXiv:2406.13971",
        kernel="nonconvex",
        axes=("lr", "epsilon"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "epsilon": Hyperparameter("height of the cosine", 0.2),
            "wavelength": Hyperparameter("wavelength of the cosine", 0.1),
            "epsilon_2": Hyperparameter("height of the second cosine", 0.0),
            "wavelength_2": Hyperparameter("wavelength of the second cosine", 0.5),
            "start": Hyperparameter("starting point", 1.0),
        },
        once={"descent": ("lr",)},
        settings={
            "shape": Setting("additive", "How the cosine joins the quadratic.", words=("additive", "multiplicative")),
            "dimensions": Setting(1, "Of the space; all but the first start at random multiples.", whole=(1, 1000)),
        },
        measures=("bounded",),
        steps=1000,
    ),
    "newton": System(
        "Newton's method for z^n = 1 from z = the sample; blue where it ends in the root z = 1",
        "Cayley 1879",
        kernel="maps",
        axes=("re", "im"),
        hyperparameters=_PLANE | {"relaxation": Hyperparameter("step over Newton's step", 1.0)},
        settings={"degree": Setting(3, "n of z^n = 1.", whole=(2, 16))},
        measures=("absolute",),
        channels={"root": "number of the nearest root, counted counter-clockwise from 0 at z = 1"},
        steps=60,
    ),
}
