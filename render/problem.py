"""A problem as pure data: everything that decides a sample's value, and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from render.axes import Axis

# What an axis, or a fixed value, can set, with the name a frame shows for it.
HYPERPARAMETERS = {
    "lr": "learning rate",
    "lr_input": "input layer learning rate",
    "lr_output": "output layer learning rate",
    "offset": "weight offset added at every step",
    "init_mean": "mean of the initial weights",
}


@dataclass(frozen=True)
class Problem:
    """One family of training runs over a plane of two hyperparameters.

    system: name of a row of render.train.systems.SYSTEMS.
    width, depth: units per hidden layer, number of weight matrices (>= 2).
    examples: how many random examples: "parameters" and "inputs" are the published data rules (as many as the
        net has parameters, or inputs), an integer is itself.
    batch: examples per gradient, drawn with replacement and shared by all samples; None is the full set.
    steps: length of a run. seed: of weights and data, in the published order of draws.
    fixed: hyperparameters that are not on an axis, as sorted (name, value) pairs.
    """

    x: Axis
    y: Axis
    system: str = "mlp"
    width: int = 16
    depth: int = 2
    activation: Literal["tanh", "relu", "identity"] = "tanh"
    data: Literal["gaussian"] = "gaussian"
    examples: int | Literal["parameters", "inputs"] = "parameters"
    batch: int | None = None
    steps: int = 500
    seed: int = 0
    measure: Literal["published"] = "published"
    fixed: tuple[tuple[str, float], ...] = ()

    def describe(self) -> dict[str, object]:
        """Return the canonical typed fields: what the key covers and what a store writes beside its tiles."""

        def axis(a: Axis) -> dict[str, str]:
            return {"name": a.name, "scale": a.scale, "lo": str(a.lo), "hi": str(a.hi)}

        return {
            "system": self.system,
            "width": self.width,
            "depth": self.depth,
            "activation": self.activation,
            "data": self.data,
            "examples": self.examples,
            "batch": self.batch if self.batch is not None else "full",
            "steps": self.steps,
            "seed": self.seed,
            "measure": self.measure,
            "fixed": {name: repr(float(value)) for name, value in self.fixed},
            "x": axis(self.x),
            "y": axis(self.y),
        }

    @property
    def key(self) -> str:
        """16 hex digits that two problems share only if every sample of theirs is the same."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def deepest_level(self) -> int:
        """The deepest level that float64 resolves on both axes."""
        return min(self.x.deepest_level, self.y.deepest_level)
