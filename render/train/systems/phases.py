"""Teacher and student over temperature and disorder: what training does to the singular values of the weights.

The plane of Park, Lucini and Aarts 2025 (arXiv:2509.01349): learning rate over batch size, the temperature of the noise
of stochastic gradients, against the variance of the initial weights, the strength of disorder. Their thresholds could
not be verified, so what is stored are quantities with definitions of our own, of the input weights W [unit, input]:

    outlier         largest singular value over s (sqrt(units) + sqrt(inputs)), the edge of the bulk of a matrix of
                    independent entries of the initial standard deviation s (Marchenko and Pastur 1967)
    change          Frobenius norm of W - W_0 over that of W_0
    effective_rank  exp of the entropy of the shares of the squared singular values (Roy and Vetterli 2007)
    first_share     share of the variance of the hidden units, over the examples, in its first direction
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from render.problem import Problem
from render.problem.catalogue.settings import NetworkSettings, PhasesSettings
from render.train import examples
from render.train.systems import Hyper, System, network


def make(problem: Problem) -> System:
    """Return a network's training by minibatches as a system; hyper holds temperature and init_variance."""
    shared = [(name, value) for name, value in problem.settings if name in _SHARED]
    shared += [("data", "teacher"), ("depth", 2)]
    student = Problem(problem.x, problem.y, "network", steps=problem.steps, seed=problem.seed, settings=shared)
    trained = network.make(student)
    settings, net = problem.settings_as(PhasesSettings), student.settings_as(NetworkSettings)
    inputs_t = jnp.asarray(examples.make(student).inputs.T)

    def of_network(hyper: Hyper) -> Hyper:
        lanes = hyper["temperature"].shape[0]
        rate = hyper["temperature"] * settings.batch
        given = {"lr": rate, "init_std": jnp.sqrt(hyper["init_variance"])}
        return {name: jnp.full(lanes, value) for name, value in student.fixed} | hyper | given

    def measured(state: network.State, hyper: Hyper) -> tuple[jax.Array, ...]:
        hyper = of_network(hyper)
        w, w0 = state.weights[0]["w"], trained.start(hyper).weights[0]["w"]
        _, units, inputs = w.shape
        scale = network.scales(net.scaling, [inputs, units, 1], adaptive=False)
        std = hyper["init_std"] * scale[0].std
        hidden = network.first_hidden(net, state.weights, inputs_t, scale)
        centred = hidden - hidden.mean(axis=2, keepdims=True)
        change = jnp.sqrt(((w - w0) ** 2).sum(axis=(1, 2)) / (w0**2).sum(axis=(1, 2)))
        return w, centred, std * (units**0.5 + inputs**0.5), change

    compiled = jax.jit(measured)

    def readout(state: network.State, hyper: Hyper) -> dict[str, np.ndarray]:
        w, centred, bulk, change = (np.asarray(part) for part in compiled(state, hyper))
        values, spread = _singular_values(w), _singular_values(centred) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "outlier": values[:, 0] / bulk,
                "change": change,
                "effective_rank": _effective_rank(values),
                "first_share": spread[:, 0] / spread.sum(axis=1),
            }

    return System(
        lambda hyper: trained.start(of_network(hyper)),
        lambda state, hyper, t: trained.step(state, of_network(hyper), t),
        trained.escape_radius,
        readout,
    )


# Settings that the student takes over from its problem as they are.
_SHARED = {"width", "inputs", "examples", "teacher_width", "noise", "activation", "scaling", "batch"}


def _singular_values(matrices: Float64[np.ndarray, "lane row column"]) -> Float64[np.ndarray, "lane value"]:
    """Return the singular values [lane, value] of matrices [lane, row, column]; NaN where one is not finite.

    In NumPy: XLA's own, on the CPU, waits inside a thread of its pool for others of that pool, and two devices that do
    so at once leave none (jaxlib 0.10.2; seen as a render that stood still).
    """
    finite = np.isfinite(matrices).all(axis=(1, 2))
    values = np.linalg.svd(np.where(finite[:, None, None], matrices, 0.0), compute_uv=False)
    return np.where(finite[:, None], values, np.nan)


def _effective_rank(values: Float64[np.ndarray, "lane value"]) -> Float64[np.ndarray, "lane"]:
    spectrum = values**2 / (values**2).sum(axis=1, keepdims=True)
    entropy = -np.where(spectrum > 0, spectrum * np.log(np.where(spectrum > 0, spectrum, 1.0)), 0.0).sum(axis=1)
    return np.asarray(np.exp(entropy))
