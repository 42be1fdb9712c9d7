"""Which kernel trains on this machine's devices: XLA's, or the fused one where that was asked for and does as well."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
from difflib import get_close_matches
from typing import Any, NamedTuple

from render.errors import RenderError, WriteError
from render.files import atomic, places
from render.files.stored import read_stored
from render.fused import shape
from render.machine.cards import Card, clock_mhz
from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.storage import numerics

NAMES = ("xla", "fused")


# Comparisons by `_net`, of which a film with slices would make hundreds.
_verdicts: dict[str, Any] = {}


class Choice(NamedTuple):
    """The kernel that trains. why: where the fused one was asked for, what came of it, as a sentence."""

    fused: bool = False
    why: str = ""


# What trains unless another kernel is asked for.
XLA = Choice()


def choose(problem: Problem, asked: str) -> Choice:
    """Return the kernel that trains a problem. Raises RenderError for a kernel that is not known.

    The fused kernel is compared with XLA's once for each device, net and version, which takes seconds to minutes; the
    result is kept in the user's cache, so that a film that goes on later is trained by the same kernel.
    """
    if asked not in NAMES:
        near = get_close_matches(asked, NAMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise RenderError(f"--kernel must be one of {', '.join(NAMES)}, not {asked!r}{hint}")
    if asked == "xla":
        return XLA
    if (reason := unusable(problem)) is not None:
        return Choice(False, f"XLA's kernel trains, not the fused one: {reason}.")
    try:
        verdict = _verdict(problem)
    except Exception as error:  # a driver, a compiler or a card that cannot do it fails in many ways
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[-1] if lines else ''}".rstrip(".")
        return Choice(False, f"XLA's kernel trains, not the fused one, which failed on this device ({reason}).")
    if verdict.is_kept:
        return Choice(True, f"The fused kernel trains, which was measured by this comparison alone: {verdict.words()}.")
    why = "is no faster here" if verdict.is_right else "does not train the same runs here"
    return Choice(False, f"XLA's kernel trains, not the fused one, which {why}: {verdict.words()}.")


def unusable(problem: Problem) -> str | None:
    """Return why the fused kernel cannot train a problem on this machine, as a part of a sentence; None if it can."""
    if (reason := shape.refusal(problem)) is not None:
        return reason
    if numerics.of_processor(problem) is not None or card() is None:
        return "it is for NVIDIA devices, and JAX finds none here"
    if importlib.util.find_spec("warp") is None:
        return "NVIDIA Warp is not installed (pip install '.[gpu-fused]' in a checkout)"
    return None


def card() -> Card | None:
    """Return the NVIDIA device that trains; None where there is none. Loads JAX."""
    from render.train import engine

    device: Any = engine.devices()[0]
    if device.platform != "gpu" or "cuda" not in device.client.platform_version.lower():
        return None
    # Another version of JAX may not have these properties; users then read that they are not known.
    capability, count = str(getattr(device, "compute_capability", "")), int(getattr(device, "core_count", 0))
    return Card(device.device_kind, capability, count, clock_mhz(device.device_kind))


def card_words(problem: Problem) -> str:
    """Return what a person should know of the float64 of the card that trains; "" where there is none."""
    device = card()
    if device is None:
        return ""
    words, most = device.words(), device.float64_flop_per_s
    if most is None or problem.row.kernel != "mlp":
        return words
    settings = problem.settings_as(MlpSettings)
    if settings.depth != 2:  # what `shape.flop` counts
        return words
    from render.train import datasets

    examples = datasets.example_count(settings)
    return f"{words}; at most about {most / shape.flop(problem, examples):,.0f} runs a second that do not escape"


def _verdict(problem: Problem) -> Any:
    """Return the comparison of both kernels on this machine's first device, from the cache if it was made before."""
    from render.train import engine, fused_check, fused_engine

    fused = fused_engine.FusedEngine(problem)
    text, folder = _net(problem, fused.numerics()), places.cache_folder("kernels")
    path = None if folder is None else folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if text not in _verdicts and path is not None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            _verdicts[text] = fused_check.Verdict(**json.loads(read_stored(path)))
    if text not in _verdicts:
        _verdicts[text] = fused_check.compare(engine.Engine(problem), fused)
        if path is not None:
            with contextlib.suppress(WriteError):  # it is compared again next time
                atomic.write_whole(path, json.dumps(_verdicts[text]._asdict()).encode())
    return _verdicts[text]


def _net(problem: Problem, made_by: numerics.Numerics) -> str:
    """Return a text that problems of one net on one kind of device share.

    Where a window lies makes no other kernel, nor does what a film's slices set.
    """
    structure = problem.describe() | {"x": problem.x.name, "y": problem.y.name}
    structure |= {"fixed": sorted(name for name, _ in problem.fixed), "prefixes": []}
    return json.dumps([structure, made_by], sort_keys=True)
