"""The fused kernel on a processor: the same source as on a device, against XLA's engine and plain NumPy."""

import importlib
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render.fused import shape
from render.geometry.axes import Axis
from render.problem import Problem
from render.samples import Status
from render.train import engine
from tests.helpers.oracle_runs import oracle_run, points
from tests.helpers.problems import changed

wp = pytest.importorskip("warp", reason="needs the extra gpu-fused")
fused_engine = importlib.import_module("render.train.fused_engine")
kernel = importlib.import_module("render.fused.kernel")


def axis(name: str) -> Axis:
    return Axis(name, "log10", Fraction(-3), Fraction(6))


# Small and short, but with every kind of run: converging, bounded, escaping.
SMALL = Problem(axis("lr_input"), axis("lr_output"), width=5, examples=12, steps=40)
PROBLEMS = {
    "tanh": SMALL,
    "relu": changed(SMALL, activation="relu"),
    "identity": changed(SMALL, activation="identity", examples="inputs"),
    "one example": changed(SMALL, examples=1),
    "several chunks": changed(SMALL, examples=130, steps=25),
    "minibatch": changed(SMALL, batch=4),
    "large minibatch": changed(SMALL, batch=70, steps=25),
    "offset": changed(SMALL, x=axis("offset"), y=axis("lr")),
    "initial mean": changed(SMALL, x=axis("init_mean"), y=axis("lr")),
    "fixed rate": changed(SMALL, x=axis("offset"), y=axis("lr_output"), fixed=(("lr_input", 0.5),)),
    "prefixes": changed(SMALL, prefixes=(3, 25)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_fused_kernel_agrees_with_plain_numpy_and_with_xla(name: str) -> None:
    """Loss by loss until a run is chaotic, and in the outcome and value of each run that last bits do not decide."""
    problem = PROBLEMS[name]
    x, y = points(200, hi=5.0)
    fused = fused_engine.FusedEngine(problem)
    ours, losses, theirs = fused.run(x, y), fused.losses(x, y), oracle_run(problem, x, y)
    # The oracle itself says from which step on a run is chaotic: where it differs when a hyperparameter moves by 1e-13.
    moved = [oracle_run(problem, x * (1 + 1e-13), y), oracle_run(problem, x, y * (1 + 1e-13))]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        apart = sum(np.abs(other.losses - theirs.losses) for other in moved) / np.abs(theirs.losses)
        apart[np.abs(theirs.losses) < 1e-12] = 0.0  # a loss that vanished is rounding and nothing else
        apart[theirs.losses > 1e6 * theirs.losses[:, :1]] = np.inf  # what the measure counts as its cap
    apart = np.maximum.accumulate(np.where(np.isnan(apart), np.inf, apart), axis=1)
    calm = apart < 1e-9
    assert calm.mean() > 0.2
    np.testing.assert_allclose(losses[calm], theirs.losses[calm], rtol=1e-6, atol=1e-12)

    steady = sum(np.abs(other.value - theirs.value) for other in moved) <= 1e-9 * np.abs(theirs.value)
    assert steady.mean() > 0.6
    converged = ours.status == Status.CONVERGED
    assert 0.02 < converged[steady].mean() < 0.98, "the points must straddle the border, or nothing is tested"
    np.testing.assert_array_equal(converged[steady], theirs.converged[steady])
    xla = engine.Engine(problem).run(x, y)
    # When a run left may hang on its last losses, which no longer matter to its value.
    assert np.mean((ours.escape_step == xla.escape_step)[steady]) > 0.97
    np.testing.assert_allclose(ours.value[steady], xla.value[steady], rtol=1e-6)
    for key, values in xla.more.items():
        np.testing.assert_allclose(ours.more[key][steady], values[steady], rtol=1e-6)
    done = steady & converged
    np.testing.assert_allclose(ours.final_loss[done], xla.final_loss[done], rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "relu", "identity", "several chunks", "minibatch", "published"])
def test_a_block_of_threads_trains_the_bits_of_one_thread(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads as on a device, which take turns on the processor: Warp shares every tile out between them."""
    problem = PROBLEMS.get(name, Problem(axis("lr_input"), axis("lr_output"), steps=6))
    x, y = points(5, hi=5.0)
    one = fused_engine.FusedEngine(problem).losses(x, y)
    monkeypatch.setattr(wp.config, "enable_cpu_blocks", True)
    fused = fused_engine.FusedEngine(problem)
    np.testing.assert_array_equal(fused.losses(x, y), one)
    assert fused._shape.threads in {threads for _, threads in kernel.build(fused._shape).module.execs}


# Data-centre cards of two generations (A100, H100), and one between them whose float64 units are few (L4, RTX 4090),
# with the bytes of shared memory that a block may have there.
ARCHITECTURES = {80: 163 * 1024, 89: 99 * 1024, 90: 227 * 1024}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_same_source_compiles_for_an_nvidia_device(arch: int, tmp_path: Path) -> None:
    """Machine code for the published net, without a device, a driver or a CUDA toolkit on this machine."""
    compiled = kernel.build(shape.of(Problem(axis("lr_input"), axis("lr_output")), examples=272))
    (cubin,) = wp.compile_aot_module(compiled.module, arch=arch, module_dir=tmp_path, use_ptx=False)
    code = cubin.read_bytes()
    assert code.startswith(b"\x7fELF")
    assert compiled.key.encode() in code
    (shared_bytes,) = json.loads(next(tmp_path.glob("*.meta")).read_text()).values()
    assert 0 < shared_bytes <= ARCHITECTURES[arch] / 2, "two blocks must fit on a multiprocessor"
