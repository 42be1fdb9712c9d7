"""The quality that a film is made at: by name, or the best that a machine can train within a budget."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from render.backends import Backend
from render.errors import WriteError
from render.files.atomic import write_whole
from render.files.stored import read_stored
from render.film import training_rate
from render.film.plan import Plan
from render.film.training_rate import Rate
from render.scene import QUALITY, Scene, with_quality
from render.storage.store import DirectoryStore

# Seconds of training that `auto` allows itself: long enough for a whole film on two cores, short enough to wait for.
BUDGET_S = 900.0


@dataclass(frozen=True)
class Choice:
    """A quality by name ("scene" is the scene's own output), and the plan of the scene at that quality."""

    name: str
    plan: Plan


# What `auto` falls back to where even this does not fit the budget: presets stand in rising order of cost.
SMALLEST = next(iter(QUALITY))


def named(scene: Scene, name: str) -> Choice:
    """Return a quality by name: "scene", or a preset."""
    if name == "scene":
        return Choice(scene.record.quality if scene.record else name, Plan(scene))
    return Choice(name, Plan(with_quality(scene, name)))


def choose(scene: Scene, rate: Rate, budget_s: float = BUDGET_S) -> Choice:
    """Return the scene's own output if it can be trained within the budget, else the best preset that can.

    Presets are tried from the smallest up, as long as they fit and need less than the scene's own output; the
    smallest is taken if none fits.
    """
    of_scene = named(scene, "scene")
    if rate.time_s(of_scene.plan.samples) <= budget_s:
        return of_scene
    best = named(scene, SMALLEST)
    for name in QUALITY:
        preset = named(scene, name)
        if rate.time_s(preset.plan.samples) > budget_s or preset.plan.samples >= of_scene.plan.samples:
            break
        best = preset
    return best


class Memory:
    """The choices of auto by scene, output and budget, in one small JSON file. A lost file costs a measurement."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self, scene: Scene, budget_s: float) -> str | None:
        """Return the quality chosen earlier, or None."""
        name = self._read().get(_occasion(scene, budget_s))
        return name if name == "scene" or name in QUALITY else None

    def remember(self, scene: Scene, budget_s: float, name: str) -> None:
        """Keep a choice; quietly not, where nothing can be written."""
        text = json.dumps(self._read() | {_occasion(scene, budget_s): name}, indent=1, sort_keys=True)
        with contextlib.suppress(WriteError):
            write_whole(self._path, text.encode(), internal=True)

    def _read(self) -> dict[str, str]:
        try:
            content = json.loads(read_stored(self._path))
        except (OSError, ValueError):
            return {}
        return {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}


def _occasion(scene: Scene, budget_s: float) -> str:
    """Return what a choice depends on, as a short key: the camera's path, the size, the detail, and the budget."""
    output = scene.output
    moved = (scene.tracks, output.slices) if scene.tracks else ()
    facts = (scene.keyframes, *moved, output.width_px, output.height_px, output.detail, output.rest_detail, budget_s)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def resolve(
    scene: Scene,
    quality: str,
    backend: Backend,
    store_root: Path,
    budget_s: float = BUDGET_S,
    *,
    read_only: bool = False,
) -> tuple[Choice, Rate | None]:
    """Resolve a quality: "scene", a preset, or "auto", by a short measured run; return also the rate if measured.

    For a scene that came out of a film or a picture, auto is the quality of that.

    What auto settled on is remembered beside the tiles: a render that was stopped goes on at the same quality,
    however busy the machine is by then. read_only: what a plan settles on is not remembered.
    """
    if quality != "auto" or scene.record is not None:
        return named(scene, "scene" if quality == "auto" else quality), None
    if scene.bifurcation is not None:  # nothing is trained ahead of its pictures
        return named(scene, "scene"), None
    folder = DirectoryStore(store_root, scene.problem, backend.numerics, read_only=read_only).folder
    memory = Memory(folder / "auto.json")
    earlier = memory.recall(scene, budget_s)
    if earlier is not None:
        return named(scene, earlier), None
    # The rate hardly depends on the quality: measure on the smallest plan, then compare.
    rate = training_rate.measure(named(scene, SMALLEST).plan, backend)
    choice = choose(scene, rate, budget_s)
    if not read_only:
        memory.remember(scene, budget_s, choice.name)
    return choice, rate
