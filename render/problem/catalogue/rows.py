"""The catalogue of systems itself: one row each."""

from __future__ import annotations

from render.problem.catalogue.kinds import LIGHT_LANES, Hyperparameter, Settings, System, When
from render.problem.catalogue.settings import (
    MOST,
    MOST_FACTORS,
    BackpropSettings,
    CommitteeSettings,
    CyclicSettings,
    DeepLinearSettings,
    MlpSettings,
    NetworkSettings,
    NewtonSettings,
    NonconvexSettings,
    PhasesSettings,
    ProductSettings,
    SignalSettings,
    TransformerSettings,
)

_DEEP = When("depth", range(3, 65), "depth = 3 or more")
_HEAVY = When("optimiser", ("momentum", "nesterov"), 'optimiser = "momentum" or "nesterov"')
_ADAPTIVE = When("optimiser", ("adam", "rmsprop"), 'optimiser = "adam" or "rmsprop"')
_MINIBATCH = When("batch", range(1, MOST + 1), "batch = a number")


def _heads_divide(settings: Settings) -> str | None:
    heads, model = settings["heads"], settings["model"]
    assert isinstance(heads, int)
    assert isinstance(model, int)
    return f"problem.heads must divide problem.model = {model}, not be {heads}" if model % heads else None


def _enough_digits(settings: Settings) -> str | None:
    count = settings["examples"]
    assert isinstance(count, int)
    if settings["data"] == "digits" and count > 500:
        return f'problem.examples must be <= 500 with data = "digits", not {count}'
    return None


def _no_more_starts_than_factors(settings: Settings) -> str | None:
    factors, starts = settings["factors"], settings["starts"]
    assert isinstance(factors, int)
    assert isinstance(starts, int)
    return f"problem.starts must be <= problem.factors = {factors}, not {starts}" if starts > factors else None


def _order_of_its_length(settings: Settings) -> str | None:
    if settings["batch"] is None:
        return None
    return (
        "the published order of minibatches is another one for every number of steps; train on the full set, or "
        'with system = "network"'
    )


def _rates_that_fall(settings: Settings) -> str | None:
    schedule = settings["schedule"]
    if schedule == "constant":
        return None
    return f'with schedule = "{schedule}" the rates depend on the number of steps; take "constant"'


_PLANE = {
    "re": Hyperparameter("real part", scale="linear"),
    "im": Hyperparameter("imaginary part", scale="linear"),
}

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
            "offset": Hyperparameter("weight offset added at every step", scale="linear"),
            "init_mean": Hyperparameter("mean of the initial weights", scale="linear"),
        },
        once={"input layer": ("lr", "lr_input"), "output layer": ("lr", "lr_output")},
        settings_type=MlpSettings,
        no_prefixes=_order_of_its_length,
    ),
    "network": System(
        "Fully connected networks: depth, activation, scaling, data, loss and optimiser to choose",
        "after Sohl-Dickstein 2024, arXiv:2402.06184; each optimiser and scaling names its paper in the code",
        kernel="network",
        axes=("lr_input", "lr_output"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "lr_input": Hyperparameter("input layer learning rate"),
            "lr_hidden": Hyperparameter("hidden layers' learning rate", when=_DEEP),
            "lr_output": Hyperparameter("output layer learning rate"),
            "momentum": Hyperparameter("momentum", 0.9, _HEAVY, scale="linear"),
            "beta1": Hyperparameter(
                "Adam's beta 1", 0.9, When("optimiser", ("adam",), 'optimiser = "adam"'), scale="linear"
            ),
            "beta2": Hyperparameter("beta 2", 0.999, _ADAPTIVE, scale="linear"),
            "epsilon": Hyperparameter("epsilon of the optimiser", 1e-8, _ADAPTIVE),
            "weight_decay": Hyperparameter("weight decay", 0.0),
            "warmup": Hyperparameter("steps of warm-up", 0.0, scale="linear"),
            "offset": Hyperparameter("weight offset added at every step", 0.0, scale="linear"),
            "init_mean": Hyperparameter("mean of the initial input weights", 0.0, scale="linear"),
            "init_std": Hyperparameter("scale of the initial weights", 1.0),
            "batch_size": Hyperparameter("examples used of each minibatch", 1e9, _MINIBATCH),
        },
        once={
            "input layer": ("lr", "lr_input"),
            "hidden layers": ("lr", "lr_hidden"),
            "output layer": ("lr", "lr_output"),
        },
        optional={"hidden layers": _DEEP},
        settings_type=NetworkSettings,
        rule=_enough_digits,
        no_prefixes=_rates_that_fall,
        channels={"probe": "the trained network's output for one fixed random input"},
    ),
    "transformer": System(
        "A decoder-only transformer on characters: attention rate against the rate of all else, Adam",
        "Torkamandi 2025, arXiv:2501.04286",
        kernel="transformer",
        axes=("lr_attention", "lr_rest"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "lr_attention": Hyperparameter("learning rate of attention"),
            "lr_rest": Hyperparameter("learning rate of all but attention"),
            "beta1": Hyperparameter("Adam's beta 1", 0.9, scale="linear"),
            "beta2": Hyperparameter("Adam's beta 2", 0.999, scale="linear"),
            "epsilon": Hyperparameter("epsilon of Adam", 1e-8),
            "weight_decay": Hyperparameter("weight decay", 0.0),
        },
        once={"attention": ("lr", "lr_attention"), "rest": ("lr", "lr_rest")},
        settings_type=TransformerSettings,
        rule=_heads_divide,
        measures=("torkamandi", "published"),
        steps=100,
        lanes=None,
    ),
    "backprop": System(
        "Back-propagation on exclusive or, over a plane of initial weights",
        "Kolen and Pollack 1990, NIPS 3, 860-867",
        kernel="backprop",
        axes=("along_x", "along_y"),
        hyperparameters={
            "along_x": Hyperparameter("initial weights, first direction", 0.0, scale="linear"),
            "along_y": Hyperparameter("initial weights, second direction", 0.0, scale="linear"),
            "origin": Hyperparameter("scale of the plane's origin", 0.0, scale="linear"),
            "lr": Hyperparameter("learning rate", 3.25),
            "momentum": Hyperparameter("momentum", 0.4, scale="linear"),
            "tolerance": Hyperparameter("largest error that counts as learnt", 0.4, scale="linear"),
        },
        settings_type=BackpropSettings,
        measures=("absolute",),
        steps=300,
        lanes=LIGHT_LANES,
    ),
    "phases": System(
        "Teacher and student over temperature and disorder, with the singular values of the weights",
        "plane: Park, Lucini and Aarts 2025, arXiv:2509.01349; readouts with definitions of our own",
        kernel="phases",
        axes=("temperature", "init_variance"),
        hyperparameters={
            "temperature": Hyperparameter("learning rate over batch size"),
            "init_variance": Hyperparameter("variance of the initial weights", 1.0),
        },
        once={"noise": ("temperature",)},
        settings_type=PhasesSettings,
        channels={
            "outlier": "largest singular value of the input weights over the edge of their initial bulk",
            "change": "change of the input weights over their initial size",
            "effective_rank": "effective rank of the input weights",
            "first_share": "share of the hidden units' variance in its first direction",
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
        lanes=LIGHT_LANES,
    ),
    "julia": System(
        "z -> z^2 + c from z = the sample, with c fixed; the unit circle for c = 0",
        "Julia 1918",
        kernel="maps",
        axes=("re", "im"),
        hyperparameters=_PLANE
        | {"c_re": Hyperparameter("real part of c", 0.0, scale="linear")}
        | {"c_im": Hyperparameter("imaginary part of c", 0.0, scale="linear")},
        measures=("absolute",),
        steps=100,
        lanes=LIGHT_LANES,
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
            "epsilon_2": Hyperparameter("height of the second cosine", 0.0, scale="linear"),
            "wavelength_2": Hyperparameter("wavelength of the second cosine", 0.5),
            "start": Hyperparameter("starting point", 1.0, scale="linear"),
        },
        once={"descent": ("lr",)},
        settings_type=NonconvexSettings,
        measures=("bounded",),
        steps=1000,
        lanes=LIGHT_LANES,
    ),
    "product": System(
        "Gradient descent on a product of scalars, (x1 x2 ... xk - target)^2 / 2: doubling, windows, chaos, basins",
        "after Liang and Montufar 2025, arXiv:2509.25351; universal numbers: Feigenbaum 1978",
        kernel="product",
        axes=("start_1", "start_2"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "target": Hyperparameter("target of the product", 1.0, scale="linear"),
            "l2": Hyperparameter("weight of the squares in the loss", 0.0, scale="linear"),
            "start_1": Hyperparameter("start of the first factor", 0.5, scale="linear"),
        }
        | {
            f"start_{i}": Hyperparameter(
                f"start of factor {i}",
                0.5,
                When("starts", range(i, MOST_FACTORS + 1), f"starts = {i} or more"),
                scale="linear",
            )
            for i in range(2, MOST_FACTORS + 1)
        },
        once={"descent": ("lr",)},
        settings_type=ProductSettings,
        measures=("bounded", "published", "absolute"),
        channels={
            "period": "steps after which the last state comes back, at most 128; 0 if it does not",
            "sharpness": "largest eigenvalue of the Hessian at a minimum without l2",
        },
        rule=_no_more_starts_than_factors,
        visited=tuple(f"start_{i}" for i in range(1, MOST_FACTORS + 1)),
        steps=1000,
        lanes=LIGHT_LANES,
    ),
    "cyclic": System(
        "Gradient descent on a product of equal scalars, with two learning rates that take turns: shrimps in chaos",
        "after Markus and Hess 1989, Computers & Graphics 13, and Gallas 1993, Phys. Rev. Lett. 70",
        kernel="cyclic",
        axes=("lr_a", "lr_b"),
        hyperparameters={
            "lr_a": Hyperparameter("learning rate A", 0.5, scale="linear"),
            "lr_b": Hyperparameter("learning rate B", 0.5, scale="linear"),
            "target": Hyperparameter("target of the product", 1.0, scale="linear"),
            "l2": Hyperparameter("weight of the squares in the loss", 0.0, scale="linear"),
            "start": Hyperparameter("start of the factors", 0.5, scale="linear"),
        },
        settings_type=CyclicSettings,
        measures=("bounded", "published", "absolute"),
        visited=("start",),
        steps=1000,
        lanes=LIGHT_LANES,
    ),
    "committee": System(
        "A committee of two equal neurons over a plane of their initial weights: chaos in step, and riddled basins",
        "after Ly and Gong 2025, arXiv:2510.05606; riddled basins: Alexander, Yorke, You and Kan 1992",
        kernel="committee",
        axes=("weight_1", "weight_2"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "target": Hyperparameter("target of the output", 1.5, scale="linear"),
            "weight_1": Hyperparameter("initial weight of the first neuron", 0.5, scale="linear"),
            "weight_2": Hyperparameter("initial weight of the second neuron", 0.5, scale="linear"),
        },
        once={"descent": ("lr",)},
        settings_type=CommitteeSettings,
        measures=("absolute", "bounded", "published"),
        visited=("weight_1", "weight_2"),
        steps=2000,
        lanes=LIGHT_LANES,
    ),
    "deep_linear": System(
        "Deep linear networks: gradient descent on a product of matrices, with an edge of stability known exactly",
        "Ghosh and others 2025, arXiv:2502.20531",
        kernel="deep_linear",
        axes=("lr", "sigma_1"),
        hyperparameters={
            "lr": Hyperparameter("learning rate"),
            "start": Hyperparameter("scale of the initial weights", 0.1),
            "sigma_1": Hyperparameter("first singular value of the target", 10.0, scale="linear"),
            "sigma_2": Hyperparameter("second singular value of the target", 6.0, scale="linear"),
            "sigma_3": Hyperparameter("third singular value of the target", 3.0, scale="linear"),
        },
        once={"descent": ("lr",)},
        settings_type=DeepLinearSettings,
        measures=("published", "bounded", "absolute"),
        steps=1000,
    ),
    "signal": System(
        "Two signals through one random deep network, a layer a step: order, where they come together, and chaos",
        "Poole and others 2016, arXiv:1606.05340; as a fractal: arXiv:2508.03222",
        kernel="signal",
        axes=("sigma_w", "sigma_b"),
        hyperparameters={
            "sigma_w": Hyperparameter("scale of the weights", 1.0, scale="linear"),
            "sigma_b": Hyperparameter("scale of the biases", 0.0, scale="linear"),
            "apart": Hyperparameter("distance of the inputs", 0.1),
        },
        settings_type=SignalSettings,
        steps=100,
    ),
    "newton": System(
        "Newton's method for z^n = 1 from z = the sample; blue where it ends in the root z = 1",
        "Cayley 1879",
        kernel="maps",
        axes=("re", "im"),
        hyperparameters=_PLANE | {"relaxation": Hyperparameter("step over Newton's step", 1.0, scale="linear")},
        settings_type=NewtonSettings,
        measures=("absolute",),
        channels={"root": "number of the nearest root, counted counter-clockwise from 0 at z = 1"},
        steps=60,
        lanes=LIGHT_LANES,
    ),
}
