"""Trials of the environment: values of variables, and what must happen to samples with them.

`trials()` lists them all and `run` makes one in a process of its own, so a soak goes through the whole list:
`for trial in trials(): fault = run(trial)`, where a fault is a sentence, and "" means that the law held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from render.machine import environment
from tests.helpers import ROOT

# Trains a few runs and prints what they gave, and under which numerics, as JSON; a person's mistake as one line.
_TRAIN = """
import hashlib, json, sys
{before}
from render.errors import RenderError
try:
    from fractions import Fraction
    import numpy as np
    from render import scene
    from render.storage import numerics
    from render.backends.local import LocalBackend
    problem = scene.load("{scene}").problem
    backend = LocalBackend(problem)
    early, engine = backend.numerics, backend.engine
    draw = np.random.default_rng(0)
    places = [[Fraction(u) for u in draw.uniform(0, 1, 64)] for _ in "xy"]
    x = np.array([float(problem.x.value_from_unit(u)) for u in places[0]])
    y = np.array([float(problem.y.value_from_unit(u)) for u in places[1]])
    field = engine.run(x, y, backend.devices[-1])
    assert engine.numerics() == early, (early, engine.numerics())
    digest = hashlib.sha256(field.value.tobytes() + field.final_loss.tobytes()).hexdigest()
    print(json.dumps({{"digest": digest, "numerics": early, "devices": backend.workers}}))
except RenderError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""

# A program that has used JAX, and set what it likes, before it meets render.
USED_BEFORE = "import jax; jax.devices()"
CHANGED_BEFORE = """
import jax
from render.machine import environment
for name in (environment.RESULTS | environment.STEADY).keys() & jax.config.values.keys():
    now = jax.config.values[name]
    others = [not now] if isinstance(now, bool) else [now + 1] if isinstance(now, (int, float)) else {words}
    for other in others:
        try:
            jax.config.update(name, other)
        except (ValueError, TypeError, AttributeError):
            continue
        changed = True
assert changed
"""
CHANGED_BEFORE = CHANGED_BEFORE.replace(
    "{words}", '["rbg", "float32", "raise", "disallow", "strict", "error", "O0", "log"]'
)


class Trial(NamedTuple):
    """Variables, what the program does before it uses render, and what must become of samples.

    wanted: "same" bits and numerics; "apart" means that numerics name the variables; "refused", in one line that names
    the first variable, and with exit code 2.
    """

    variables: Mapping[str, str]
    wanted: Literal["same", "apart", "refused"]
    before: str = ""
    scene: str = "tiny"


class Outcome(NamedTuple):
    """What a process gave. digest: of values and losses. numerics: as the store keeps them. Empty if it was refused."""

    code: int
    digest: str
    numerics: dict[str, str | int]
    devices: int
    errors: str


def everything_set() -> dict[str, str]:
    """Return every variable that sets an option of JAX which may not change samples, set to something else."""
    pinned = environment.RESULTS | environment.STEADY
    odd = {name.upper(): "0" if value is True else "1" for name, value in pinned.items()}
    return odd | {"JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_AN_OPTION_OF_TOMORROW": "1", "JAX_DEBUG_NANS": "neither"}


def trials() -> Iterator[Trial]:
    """Yield every trial: some hundred processes of two seconds."""
    for name, value in everything_set().items():
        yield Trial({name: value}, "same")
    yield Trial(everything_set(), "same")
    yield Trial({}, "same", USED_BEFORE)
    yield Trial({}, "same", CHANGED_BEFORE)
    same = {
        "JAX_LOG_COMPILES": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_PLATFORM_NAME": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "0",
        "JAX_COMPILATION_CACHE_DIR": "/dev/null/nowhere",
        "JAX_NUM_CPU_DEVICES": "7",
        "XDG_CACHE_HOME": "/dev/null/nowhere",
        "HOME": "/dev/null/nowhere",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "7",
        "PYTHONOPTIMIZE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "RENDER_CPU_DEVICES": "1",
        "MALLOC_PERTURB_": "165",
        "MALLOC_ARENA_MAX": "1",
        "OMP_DYNAMIC": "true",
        "MKL_NUM_THREADS": "none",
        "GOMP_CPU_AFFINITY": "0",
        "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "maybe",
        "PJRT_NPROC": "1",
        "NUMBA_DISABLE_JIT": "1",
        "NUMBA_NUM_THREADS": "none",
        "PYTHONWARNINGS": "error",
        "PYTHONDEVMODE": "1",
        "PYTHONINTMAXSTRDIGITS": "640",
        "PYTHONMALLOC": "debug",
        "LC_ALL": "xx_YY",
        "TZ": "nonsense/zone",
        "COLUMNS": "0",
    }
    for name, value in same.items():
        yield Trial({name: value}, "same")
    for flags in ("--xla_force_host_platform_device_count=5", "--xla_cpu_multi_thread_eigen=true", "", " "):
        yield Trial({"XLA_FLAGS": flags}, "same")
    for flags in ("--xla_cpu_enable_fast_math=true", "--xla_cpu_enable_fast_math", "--xla_cpu_prefer_vector_width=512"):
        yield Trial({"XLA_FLAGS": flags}, "apart")
    yield Trial({"GLIBC_TUNABLES": "glibc.malloc.check=0:glibc.cpu.hwcaps=-FMA"}, "apart")
    for name, value in {
        "TRITON_F32_DEFAULT": "tf32",
        "TRITON_DEFAULT_FP_FUSION": "0",
        "LLVM_PASS_PLUGIN_PATH": "x",
    }.items():
        yield Trial({name: value}, "apart")
    yield Trial({"OPENBLAS_CORETYPE": "Prescott"}, "same")
    yield Trial({"OPENBLAS_CORETYPE": "Prescott"}, "apart", scene="skip_norm")
    for refused in REFUSED:
        yield Trial(refused, "refused")


# What cannot be gone on with: one line must name the variable.
REFUSED: tuple[dict[str, str], ...] = (
    {"JAX_PLATFORMS": "cuda"},
    {"JAX_PLATFORMS": "nonsense"},
    {"JAX_PLATFORM_NAME": "tpu"},
    {"JAX_LOG_COMPILES": "perhaps"},
    {"JAX_LOGGING_LEVEL": "loud"},
    {"XLA_FLAGS": "--xla_no_such_flag=1"},
    {"XLA_FLAGS": "--xla_cpu_enable_fast_math=perhaps"},
    {"XLA_FLAGS": "no/such/file"},
    {"NPY_DISABLE_CPU_FEATURES": "AVX2"},
    *({"RENDER_CPU_DEVICES": text} for text in ("0", "-1", "1.5", "two", "99999", "0x2", "²")),
)


def clean() -> dict[str, str]:
    """Return this process's environment without anything that a trial may set."""
    tried = ("JAX", "XLA_", "RENDER_", "OPENBLAS_", "OMP_", "GLIBC_", "NPY_", "CHECK_VMA", "EAGER_", "MOCK_NUM")
    return {name: value for name, value in os.environ.items() if not name.startswith(tried)}


def outcome(trial: Trial) -> Outcome:
    """Train in a process with a trial's variables."""
    code = _TRAIN.format(before=trial.before, scene=trial.scene)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean() | {"RENDER_CPU_DEVICES": "2"} | dict(trial.variables),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return Outcome(done.returncode, "", {}, 0, done.stderr)
    printed = json.loads(done.stdout)
    return Outcome(0, printed["digest"], printed["numerics"], printed["devices"], done.stderr)


_plain: dict[str, Outcome] = {}


def plain(scene: str = "tiny") -> Outcome:
    """Return what comes out with none of the variables set; each scene is trained once."""
    if scene not in _plain:
        _plain[scene] = outcome(Trial({}, "same", scene=scene))
    return _plain[scene]


def run(trial: Trial) -> str:
    """Make a trial; return a sentence on what is wrong with its outcome, or ""."""
    usual, result = plain(trial.scene), outcome(trial)
    names = list(trial.variables)
    if trial.wanted == "refused":
        lines = result.errors.splitlines()
        if result.code != 2 or len(lines) != 1 or names[0] not in lines[0]:
            return f"{trial.variables} must be refused in one line, but gave {result.code}: {result.errors[-500:]}"
        return ""
    if result.code:
        return f"{trial.variables} must not stop training, but it ended with {result.code}: {result.errors[-500:]}"
    if trial.wanted == "apart":
        settings = str(result.numerics.get("settings", ""))
        known = {name: value for name, value in result.numerics.items() if name != "settings"}
        value = names[0] if names[0] != "XLA_FLAGS" else trial.variables["XLA_FLAGS"].partition("=")[0]
        return "" if value in settings and known == usual.numerics else f"{trial.variables} gave {result.numerics}"
    if (result.digest, result.numerics) != (usual.digest, usual.numerics):
        return f"{trial.variables} gave other samples, {result}, than {usual}"
    return ""


# What becomes of the bytes of a file.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "one byte": lambda content: content[:1],
    "digest alone": lambda content: content[:32],
    "truncated": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(range(256)) * 40,
    "flipped bit": lambda content: content[:-20] + bytes([content[-20] ^ 1]) + content[-19:],
    "longer": lambda content: content + b"\0",
}


def damaged_caches(folder: Path) -> list[str]:
    """Make a frame over kept loops and kernels that are damaged in each way; return what is wrong, in sentences.

    folder: a scratch folder.
    """
    kept = folder / "cache"
    environ = clean() | {"RENDER_CPU_DEVICES": "2", "XDG_CACHE_HOME": str(kept), "NUMBA_CACHE_DIR": str(kept / "numba")}

    def frame(name: str) -> tuple[int, str, bytes]:
        places = ["--store", str(folder / f"{name}-store"), "--out", str(folder / name)]
        command = [sys.executable, "-m", "render.cli", "frame", "tiny", "last", *places]
        done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
        pictures = sorted((folder / name).rglob("*.png"))
        return done.returncode, done.stderr, pictures[0].read_bytes() if pictures else b""

    undamaged, faults = frame("whole"), []
    for name, damage in DAMAGES.items():
        files = [path for path in kept.rglob("*") if path.is_file()]
        for path in files:
            path.write_bytes(damage(path.read_bytes()))
        if (damaged := frame(name.replace(" ", "-"))) != undamaged or len(files) < 10:
            faults.append(f"{len(files)} files, {name}: ended with {damaged[0]}, said {damaged[1][-500:]!r}")
    return faults
