"""The choice of a kernel: the fused one only where it can be used, trains the same runs, and is faster."""

import dataclasses
import importlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from render import api, backends
from render import scene as scenes
from render.backends import Batch, kernels
from render.backends.kernels import Choice
from render.backends.local import LocalBackend
from render.cli.options import Machines
from render.cli.points import probe
from render.errors import ClusterError, RenderError
from render.fused import shape
from render.geometry.axes import Axis
from render.machine import cards
from render.machine.cards import Card
from render.problem import Problem
from render.samples import Points
from render.storage import numerics
from render.tools import inventory
from render.train import engine, fused_check
from tests.helpers import ROOT
from tests.helpers.problems import changed

X, Y = (Axis(name, "log10", Fraction(-3), Fraction(6)) for name in ("lr_input", "lr_output"))
SMALL = Problem(X, Y, width=5, examples=12, steps=40)


# ---- where it cannot be used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem, words",
    [
        (changed(SMALL, depth=3), "problem.depth = 2, not 3"),
        (changed(SMALL, width=33), "problem.width <= 32, not 33"),
        (changed(SMALL, batch=400_000, steps=1000), "minibatches of 400,000 examples"),
        (changed(SMALL, observe=(("lyapunov", 4.0),)), "besides its losses, so not lyapunov"),
        (changed(SMALL, observe=(("steps_to_loss", 0.5),)), "besides its losses, so not steps_to_loss"),
        (scenes.load("digits").problem, "trains the system mlp, not network"),
        (scenes.load("mandelbrot").problem, "trains the system mlp, not"),
    ],
)
def test_what_the_kernel_does_not_train_is_left_to_xla_with_the_reason(problem: Problem, words: str) -> None:
    assert words in str(shape.refusal(problem))
    choice = kernels.choose(problem, "fused")
    assert not choice.fused and choice.why.startswith("XLA's kernel trains, not the fused one: ")
    assert words in choice.why


def test_without_an_nvidia_device_xla_trains_the_same_bits_as_ever() -> None:
    heard: list[str] = []
    asked = backends.make("local", SMALL, notice=heard.append, kernel="fused")
    assert heard == ["XLA's kernel trains, not the fused one: it is for NVIDIA devices, and JAX finds none here."]
    assert asked.numerics == backends.make("local", SMALL).numerics
    assert kernels.card_words(SMALL) == ""


def test_the_kernel_is_off_unless_asked_for_and_must_be_known() -> None:
    assert kernels.choose(SMALL, "xla") == Choice(False, "")
    backend = Machines().make(SMALL)
    assert isinstance(backend, LocalBackend) and not backend.kernel.fused and not backend.remarks()
    with pytest.raises(RenderError, match="--kernel must be one of xla, fused, not 'fuse'; did you mean fused"):
        Machines(kernel="fuse").make(SMALL)
    for elsewhere in ({"backend": "dask"}, {"scheduler": "tcp://x:1"}, {"slurm": 3}):
        for use in (lambda machines: machines.make(SMALL), Machines.cluster):
            with pytest.raises(ClusterError, match="--kernel is for --backend local"):
                use(Machines(kernel="fused", **elsewhere))


def test_a_trace_is_of_xlas_losses(tmp_path: Path) -> None:
    """Of another kernel's they would differ in their last bits from the runs of the table beside them."""
    points = tmp_path / "points.csv"
    points.write_text("lr_input,lr_output\n1,1\n")
    with pytest.raises(RenderError, match="--trace writes losses of XLA's kernel: leave out --kernel fused"):
        probe(
            "tiny", points=points, out=tmp_path / "out.csv", trace=tmp_path / "t.csv", machines=Machines(kernel="fused")
        )
    assert not (tmp_path / "out.csv").exists()


def test_nothing_loads_warp_that_does_not_launch_the_kernel() -> None:
    code = (
        "import sys, render.api, render.cli.commands, render.backends.local, render.train.engine, render.fused.shape\n"
        "from render.train import fused_check\nassert not [m for m in sys.modules if m.split('.')[0] == 'warp']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- the comparison -------------------------------------------------------------------------------------------------


@pytest.fixture
def fused_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The fused kernel on a processor, which counts as an NVIDIA device here; verdicts lie in a folder of the test."""
    pytest.importorskip("warp", reason="needs the extra gpu-fused")
    module = importlib.import_module("render.train.fused_engine")
    monkeypatch.setattr(kernels, "unusable", shape.refusal)
    monkeypatch.setattr(kernels, "_verdicts", {})
    monkeypatch.setattr(kernels, "places", SimpleNamespace(cache_folder=lambda part: tmp_path))
    return module


def test_a_right_kernel_that_is_slower_is_not_kept(fused_engine: Any) -> None:
    """As on any processor."""
    verdict = fused_check.compare(engine.Engine(SMALL), fused_engine.FusedEngine(SMALL), timed=64)
    assert verdict.is_right and verdict.agreeing == verdict.steady > 100
    assert not verdict._replace(fused_per_s=verdict.xla_per_s / 2).is_kept
    assert verdict._replace(fused_per_s=verdict.xla_per_s * 2).is_kept


@pytest.mark.parametrize("other", [{"seed": 7}, {"activation": "relu"}, {"examples": 13}, {"steps": 39}])
def test_a_kernel_that_trains_other_runs_is_never_kept(fused_engine: Any, other: dict[str, Any]) -> None:
    wrong = fused_engine.FusedEngine(changed(SMALL, **other))
    verdict = fused_check.compare(engine.Engine(SMALL), wrong, timed=64)
    assert not verdict.is_right and not verdict._replace(fused_per_s=1e12).is_kept


def test_the_comparison_is_made_once_and_decides(
    fused_engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    comparisons = []
    true = fused_check.Verdict(256, 200, 200, 200, 100.0, 1000.0)

    def compare(*_: object) -> fused_check.Verdict:
        comparisons.append(true)
        return comparisons[-1]

    monkeypatch.setattr(fused_check, "compare", compare)
    assert kernels.choose(SMALL, "fused") == Choice(
        True, f"The fused kernel trains, which was measured by this comparison alone: {true.words()}."
    )
    # Another window, and another value of what is fixed, are the same net; another width is not.
    assert kernels.choose(changed(SMALL, x=dataclasses.replace(X, lo=Fraction(-1))), "fused").fused
    assert len(comparisons) == 1
    kernels._verdicts.clear()  # as in another process
    assert kernels.choose(SMALL, "fused").fused and len(comparisons) == 1
    (kept,) = tmp_path.glob("*.json")
    for damaged in (b"", b"[]", b'{"runs": 1}', b"\xff"):
        kept.write_bytes(damaged)
        kernels._verdicts.clear()
        assert kernels.choose(SMALL, "fused").fused
    assert len(comparisons) == 5
    true = true._replace(agreeing=199)
    wider = kernels.choose(changed(SMALL, width=6), "fused")
    assert not wider.fused and "does not train the same runs here: of 256 runs" in wider.why
    true = true._replace(agreeing=200, fused_per_s=99.0)
    assert "which is no faster here" in kernels.choose(changed(SMALL, width=7), "fused").why


def test_a_kernel_that_fails_on_the_device_is_not_used(fused_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(*_: object) -> None:
        raise RuntimeError("out of memory\nCUDA error 2: out of memory.")

    monkeypatch.setattr(fused_check, "compare", compare)
    choice = kernels.choose(SMALL, "fused")
    assert not choice.fused
    assert choice.why.endswith("failed on this device (RuntimeError: CUDA error 2: out of memory).")


# ---- training with it -----------------------------------------------------------------------------------------------


def test_a_backend_trains_with_it_under_numerics_of_its_own(fused_engine: Any) -> None:
    backend = LocalBackend(SMALL, kernel=Choice(True, "why"))
    plain = numerics.of_processor(SMALL)
    assert plain is not None
    assert backend.numerics == numerics.fused(plain) != plain
    x, y = 10.0 ** np.random.default_rng(1).uniform(-3, 3, (2, 300))
    batches = iter([Batch((), Points(x[:200], y[:200])), Batch((), Points(x[200:], y[200:]))])
    fields = {len(batch.points): field for batch, field in backend.run(lambda: next(batches, None))}
    expected = fused_engine.FusedEngine(SMALL).run(x, y)
    np.testing.assert_array_equal(np.concatenate([fields[200].value, fields[100].value]), expected.value)
    assert backend.remarks() == {"kernel": "why"}  # what `plan` shows


def test_slices_of_a_film_get_it_where_it_trains_them(fused_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = fused_check.Verdict(256, 200, 200, 200, 100.0, 1000.0)
    monkeypatch.setattr(fused_check, "compare", lambda *_: verdict)
    first = LocalBackend(SMALL, kernel=Choice(True))
    assert first.like(changed(SMALL, fixed=(("offset", 0.1),))).kernel.fused
    assert not first.like(changed(SMALL, width=64)).kernel.fused
    assert not LocalBackend(SMALL).like(changed(SMALL, seed=1)).kernel.fused


def test_a_film_of_its_samples_goes_on_where_it_was(
    fused_engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = scenes.load("tiny", settings=("output.fps=2", "problem.steps=5"))
    options: dict[str, Any] = {"quality": "scene", "out": tmp_path / "out", "store": tmp_path / "store"}

    def make(problem: Problem) -> LocalBackend:
        return LocalBackend(problem, kernel=Choice(True, "why"))

    film = api.video(scene, make_backend=make, **options)
    (made_by,) = (tmp_path / "store").glob("*/*/numerics.toml")
    assert 'warp = "' in made_by.read_text() and "fused = 1" in made_by.read_text()
    (kept,) = inventory.listed(tmp_path / "store", [scene], lambda problem: LocalBackend(problem).numerics)
    assert kept.differs == "", "what this machine's other kernel made is not pruned"
    first = film.path.read_bytes()
    film.path.unlink()
    # XLA's kernel has none of these samples.
    plan = api.plan(scene, quality="scene", store=tmp_path / "store")
    assert plan.samples_to_do == plan.job.plan.samples and "kernel" not in plan.facts()
    monkeypatch.setattr(fused_engine.FusedEngine, "run", lambda *_: pytest.fail("a stored sample was trained again"))
    assert api.video(scene, make_backend=make, **options).path.read_bytes() == first


def test_the_measurement_for_a_card_runs_to_its_end(fused_engine: Any) -> None:
    """On a processor, where its rates mean nothing, but every line of it is run and both kernels agree."""
    gpu = importlib.import_module("tests.bench.gpu")
    size = gpu.Size(points=30, side=4, rounds=1, copied_bytes=2**16)
    card = Card("Some card", "9.0", 132, 1980)
    film = lambda: scenes.load("tiny", settings=("output.fps=3",))  # noqa: E731
    figures = dict(gpu.rows(card, engine.devices()[0], size=size, conditions={"small": SMALL}, film=film))
    assert figures["bits of the fused kernel"] == (
        "again none of 30 differ, in another order none of 30 differ, in three batches none of 30 differ"
    )
    assert figures["small, outcomes as on the processor"].startswith("XLA 100.0%, fused ")
    assert len(figures) == 13 and not [figure for figure in figures.values() if "nan" in figure]


def test_without_a_card_the_measurement_is_one_sentence() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench", "gpu"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("bench gpu needs an NVIDIA device")


# ---- what a card can do ---------------------------------------------------------------------------------------------


def test_a_cards_float64_rate_follows_from_its_units() -> None:
    """Published rates: RTX 4090 1.29 TFLOP/s, H100 SXM 34, A100 9.7, L4 0.47, T4 0.25."""
    for card, published in (
        (Card("RTX 4090", "8.9", 128, 2520), 1.29e12),
        (Card("H100 SXM", "9.0", 132, 1980), 34e12),
        (Card("A100", "8.0", 108, 1410), 9.7e12),
        (Card("L4", "8.9", 58, 2040), 0.47e12),
        (Card("T4", "7.5", 40, 1590), 0.25e12),
    ):
        assert card.float64_flop_per_s == pytest.approx(published, rel=0.03), card
    few = Card("RTX 4090", "8.9", 128, 2520).words()
    assert few == "RTX 4090: float64 at 1/64 of the rate of float32 (a card for graphics: few units for it), " + (
        "1.29 TFLOP/s at most"
    )
    assert Card("H100", "9.0", 132).words() == "H100: float64 at 1/2 of the rate of float32"
    assert Card("Next", "99.9", 132, 1980).words() == "Next: how fast its float64 is is not known here"


@pytest.mark.parametrize(
    "more, words",
    [
        (
            {"compute_capability": "8.9", "core_count": 58},
            ": float64 at 1/64 of the rate of float32 (a card for graphics",
        ),
        ({"compute_capability": "9.0"}, ": float64 at 1/2 of the rate of float32"),
        ({}, ": how fast its float64 is is not known here"),
    ],
)
def test_a_plan_says_what_is_known_of_the_card_that_trains(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], words: str
) -> None:
    client = SimpleNamespace(platform_version="PJRT C API\ncuda 13000")
    device = SimpleNamespace(platform="gpu", device_kind="NVIDIA Some", client=client, **more)
    monkeypatch.setattr(engine, "devices", lambda: [device])
    monkeypatch.setattr(kernels, "clock_mhz", lambda name: 2040.0)
    assert kernels.card_words(SMALL).startswith(f"NVIDIA Some{words}")
    assert ("runs a second that do not escape" in kernels.card_words(SMALL)) == ("core_count" in more)
    for uncounted in (scenes.load("mandelbrot").problem, changed(SMALL, depth=3)):
        assert "runs a second" not in kernels.card_words(uncounted)
    for other in ({"platform": "cpu"}, {"client": SimpleNamespace(platform_version="rocm 60000")}):
        monkeypatch.setattr(engine, "devices", lambda other=other: [SimpleNamespace(**{**vars(device), **other})])
        assert kernels.card() is None


def test_the_ceiling_of_the_published_net_is_the_published_one() -> None:
    """A card of 34 TFLOP/s has a ceiling near 100,000 runs of 500 steps a second, by published counts."""
    assert 34e12 / shape.flop(Problem(X, Y), 272) == pytest.approx(100_000, rel=0.1)
    # A minibatch saves the way back of all other examples, and nothing of the way there.
    assert 0.6 < shape.flop(Problem(X, Y, batch=16), 272) / shape.flop(Problem(X, Y), 272) < 0.8


def test_a_clock_is_what_the_driver_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards.clock_mhz("NVIDIA L4") is None
    driver = tmp_path / "nvidia-smi"
    for text, clock in (("NVIDIA L4, 2040", 2040.0), ("NVIDIA T4, 1590", None), ("No devices", None), ("", None)):
        driver.write_text(f"#!/bin/sh\necho '{text}'\n")
        driver.chmod(0o755)
        assert cards.clock_mhz("NVIDIA L4") == clock
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert cards.clock_mhz("NVIDIA L4") is None
