"""The settings of each system: one dataclass for each kernel, whose fields have types, defaults and permitted values.

A kernel asks for its own class (`problem.settings_as(MlpSettings)`), so that mypy knows every name and type in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from render.problem.catalogue.kinds import NoSettings, setting

MOST = 1_000_000

_ACTIVATIONS = ("tanh", "relu", "identity", "gelu", "sin", "sigmoid", "softplus", "silu")
_SCALINGS = ("mean-field", "standard", "mup")


@dataclass(frozen=True)
class MlpSettings(NoSettings):
    """Settings of the system `mlp`."""

    width: int = setting(16, "Units per hidden layer, and inputs.", integer=(1, 4096))
    depth: int = setting(2, "Number of weight matrices.", integer=(2, 64))
    activation: str = setting("tanh", words=("tanh", "relu", "identity"))
    data: str = setting("gaussian", words=("gaussian",))
    examples: int | str = setting(
        "parameters",
        "Random examples: as many as the net has parameters, or inputs, or a number.",
        words=("parameters", "inputs"),
        integer=(1, MOST),
    )
    batch: int | None = setting(
        None, "Examples per gradient, drawn with replacement; or the full set.", integer=(1, MOST), none="full"
    )


@dataclass(frozen=True)
class NetworkSettings(NoSettings):
    """Settings of the system `network`."""

    width: int = setting(16, "Units per hidden layer.", integer=(1, 4096))
    depth: int = setting(2, "Number of weight matrices.", integer=(1, 64))
    activation: str = setting("tanh", words=_ACTIVATIONS)
    bias: bool = setting(False, "Trained biases, zero at first.")
    skip: bool = setting(False, "Hidden layers after the first add their input to their output.")
    norm: str = setting(
        "none", "Normalisation before the activation, over units or examples.", ("none", "layer", "batch")
    )
    scaling: str = setting("mean-field", "Of weights and rates with the width.", _SCALINGS)
    data: str = setting("gaussian", words=("gaussian", "teacher", "xor", "moons", "digits"))
    inputs: int | None = setting(None, "Of gaussian and teacher data.", integer=(1, 4096), none="width")
    examples: int = setting(64, "In the data set; xor has its four.", integer=(1, MOST))
    noise: float = setting(0.1, "Standard deviation of what is added to teacher and moons.", number=(0.0, 1e6))
    teacher_width: int = setting(4, "Units of the teacher.", integer=(1, 4096))
    loss: str = setting("mse", words=("mse", "cross-entropy"))
    optimiser: str = setting("sgd", words=("sgd", "momentum", "nesterov", "adam", "rmsprop"))
    schedule: str = setting("constant", "Of the rates over the run.", ("constant", "linear", "cosine"))
    batch: int | None = setting(
        None, "Examples per gradient, drawn with replacement; or the full set.", integer=(1, MOST), none="full"
    )
    order: str = setting("shared", "Whether every sample draws minibatches of its own.", ("shared", "own"))
    init: str = setting("shared", "Whether every sample draws initial weights of its own.", ("shared", "own"))


@dataclass(frozen=True)
class TransformerSettings(NoSettings):
    """Settings of the system `transformer`."""

    text: str = setting("shakespeare", "What is learnt, character by character: five sonnets.", ("shakespeare",))
    layers: int = setting(1, "Blocks; published 2.", integer=(1, 64))
    heads: int = setting(2, "Of each attention; published 2. Must divide model.", integer=(1, 64))
    model: int = setting(8, "Numbers per token; published 64.", integer=(1, 4096))
    feed_forward: int = setting(16, "Inner units of a block; published 128.", integer=(1, 16384))
    length: int = setting(16, "Tokens of a window; published 64.", integer=(1, 1024))
    batch: int = setting(8, "Windows per step; published 256.", integer=(1, 65536))


@dataclass(frozen=True)
class BackpropSettings(NoSettings):
    """Settings of the system `backprop`."""

    directions: str = setting("random", "Of the plane: two weights, or random.", ("random", "weights"))
    weight_x: int = setting(1, "Weight along the first direction.", integer=(1, 9))
    weight_y: int = setting(2, "Weight along the second direction.", integer=(1, 9))


@dataclass(frozen=True)
class PhasesSettings(NoSettings):
    """Settings of the system `phases`."""

    width: int = setting(16, "Units of the student.", integer=(1, 1024))
    inputs: int = setting(8, integer=(1, 1024))
    teacher_width: int = setting(4, "Units of the teacher.", integer=(1, 1024))
    examples: int = setting(64, integer=(1, MOST))
    noise: float = setting(0.1, "Standard deviation of what is added to the teacher's outputs.", number=(0.0, 1e6))
    activation: str = setting("tanh", words=_ACTIVATIONS)
    scaling: str = setting("standard", "Of weights and rates with the width.", _SCALINGS)
    batch: int = setting(8, "Examples per gradient, drawn with replacement.", integer=(1, MOST))


@dataclass(frozen=True)
class NonconvexSettings(NoSettings):
    """Settings of the system `nonconvex`."""

    shape: str = setting("additive", "How the cosine joins the quadratic.", words=("additive", "multiplicative"))
    dimensions: int = setting(1, "Of the space; all but the first start at random multiples.", integer=(1, 1000))


@dataclass(frozen=True)
class NewtonSettings(NoSettings):
    """Settings of the system `newton`."""

    degree: int = setting(3, "n of z^n = 1.", integer=(2, 16))


# Of a product of scalars: enough for the depths that are compared, few enough to list.
MOST_FACTORS = 8


@dataclass(frozen=True)
class ProductSettings(NoSettings):
    """Settings of the system `product`."""

    factors: int = setting(2, "k of the product.", integer=(1, MOST_FACTORS))
    starts: int = setting(
        2, "How many different ones; factors take them in turn, so 1 keeps all equal.", integer=(1, MOST_FACTORS)
    )


# Orders of two rates: a letter with a number is repeated so often.
_ORDERS = ("ab", "aab", "aabb", "aabab", "a3b3", "a6b6")


def rates_in_order(order: str) -> str:
    """Return the letters of an order of rates one by one: "aaabbb" for "a3b3"."""
    return re.sub(r"([ab])(\d)", lambda match: match[1] * int(match[2]), order)


@dataclass(frozen=True)
class CyclicSettings(NoSettings):
    """Settings of the system `cyclic`."""

    factors: int = setting(2, "k of the product, all equal.", integer=(1, MOST_FACTORS))
    order: str = setting("aabab", "In which the two rates take turns; a6b6 is six steps of each.", _ORDERS)


@dataclass(frozen=True)
class DeepLinearSettings(NoSettings):
    """Settings of the system `deep_linear`."""

    layers: int = setting(3, "L of the product of matrices.", integer=(2, 16))
    width: int = setting(5, "Rows and columns of each.", integer=(3, 64))


@dataclass(frozen=True)
class CommitteeSettings(NoSettings):
    """Settings of the system `committee`."""

    power: int = setting(3, "p of the activation w^p.", integer=(2, 16))


@dataclass(frozen=True)
class SignalSettings(NoSettings):
    """Settings of the system `signal`."""

    width: int = setting(32, "Units of each layer.", integer=(1, 512))
