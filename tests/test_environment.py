"""Samples are the same whatever the environment says, or their numerics say what it says, or it is refused."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax
import jaxlib
import numpy as np
import pytest

from render import scene
from render.errors import RenderError
from render.machine import environment
from render.storage import numerics
from tests.helpers import ROOT, environments
from tests.helpers.environments import REFUSED, Trial

TABLES = {
    "RESULTS": set(environment.RESULTS),
    "STEADY": set(environment.STEADY),
    "OURS": set(environment.OURS),
    "FREE": set(environment.FREE),
}


# ---- the tables are whole -------------------------------------------------------------------------------------------


def test_every_option_of_jax_stands_in_exactly_one_table() -> None:
    """A new JAX with a new option fails here until it is known what the option can do to a sample."""
    for name in jax.config.values:
        where = [table for table, names in TABLES.items() if name in names]
        assert len(where) == 1, f"{name} of jax {jax.__version__} stands in {where or 'no table'}"


def test_no_name_stands_in_two_tables() -> None:
    assert sum(map(len, TABLES.values())) == len(set().union(*TABLES.values()))


def test_what_is_set_are_jax_s_own_defaults() -> None:
    """So that nothing changes where the environment sets nothing. JAX is asked in a process of its own."""
    code = "import jax, json; print(json.dumps({k: str(v) for k, v in jax.config.values.items()}))"
    done = subprocess.run([sys.executable, "-c", code], env=environments.clean(), capture_output=True, text=True)
    defaults = json.loads(done.stdout)
    pinned = environment.RESULTS | environment.STEADY
    differ = {name: defaults[name] for name, value in pinned.items() if defaults.get(name, str(value)) != str(value)}
    assert differ == {"jax_enable_x64": "False", "jax_explicit_x64_dtypes": "1"}  # 1 is what "warn" stands for


def flags_of_xla() -> set[str]:
    """Every name in XLA's library that looks like a flag of it."""
    library = Path(jaxlib.__file__).parent / "libjax_common.so"
    return {name.decode() for name in re.findall(rb"(?<=\x00)xla_[a-z0-9_]+(?=\x00)", library.read_bytes())}


def test_every_flag_of_xla_is_part_of_the_numerics_unless_it_is_known_to_be_harmless() -> None:
    flags = flags_of_xla()
    assert {"xla_cpu_enable_fast_math", "xla_cpu_ftz", "xla_backend_optimization_level", "xla_gpu_ftz"} <= flags
    quiet = {flag for flag in flags if not environment.numerics_of({"XLA_FLAGS": f"--{flag}=1"})}
    assert all(flag in environment.HARMLESS_FLAGS | environment.SET_FLAGS.keys() or "dump" in flag for flag in quiet)
    assert len(flags) > 200
    assert len(quiet) < 0.2 * len(flags)


# ---- bits -----------------------------------------------------------------------------------------------------------


def test_numerics_without_settings_are_as_they_always_were() -> None:
    """The fields that every store has been kept by."""
    described = numerics.of("cpu", "cpu", 16)
    assert list(described)[:7] == ["kernel", "lanes", "samples", "jaxlib", "backend", "device", "machine"]
    assert set(described) - {"settings"} == set(list(described)[:7])
    assert described["jaxlib"] == metadata.version("jaxlib")
    assert environment.numerics_of({}) == {}
    assert environment.numerics_of({"XLA_FLAGS": "", "OPENBLAS_CORETYPE": "", "OMP_NUM_THREADS": "1"}) == {}


@pytest.mark.parametrize(
    "trial",
    [
        Trial(environments.everything_set(), "same"),
        Trial({}, "same", environments.USED_BEFORE),
        Trial({}, "same", environments.CHANGED_BEFORE),
        Trial({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}, "apart"),
        Trial({"OPENBLAS_CORETYPE": "Prescott"}, "apart", scene="skip_norm"),
        *(Trial(refused, "refused") for refused in (REFUSED[0], REFUSED[3], REFUSED[5], REFUSED[6])),
    ],
    ids=[
        "all set",
        "jax used before",
        "jax changed before",
        "fast math",
        "blas",
        "cuda",
        "log",
        "flag",
        "flag's value",
    ],
)
def test_a_trial_holds(trial: Trial) -> None:
    assert environments.run(trial) == ""


def test_fast_math_really_changes_bits() -> None:
    """Or the trials above could not fail."""
    fast = environments.outcome(Trial({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}, "apart"))
    assert fast.digest != environments.plain().digest


def test_an_option_that_a_program_changes_later_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from render.train import engine

    problem = scene.load("tiny").problem
    trained, x = engine.Engine(problem), np.full(4, 0.1)
    now = jax.config.values["jax_default_matmul_precision"]
    jax.config.update("jax_default_matmul_precision", "bfloat16")
    try:
        with pytest.raises(RenderError, match=r"jax_default_matmul_precision must be None .* 'bfloat16'"):
            trained.run(x, x)
    finally:
        jax.config.update("jax_default_matmul_precision", now)
    trained.run(x, x)


def test_workers_tell_each_other_apart_by_their_first_steps() -> None:
    """The same on each device and in a second engine; another where sums are taken backwards."""
    from render.train import engine

    problem = scene.load("tiny").problem
    one = engine.Engine(problem).first_steps(engine.devices()[0])
    assert one == engine.Engine(problem).first_steps(engine.devices()[-1])
    assert one != engine.Engine(problem, backwards=True).first_steps()


# ---- flags and variables, read --------------------------------------------------------------------------------------


def test_flags_are_read_as_xla_reads_them(tmp_path: Path) -> None:
    named = tmp_path / "flags"
    named.write_text("--xla_a=1\n--xla_b='two words'\n")
    for text in ("--xla_a=1 --xla_b='two words'", str(named), " --xla_a=0 --xla_b='two words' --xla_a=1 "):
        assert environment.xla_flags({"XLA_FLAGS": text}) == {"xla_a": "1", "xla_b": "two words"}
    ours = environment.with_our_flags({"XLA_FLAGS": f"{named}"})
    assert ours == "--xla_a=1 --xla_b='two words' --xla_cpu_multi_thread_eigen=false"
    assert environment.with_our_flags({"XLA_FLAGS": ours}) == ours


def test_the_order_of_flags_does_not_matter_but_the_last_of_one_counts() -> None:
    def of(text: str) -> dict[str, str]:
        return environment.numerics_of({"XLA_FLAGS": text})

    assert of("--xla_a=1 --xla_b=2") == of("--xla_b=2 --xla_a=0 --xla_a=1") != of("--xla_a=0 --xla_b=2")
    assert of("--xla_dump_to=/tmp") == {}


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "99999", "0x2", "²", "1 2"])
def test_a_number_of_ours_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RENDER_CPU_DEVICES", text)
    with pytest.raises(RenderError, match=r"^RENDER_CPU_DEVICES must be a whole number from 1 to 1024, not"):
        environment.whole_number("RENDER_CPU_DEVICES")


@pytest.mark.parametrize(("text", "means"), [("", False), ("0", False), ("1", True), (" 1 ", True), ("no", None)])
def test_a_switch_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, means: bool | None) -> None:
    monkeypatch.setenv("RENDER_FSYNC", text)
    if means is None:
        with pytest.raises(RenderError, match=r"^RENDER_FSYNC must be 0 or 1, not 'no'"):
            environment.switch("RENDER_FSYNC")
    else:
        assert environment.switch("RENDER_FSYNC") is means


def test_every_variable_of_ours_is_listed() -> None:
    """Whatever the program reads of its own has its bad values in a table, which soaks go through."""
    words = " ".join(path.read_text() for path in (ROOT / "render").rglob("*.py"))
    assert set(re.findall(r"RENDER_[A-Z_]+", words)) == set(environment.OUR_VARIABLES)
