"""From text to a Scene, with every fault found at once and located by its key path.

What spans several fields (the axes and the learning rates they set, keyframes inside the plane, timing) is checked on
whatever fields are good by themselves, so one fault never hides another.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from render.encode import CODECS
from render.errors import SceneError
from render.geometry import camera
from render.geometry.axes import Axis
from render.geometry.camera import Keyframe
from render.geometry.tracks import Track
from render.picture import palettes, typeface
from render.picture.colour import Look
from render.problem import Problem, catalogue, unobservable
from render.problem.catalogue import Settings
from render.scene import bifurcation_table, moving, own_files, view_fields
from render.scene.faults import layout_faults, without_consequences
from render.scene.tables import (
    MOST_KEYFRAMES,
    MOST_SECONDS,
    AxisTable,
    CameraTable,
    KeyframeTable,
    OutputTable,
    good_fields,
    of_system,
    system_of,
)
from render.scene.values import Output, Scene
from render.scene.view_fields import one_of
from render.scene.wording import quoted, shown

MOST_FAULTS = 40
MOST_DOTS = 100  # on a line

# Arrivals and holds closer than this cannot be told apart on a timeline of an hour at any frame rate allowed.
_LEAST_S = 1e-3

# Values beyond these have no float64.
_LARGEST_POSITION = {"log10": Fraction(300), "linear": Fraction(10) ** 300}
_LEAST_SPAN = Fraction(1, 10**300)


def parse(text: str, source: str, name: str, *, folder: Path | None = None) -> Scene:
    """Return the scene that a TOML text describes. source: what to call the text in messages, mostly its path.

    folder: that the path of a user's file starts at; without it, a problem cannot name one.
    """
    return build(read_toml(text, source), name, text, lambda _: source, folder)


def build(
    raw: dict[str, Any], name: str, text: str, source_of: Callable[[str], str], folder: Path | None = None
) -> Scene:
    """Return the scene of a file's fields. source_of: what to call the source that a fault, a sentence, is about.

    folder: that the path of a user's file starts at.
    """
    try:
        raw = own_files.taken_up(raw, folder)
    except SceneError as error:
        raise type(error)(*(f"{source_of(fault)}: {fault}" for fault in error.faults)) from None
    faults = layout_faults(raw)
    scene = _assemble(raw, faults, name, text)
    scene = scene and replace(scene, folder=folder)
    if scene is None or faults:
        distinct = without_consequences(dict.fromkeys(faults))
        lines = [f"{source_of(fault)}: {fault}{'' if fault.endswith('?') else '.'}" for fault in distinct[:MOST_FAULTS]]
        if len(distinct) > MOST_FAULTS:
            lines.append(f"{source_of(distinct[-1])}: and {len(distinct) - MOST_FAULTS} more faults.")
        raise SceneError(*lines)
    return scene


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Return a TOML text's fields. source: what to call the text in messages, mostly its path."""
    for number, line in enumerate(text.split("\n"), 1):
        # tomllib takes time and memory in the square of a dotted key's length: 300,000 dots took more than 16 GB.
        if line.count(".") > MOST_DOTS and not line.lstrip().startswith("#"):
            raise SceneError(f"{source}: line {number} must have at most {MOST_DOTS} dots, not {line.count('.')}.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = str(error)
    except ValueError:  # Python's limit on the digits of one integer
        what = "a number has too many digits"
    except RecursionError:
        what = "tables or lists are nested too deeply"
    raise SceneError(f"{source}: is not valid TOML: {what[:300]}.")


def _assemble(raw: dict[str, Any], faults: list[str], name: str, text: str) -> Scene | None:
    """Build the scene from the good fields, adding to faults what is wrong between them."""
    problem_raw, camera_raw = raw.get("problem"), raw.get("camera")
    x = _axis(problem_raw, "x", faults)
    y = _axis(problem_raw, "y", faults)
    first = moving.first(camera_raw, system_of(raw))
    problem = _problem(problem_raw, system_of(raw), x, y, first, faults)
    look, output = _look(raw.get("look", {}), system_of(raw), faults), _output(raw.get("output", {}), faults)
    if problem and look and look.channel in catalogue.OBSERVABLES and look.channel not in problem.channels:
        faults.append(
            f"look.channel {quoted(look.channel)} must be observed to be shown; set problem.observe.{look.channel}, or "
            "choose another channel"
        )
    diagram = bifurcation_table.bifurcation(raw, problem, look, faults)
    moves = moving.moves(camera_raw, problem, look, faults)
    keyframes = _keyframes(camera_raw, x, y, output, moves.tracks, faults)
    if faults or problem is None or look is None or output is None or keyframes is None:
        return None
    camera_good = good_fields(CameraTable, camera_raw)
    if camera_good["play"] == "ping-pong" and output.frames is not None and (output.frames < 2 or output.frames % 2):
        given = shown(output.frames)
        faults.append(f"output.frames must be even, and at least 2, for a film there and back, not {given}")
        return None
    if any(key.phase for key in keyframes) and not palettes.is_closed(look.palette):
        faults.append("camera.keyframes: a phase needs a closed palette, such as wheel or twilight")
        return None
    easing, play = camera_good["easing"], camera_good["play"]
    return Scene(
        name,
        moves.problem(problem),
        keyframes,
        easing,
        look,
        output,
        text,
        play=play,
        tracks=moves.tracks,
        bifurcation=diagram,
    )


def _axis(problem_raw: object, which: str, faults: list[str]) -> Axis | None:
    raw = problem_raw.get(which) if isinstance(problem_raw, dict) else None
    if not isinstance(raw, dict):
        return None
    where, good = f"problem.{which}", good_fields(AxisTable, raw)
    key = one_of(raw, where, "range", "range_log10", faults)
    if key not in good or "scale" not in good:
        return None
    scale: Literal["log10", "linear"] = good["scale"]
    ends: list[Fraction] = good[key]
    if key == "range_log10" and scale == "linear":
        faults.append(f'{where}.range_log10 needs scale = "log10"; give range')
        return None
    if key == "range" and scale == "log10":
        if bad := [i for i, end in enumerate(ends) if end <= 0]:
            faults += [f"{where}.range[{i}] must be > 0 on a log10 axis, not {shown(raw[key][i])}" for i in bad]
            return None
        unit_axis = Axis("", "log10", Fraction(0), Fraction(1))
        ends = [unit_axis.position_from_value(end) for end in ends]
    lo, hi = ends
    most = _LARGEST_POSITION[scale]
    if too_large := [i for i, end in enumerate(ends) if abs(end) > most]:
        limit = "between 1e-300 and 1e300" if scale == "log10" else "within +-1e300"
        faults += [f"{where}.{key}[{i}] must be a value {limit}, not {shown(raw[key][i])}" for i in too_large]
        return None
    if not lo < hi:
        given = f"{shown(raw[key][0])} and {shown(raw[key][1])}"
        faults.append(f"{where}.{key} must rise from a lower to a higher value, not {given}")
        return None
    axis = Axis(good.get("name", which), scale, lo, hi)
    if axis.span < _LEAST_SPAN or axis.deepest_level < 0:
        faults.append(f"{where}.{key} must be wide enough for float64 to tell its samples apart; widen it")
        return None
    return axis if "name" in good else replace(axis, name="")


def _problem(
    raw: object, system: str, x: Axis | None, y: Axis | None, first: dict[str, float], faults: list[str]
) -> Problem | None:
    """Return the problem. first: what keyframes set, as the first of them has it."""
    if not isinstance(raw, dict) or raw.get("system", system) != system:
        return None
    tables, row = of_system(system), catalogue.row(system)
    names = {which: good_fields(tables.axis, raw.get(which)).get("name") for which in ("x", "y")}
    fixed = good_fields(tables.fixed, raw.get("fixed", {}))
    if names["x"] is not None and names["x"] == names["y"]:
        faults.append(f"problem.y.name must differ from problem.x.name, not be {quoted(names['x'])} again")
    for which, name in names.items():
        if name in fixed:
            faults.append(f"problem.fixed.{name} must not repeat the {which} axis; remove one of them")
        if name in first:
            faults.append(f"{moving.PLACE}.{name} must not move the {which} axis; remove it")
    good = good_fields(tables.problem, {k: v for k, v in raw.items() if k not in ("x", "y", "fixed", "observe")})
    settings = {name: s.read(good[name]) for name, s in row.settings.items() if name in good}
    settings |= {name: int(first[name]) for name in row.settings if name in first}
    if len(settings) == len(row.settings) and (broken := row.rule(settings)):
        faults.append(broken)
    places = [(f"problem.{which}.name", name) for which, name in names.items() if name]
    places += [(f"{moving.PLACE}.{name}", name) for name in first if name in row.hyperparameters]
    faults += _idle(system, settings, places + [(f"problem.fixed.{name}", name) for name in fixed])
    # A name that is itself at fault may be the very one that is missing.
    given = raw.get("fixed", {})
    complete = all(names.values()) and isinstance(given, dict) and len(fixed) == len(given)
    fixed |= {name: value for name, value in first.items() if name in row.hyperparameters}
    known = {name for name in names.values() if name} | set(fixed)
    faults += _rates(system, settings, known, complete=complete)
    observe = good_fields(tables.observe, raw.get("observe", {}))
    if "steps" in good:
        faults += [f"problem.observe.{fault}" for fault in unobservable(row, good["steps"], observe)]
    if faults or x is None or y is None:
        return None
    common = {key: good[key] for key in ("steps", "seed", "measure")}
    return Problem(x, y, system, fixed=fixed.items(), settings=settings.items(), observe=observe.items(), **common)


def _idle(system: str, settings: Settings, places: list[tuple[str, str]]) -> list[str]:
    """Return faults for the hyperparameters that are set, each at its place, and have no effect."""
    return [
        f"{where}: {quoted(name)} only has an effect with {needed}"
        for where, name in places
        if (needed := catalogue.row(system).lacking(name, settings))
    ]


def _rates(system: str, settings: Settings, names: set[str], *, complete: bool) -> list[str]:
    """Return faults for groups of hyperparameters of which not exactly one is set.

    complete: no other name was meant.
    """
    row = catalogue.row(system)
    faults, missing = [], []
    for group, choices in row.once.items():
        if not row.matters(group, settings):
            continue
        ways = [name for name in choices if name in names]
        if len(ways) > 1:
            both = f"by {quoted(ways[0])} and by {quoted(ways[1])}"
            faults.append(f"problem must set the {group}'s learning rate once, not {both}; remove one of them")
        elif not ways:
            missing.append(group)
    if missing and complete:
        shared = len(missing) > 1 or len(row.once) == 1
        wanted = quoted(row.once[missing[0]][0 if shared else -1])
        groups = " and the ".join(missing)
        faults.append(
            f"problem must set the learning rate of the {groups}; put {wanted} on an axis or into [problem.fixed]"
        )
    return faults


def _look(raw: object, system: str, faults: list[str]) -> Look | None:
    table = of_system(system).look
    good = good_fields(table, raw)
    if "palette" in good:
        try:
            palettes.check(good["palette"])
        except ValueError as error:
            faults.append(f"look.palette: {str(error).rstrip('.')}")
            return None
    return Look(**good) if len(good) == len(table.model_fields) else None


def _output(raw: object, faults: list[str]) -> Output | None:
    good = good_fields(OutputTable, raw)
    fields = OutputTable.model_fields
    if not isinstance(raw, dict) or any(
        key not in good for key in fields if key in raw or fields[key].default is not None
    ):
        return None
    largest = CODECS[good["codec"]].crf if good["codec"] in CODECS else None
    if largest and good.get("crf", 1) > largest[1]:
        faults.append(f"output.crf must be <= {largest[1]} for {good['codec']}, not {shown(good['crf'])}")
        return None
    if good.get("frames", 1) > (most := math.floor(MOST_SECONDS * good["fps"])):
        length = f"{MOST_SECONDS:g} s at {float(good['fps']):g} frames a second"
        faults.append(f"output.frames must be at most {most} ({length}), not {good['frames']}")
        return None
    try:
        typeface.find(good["caption"], good["font"])
    except typeface.LacksLetters as error:
        faults.append(
            f"output.caption {error}; set output.font to a font file that has them, or change the caption"
            if "letters" in str(error)
            else f"output.font: the caption {error}; give the path of another font file"
        )
        return None
    width_px, height_px = good.pop("size")
    if "rest_detail" not in raw:
        good["rest_detail"] = max(good["rest_detail"], good["detail"])
    if good["rest_detail"] < good["detail"]:
        least, given = shown(good["detail"]), shown(good["rest_detail"])
        faults.append(f"output.rest_detail must be at least output.detail = {least}, not {given}")
        return None
    return Output(width_px, height_px, **good)


def _keyframes(
    raw: object,
    x: Axis | None,
    y: Axis | None,
    output: Output | None,
    tracks: tuple[Track, ...],
    faults: list[str],
) -> tuple[Keyframe, ...] | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("keyframes"), list):
        return None
    keyframes = [k for k in raw["keyframes"][:MOST_KEYFRAMES] if isinstance(k, dict)]
    shape = output.width_px / output.height_px if output is not None else None
    views = [view_fields.view(key, f"camera.keyframes[{i}]", x, y, shape, faults) for i, key in enumerate(keyframes)]
    holds = _holds(keyframes, faults)
    speed = _speed(raw, keyframes, faults)
    if not keyframes or faults or output is None or holds is None:
        return None  # how long the film lasts is not known yet
    valid_views = [view for view in views if view is not None]
    if speed is not None:
        size_px = (output.width_px, output.height_px)
        times = camera.times_from_speed(valid_views, size_px, holds, speed, tracks)
    else:
        times = [float(key.get("time_s", 0.0)) for key in keyframes]
    if (bpm := good_fields(CameraTable, raw).get("bpm")) is not None:
        if output.frames is not None:
            faults.append(
                "camera.bpm keeps keyframes on beats, and output.frames stretches the film off them; leave one of them "
                "out"
            )
            return None
        times, holds = camera.on_beats(times, holds, bpm)
    if times[-1] + holds[-1] > MOST_SECONDS:
        length = f"{times[-1] + holds[-1]:.6g}"
        faults.append(f"camera: the film must last at most {MOST_SECONDS:g} s, not {length} s; raise the speed")
        return None
    phases = [good_fields(KeyframeTable, key)["phase"] for key in keyframes]
    return tuple(Keyframe(*parts) for parts in zip(valid_views, times, holds, phases, strict=True))


def _holds(keyframes: list[dict[str, Any]], faults: list[str]) -> list[float] | None:
    holds: list[float | None] = [good_fields(KeyframeTable, key).get("hold_s") for key in keyframes]
    for i, hold in enumerate(holds):
        if hold is not None and 0 < hold < _LEAST_S:
            faults.append(f"camera.keyframes[{i}].hold_s must be 0 or at least {_LEAST_S:g}, not {shown(hold)}")
    return None if None in holds else [hold for hold in holds if hold is not None]


def _speed(raw: dict[str, Any], keyframes: list[dict[str, Any]], faults: list[str]) -> float | None:
    """Return the speed in octaves a second; None if the keyframes have times, which are checked."""
    good = good_fields(CameraTable, raw)
    ways: list[str] = [key for key in ("octaves_per_s", "decades_per_s") if key in raw]
    timed = [i for i, key in enumerate(keyframes) if "time_s" in key]
    if timed:
        ways.append("time_s")
    if len(ways) != 1 and not (len(keyframes) == 1 and not ways):
        faults.append(
            "camera must be timed in exactly one way: octaves_per_s, or decades_per_s, or time_s in every keyframe; "
            f"it has {' and '.join(ways) or 'none of them'}"
        )
        return None
    if not timed:
        # decades a second * octaves a decade
        speed: float | None = good.get("octaves_per_s", good.get("decades_per_s", 0.0) * math.log2(10))
        return speed or None
    for i, key in enumerate(keyframes):
        where = f"camera.keyframes[{i}]"
        here, before = good_fields(KeyframeTable, key), good_fields(KeyframeTable, keyframes[i - 1]) if i else {}
        if "time_s" not in key:
            faults.append(f"{where} must have time_s, as other keyframes have it")
        elif i == 0 and here.get("time_s", 0.0) != 0:
            faults.append(f"{where}.time_s must be 0, where the film begins, not {shown(key['time_s'])}")
        elif "time_s" in here and "time_s" in before and "hold_s" in before:
            least = before["time_s"] + before["hold_s"] + _LEAST_S
            if here["time_s"] < least:
                reason = f"{_LEAST_S:g} after the keyframe before and its hold"
                faults.append(f"{where}.time_s must be at least {least:.12g}, {reason}, not {shown(key['time_s'])}")
    return None
