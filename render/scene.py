"""Scene files: TOML text -> a validated Scene, with every fault found at once and located by its key path.

The tables below are the file's layout, and pydantic knows them only here. What spans several fields (the axes and
the learning rates they set, keyframes inside the plane, timing) is checked on whatever fields are good by
themselves, so one fault never hides another.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from render import axes, camera
from render.axes import Axis
from render.camera import Keyframe, View
from render.colour import Look, check_palette
from render.errors import SceneError
from render.problem import HYPERPARAMETERS, Problem

MOST_BYTES = 1_000_000
MOST_KEYFRAMES = 200
MOST_SECONDS = 3600.0
MOST_FAULTS = 40
MOST_DOTS = 100  # on a line
SIZE_PX = (16, 16384)

# Arrivals and holds closer than this cannot be told apart on a timeline of an hour at any frame rate allowed.
_LEAST_S = 1e-3

# Values beyond these have no float64, and views below them no float64 width.
_LARGEST_POSITION = {"log10": Fraction(300), "linear": Fraction(10) ** 300}
_LEAST_SPAN = Fraction(1, 10**300)
_LEAST_WIDTH_UNIT = 1e-100
_MOST_WIDTH_UNIT = 8


@dataclass(frozen=True)
class Output:
    """How a film is sampled and encoded.

    width_px, height_px: even, 16..16384. fps: frames a second. crf: the encoder's quality, 0 (lossless) to 51.
    detail: least number of samples per pixel (linear) anywhere in a frame, > 0.
    rest_detail: the same at views where the camera rests (holds, both ends of the film), >= detail.
    """

    width_px: int = 1920
    height_px: int = 1080
    fps: float = 30
    codec: Literal["h264", "hevc"] = "h264"
    crf: int = 16
    detail: float = 0.71
    rest_detail: float = 1.0
    overlay: bool = True


@dataclass(frozen=True)
class Scene:
    """A validated scene: what is trained (problem), what is looked at, how it is coloured and encoded.

    name: of the file, without its suffix. text: the TOML it came from.
    """

    name: str
    problem: Problem
    keyframes: tuple[Keyframe, ...]
    easing: camera.Easing
    look: Look = field(default_factory=Look)
    output: Output = field(default_factory=Output)
    text: str = ""

    def path(self, output: Output) -> camera.Path:
        """Return the camera's path for frames of this output's shape."""
        return camera.Path(self.keyframes, (output.width_px, output.height_px), self.easing)


@dataclass(frozen=True)
class Quality:
    """A row of QUALITY: the fields of Output that it replaces."""

    height_px: int
    fps: float
    detail: float
    rest_detail: float


# In rising order of cost. The two smallest are for machines without an accelerator: on a film, what costs is the
# lattice across a frame (2 * detail * width_px samples), hardly the frame's size, so they are large and soft.
QUALITY = {
    "preview": Quality(216, 24, 0.08, 0.2),
    "soft": Quality(360, 30, 0.06, 0.2),
    "draft": Quality(540, 30, 0.1, 0.25),
    "fine": Quality(720, 30, 0.18, 0.5),
    "hd": Quality(1080, 30, 0.71, 1.0),
    "full": Quality(1080, 60, 1.0, 1.0),
    "uhd": Quality(2160, 60, 0.71, 1.0),
}


def with_quality(scene: Scene, name: str) -> Scene:
    """Return the scene with a preset's height, frame rate and detail, at its own aspect ratio."""
    if name not in QUALITY:
        raise SceneError(
            f"quality must be one of {_list(QUALITY)}, not {_quoted(name)}{_nearest(name, QUALITY) or '.'}"
        )
    row = QUALITY[name]
    width_px = 2 * round(row.height_px * scene.output.width_px / scene.output.height_px / 2)
    height_px = 2 * round(row.height_px / 2)
    if not SIZE_PX[0] <= width_px <= SIZE_PX[1]:
        shape = f"{scene.output.width_px} x {scene.output.height_px}"
        raise SceneError(
            f"quality {_quoted(name)} gives the scene's shape {shape} a width of {width_px} pixels; "
            f"it must be {SIZE_PX[0]} to {SIZE_PX[1]}. Choose another quality, or a less extreme output.size."
        )
    output = replace(scene.output, width_px=width_px, height_px=height_px, fps=row.fps)
    return replace(scene, output=replace(output, detail=row.detail, rest_detail=row.rest_detail))


# ---- The layout of the file ----------------------------------------------------------------------------------------


def _number(value: object) -> Fraction:
    """Return a decimal string or a whole number as an exact fraction."""
    if isinstance(value, str):
        if len(value) > 400:
            raise ValueError(f"must have at most 400 digits, not {len(value)}")
        return axes.exact(value)
    if isinstance(value, float):
        shown = _shown(value)
        if math.isfinite(value):
            raise ValueError(f'must be a quoted decimal such as "{shown}", not {shown}: bare TOML floats lose digits')
        raise ValueError(f"must be finite, not {shown}")
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**400:
            raise ValueError("must have at most 400 digits")
        return Fraction(value)
    # Not a TypeError: pydantic turns only ValueErrors into faults.
    raise ValueError(f'must be a quoted decimal such as "1.5e-3", or a whole number, not {_shown(value)}')


def _whole_or(names: tuple[str, ...], most: int = 1_000_000) -> PlainValidator:
    def check(value: object) -> object:
        if value in names if isinstance(value, str) else type(value) is int and 1 <= value <= most:
            return value
        raise ValueError(f"must be {_list(names)} or a whole number 1..{most}, not {_shown(value)}")

    return PlainValidator(check)


def _whole_or_schema(names: tuple[str, ...], most: int = 1_000_000) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"enum": list(names)}, {"type": "integer", "minimum": 1, "maximum": most}]})


_EXAMPLES, _BATCH = ("parameters", "inputs"), ("full",)
_Number = Annotated[
    Fraction,
    PlainValidator(_number),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^[+-]?[0-9._]+([eE][+-]?[0-9]+)?$"}, {"type": "integer"}]}
    ),
]
_Pair = Annotated[list[_Number], Field(min_length=2, max_length=2)]
_Even = Annotated[int, Field(ge=SIZE_PX[0], le=SIZE_PX[1], multiple_of=2)]
_Positive = Annotated[float, Field(gt=0)]
_Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS)]


def _absent(description: str) -> Any:
    """A field that a person may leave out. TOML has no null, so its type stays that of the value."""
    return Field(default=None, description=description, json_schema_extra=_no_default)


def _no_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class AxisTable(_Table):
    """One axis of the plane; needs range or range_log10."""

    name: Literal["lr", "lr_input", "lr_output", "offset", "init_mean"]
    """The hyperparameter that varies along this axis."""
    scale: Literal["log10", "linear"] = "log10"
    """What the axis is even in."""
    range: _Pair = _absent("Both ends in the hyperparameter's units, as quoted decimals.")
    range_log10: _Pair = _absent("Both ends as log10 of the value, as quoted decimals.")


# One optional number for each hyperparameter: a misspelt one is an unknown field like any other.
FixedTable: type[_Table] = create_model(  # type: ignore[call-overload]
    "FixedTable",
    __base__=_Table,
    __doc__="Hyperparameters that are not on an axis.",
    **{name: (float, _absent(text)) for name, text in HYPERPARAMETERS.items()},
)


class ProblemTable(_Table):
    """Everything that decides a sample's value; a change trains everything anew."""

    x: AxisTable
    y: AxisTable
    system: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=1, le=4096)] = 16
    """Units per hidden layer, and inputs."""
    depth: Annotated[int, Field(ge=2, le=64)] = 2
    """Number of weight matrices."""
    activation: Literal["tanh", "relu", "identity"] = "tanh"
    data: Literal["gaussian"] = "gaussian"
    examples: Annotated[int | str, _whole_or(_EXAMPLES), _whole_or_schema(_EXAMPLES)] = "parameters"
    """Random examples: as many as the net has parameters, or inputs, or a number."""
    batch: Annotated[int | str, _whole_or(_BATCH), _whole_or_schema(_BATCH)] = "full"
    """Examples per gradient, drawn with replacement; or the full set."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Training steps of every sample."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Of weights and data."""
    measure: Literal["published"] = "published"
    fixed: FixedTable = Field(default_factory=lambda: FixedTable())  # type: ignore[valid-type]


class KeyframeTable(_Table):
    """A resting place of the camera; needs centre or centre_log10, and width_decades or width."""

    centre: _Pair = _absent("x and y in the hyperparameters' units, as quoted decimals.")
    centre_log10: _Pair = _absent("log10 of x and of y, as quoted decimals.")
    width_decades: _Positive = _absent("Width of the view in decades of a log10 x axis.")
    width: _Positive = _absent("Width of the view in the units of a linear x axis.")
    time_s: _Seconds = _absent("Second at which the camera arrives; only in a camera without a speed.")
    hold_s: _Seconds = 0.0
    """Seconds of rest after arrival."""


class CameraTable(_Table):
    """The camera's path; timed by a speed, or by time_s in every keyframe."""

    keyframes: Annotated[list[KeyframeTable], Field(min_length=1, max_length=MOST_KEYFRAMES)]
    easing: camera.Easing = "smooth"
    octaves_per_s: _Positive = _absent("Mean zoom speed in doublings a second; the published films have 0.667.")
    decades_per_s: _Positive = _absent("Mean zoom speed in factors of ten a second.")


class LookTable(_Table):
    """How samples are coloured; a change trains nothing."""

    palette: str = Look.palette
    """A colour map of the cmap catalogue."""
    equalise: Literal["octave", "film"] = Look.equalise
    """Over what the ranks of samples are spread evenly."""
    gap: Annotated[float, Field(ge=0, le=0.9)] = Look.gap
    """Share of the palette left out around the boundary."""
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = Look.background
    """Colour outside the plane."""


class OutputTable(_Table):
    """How the film is sampled and encoded."""

    size: Annotated[list[_Even], Field(min_length=2, max_length=2)] = [Output.width_px, Output.height_px]
    """Width and height in pixels; even."""
    fps: Annotated[float, Field(gt=0, le=240)] = Output.fps
    """Frames a second."""
    codec: Literal["h264", "hevc"] = Output.codec
    crf: Annotated[int, Field(ge=0, le=51)] = Output.crf
    """The encoder's quality: 0 is lossless, 51 the worst."""
    detail: Annotated[float, Field(gt=0, le=4)] = Output.detail
    """Least number of samples per pixel (linear) anywhere in a frame."""
    rest_detail: Annotated[float, Field(gt=0, le=4)] = Output.rest_detail
    """The same where the camera rests."""
    overlay: bool = Output.overlay
    """Axes and captions on the frames."""


class SceneTable(_Table):
    """A scene of the film renderer."""

    problem: ProblemTable
    camera: CameraTable
    look: LookTable = Field(default_factory=LookTable)
    output: OutputTable = Field(default_factory=OutputTable)


# The table that each key path leads to, list positions left out.
_TABLES: dict[tuple[str, ...], type[_Table]] = {
    (): SceneTable,
    ("problem",): ProblemTable,
    ("problem", "x"): AxisTable,
    ("problem", "y"): AxisTable,
    ("problem", "fixed"): FixedTable,
    ("camera",): CameraTable,
    ("camera", "keyframes"): KeyframeTable,
    ("look",): LookTable,
    ("output",): OutputTable,
}


def schema() -> dict[str, Any]:
    """Return the JSON schema of a scene file, for editors."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **SceneTable.model_json_schema()}


# ---- From text to a Scene ------------------------------------------------------------------------------------------


def parse(text: str, source: str, name: str) -> Scene:
    """Return the scene that a TOML text describes. source: what to call the text in messages, mostly its path."""
    raw = _toml(text, source)
    faults: list[str] = []
    try:
        SceneTable.model_validate(raw)
    except ValidationError as error:
        faults += [_fault(e) for e in error.errors(include_url=False)]
    scene = _assemble(raw, faults, name, text)
    if scene is None or faults:
        lines = [f"{source}: {fault}{'' if fault.endswith('?') else '.'}" for fault in dict.fromkeys(faults)]
        if len(lines) > MOST_FAULTS:
            lines = [*lines[:MOST_FAULTS], f"{source}: and {len(lines) - MOST_FAULTS} more faults."]
        raise SceneError(*lines)
    return scene


def _toml(text: str, source: str) -> dict[str, Any]:
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
    problem = _problem(problem_raw, x, y, faults)
    look, output = _look(raw.get("look", {}), faults), _output(raw.get("output", {}), faults)
    keyframes = _keyframes(camera_raw, x, y, output, faults)
    if faults or problem is None or look is None or output is None or keyframes is None:
        return None
    return Scene(name, problem, keyframes, _good(CameraTable, camera_raw)["easing"], look, output, text)


def _good(table: type[_Table], raw: object) -> dict[str, Any]:
    """Return the fields of a table that are valid by themselves, defaults included."""
    if not isinstance(raw, dict):
        return {}
    good: dict[str, Any] = {}
    blank = table.model_construct()
    for key, info in table.model_fields.items():
        if key in raw:
            try:
                table.__pydantic_validator__.validate_assignment(blank, key, raw[key])
            except ValidationError:
                continue
            good[key] = getattr(blank, key)
        elif not info.is_required() and (value := info.get_default(call_default_factory=True)) is not None:
            good[key] = value
    return good


def _one_of(raw: dict[str, Any], where: str, first: str, second: str, faults: list[str]) -> str | None:
    """Return which of two keys a table has; it must have exactly one."""
    present = [key for key in (first, second) if key in raw]
    if len(present) == 1:
        return present[0]
    faults.append(f"{where} must have exactly one of {first} and {second}, not {'both' if present else 'neither'}")
    return None


def _axis(problem_raw: object, which: str, faults: list[str]) -> Axis | None:
    raw = problem_raw.get(which) if isinstance(problem_raw, dict) else None
    if not isinstance(raw, dict):
        return None
    where, good = f"problem.{which}", _good(AxisTable, raw)
    key = _one_of(raw, where, "range", "range_log10", faults)
    if key not in good or "scale" not in good:
        return None
    scale: Literal["log10", "linear"] = good["scale"]
    ends: list[Fraction] = good[key]
    if key == "range_log10" and scale == "linear":
        faults.append(f'{where}.range_log10 needs scale = "log10"; give range')
        return None
    if key == "range" and scale == "log10":
        if bad := [i for i, end in enumerate(ends) if end <= 0]:
            faults += [f"{where}.range[{i}] must be > 0 on a log10 axis, not {_shown(raw[key][i])}" for i in bad]
            return None
        unit_axis = Axis("", "log10", Fraction(0), Fraction(1))
        ends = [unit_axis.position_from_value(end) for end in ends]
    lo, hi = ends
    most = _LARGEST_POSITION[scale]
    if too_large := [i for i, end in enumerate(ends) if abs(end) > most]:
        limit = "between 1e-300 and 1e300" if scale == "log10" else "within +-1e300"
        faults += [f"{where}.{key}[{i}] must be a value {limit}, not {_shown(raw[key][i])}" for i in too_large]
        return None
    if not lo < hi:
        shown = f"{_shown(raw[key][0])} and {_shown(raw[key][1])}"
        faults.append(f"{where}.{key} must rise from a lower to a higher value, not {shown}")
        return None
    axis = Axis(good.get("name", which), scale, lo, hi)
    if axis.span < _LEAST_SPAN or axis.deepest_level < 0:
        faults.append(f"{where}.{key} must be wide enough for float64 to tell its samples apart; widen it")
        return None
    return axis if "name" in good else replace(axis, name="")


def _problem(raw: object, x: Axis | None, y: Axis | None, faults: list[str]) -> Problem | None:
    if not isinstance(raw, dict):
        return None
    names = {which: _good(AxisTable, raw.get(which)).get("name") for which in ("x", "y")}
    fixed = _good(FixedTable, raw.get("fixed", {}))
    if names["x"] is not None and names["x"] == names["y"]:
        faults.append(f"problem.y.name must differ from problem.x.name, not be {_quoted(names['x'])} again")
    for which, name in names.items():
        if name in fixed:
            faults.append(f"problem.fixed.{name} must not repeat the {which} axis; remove one of them")
    set_names = {name for name in names.values() if name} | set(fixed)
    missing = []
    for layer in ("input", "output"):
        ways = sorted({"lr", f"lr_{layer}"} & set_names)
        if len(ways) == 2:
            both = f"by {_quoted(ways[0])} and by {_quoted(ways[1])}"
            faults.append(f"problem must set the {layer} layer's learning rate once, not {both}; remove one of them")
        elif not ways:
            missing.append(layer)
    # A name that is itself at fault may be the very one that is missing.
    if missing and all(names.values()) and len(fixed) == len(raw.get("fixed", {})):
        wanted = '"lr"' if len(missing) == 2 else f'"lr_{missing[0]}"'
        layers = " and the ".join(f"{layer} layer" for layer in missing)
        faults.append(
            f"problem must set the learning rate of the {layers}; put {wanted} on an axis or into [problem.fixed]"
        )
    good = _good(ProblemTable, {k: v for k, v in raw.items() if k not in ("x", "y", "fixed")})
    if faults or x is None or y is None:
        return None
    del good["fixed"]
    batch = None if good.pop("batch") == "full" else raw["batch"]
    return Problem(x=x, y=y, batch=batch, fixed=tuple(sorted(fixed.items())), **good)


def _look(raw: object, faults: list[str]) -> Look | None:
    good = _good(LookTable, raw)
    if "palette" in good:
        try:
            check_palette(good["palette"])
        except ValueError as error:
            faults.append(f"look.palette: {str(error).rstrip('.')}")
            return None
    return Look(**good) if len(good) == len(LookTable.model_fields) else None


def _output(raw: object, faults: list[str]) -> Output | None:
    good = _good(OutputTable, raw)
    if len(good) < len(OutputTable.model_fields):
        return None
    width_px, height_px = good.pop("size")
    if "rest_detail" not in raw:  # type: ignore[operator]
        good["rest_detail"] = max(good["rest_detail"], good["detail"])
    if good["rest_detail"] < good["detail"]:
        least, given = _shown(good["detail"]), _shown(good["rest_detail"])
        faults.append(f"output.rest_detail must be at least output.detail = {least}, not {given}")
        return None
    return Output(width_px, height_px, **good)


def _keyframes(
    raw: object, x: Axis | None, y: Axis | None, output: Output | None, faults: list[str]
) -> tuple[Keyframe, ...] | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("keyframes"), list):
        return None
    keyframes = [k for k in raw["keyframes"][:MOST_KEYFRAMES] if isinstance(k, dict)]
    views = [_view(key, f"camera.keyframes[{i}]", x, y, faults) for i, key in enumerate(keyframes)]
    holds = _holds(keyframes, faults)
    speed = _speed(raw, keyframes, faults)
    if not keyframes or faults or output is None or holds is None:
        return None  # how long the film lasts is not known yet
    whole = [view for view in views if view is not None]
    if speed is not None:
        size_px = (output.width_px, output.height_px)
        times = camera.times_from_speed(whole, size_px, holds, speed)
    else:
        times = [float(key.get("time_s", 0.0)) for key in keyframes]
    if times[-1] + holds[-1] > MOST_SECONDS:
        length = f"{times[-1] + holds[-1]:.6g}"
        faults.append(f"camera: the film must last at most {MOST_SECONDS:g} s, not {length} s; raise the speed")
        return None
    return tuple(Keyframe(*parts) for parts in zip(whole, times, holds, strict=True))


def _view(raw: dict[str, Any], where: str, x: Axis | None, y: Axis | None, faults: list[str]) -> View | None:
    good = _good(KeyframeTable, raw)
    centre_key = _one_of(raw, where, "centre", "centre_log10", faults)
    if x is None or y is None:
        _one_of(raw, where, "width_decades", "width", faults)
        return None
    centre: list[Fraction] = []
    for i, (which, axis) in enumerate((("x", x), ("y", y))):
        if centre_key not in good:
            break
        at, position = f"{where}.{centre_key}[{i}]", good[centre_key][i]
        if axis.scale == "linear" and centre_key == "centre_log10":
            faults.append(f"{where}.centre_log10 needs two log10 axes, and the {which} axis is linear; give centre")
            break
        if axis.scale == "log10" and centre_key == "centre":
            if position <= 0:
                faults.append(f"{at} must be > 0 on the log10 {which} axis, not {_shown(raw[centre_key][i])}")
                continue
            position = axis.position_from_value(position)
        unit = axis.unit_from_position(position)
        if 0 <= unit <= 1:
            centre.append(unit)
        else:
            runs = f"{'log10 runs' if axis.scale == 'log10' else 'values run'} from {float(axis.lo):.12g}"
            faults.append(
                f"{at} must lie on the {which} axis, whose {runs} to {float(axis.hi):.12g}, "
                f"not {_shown(raw[centre_key][i])}"
            )
    width = _width(raw, good, where, x, faults)
    return View(centre[0], centre[1], width) if len(centre) == 2 and width is not None else None


def _width(raw: dict[str, Any], good: dict[str, Any], where: str, x: Axis, faults: list[str]) -> float | None:
    wanted, other, unit = "width_decades", "width", "decades"
    if x.scale == "linear":
        wanted, other, unit = other, wanted, "units"
    if other in raw:
        faults.append(f"{where} must have {wanted} on a {x.scale} x axis, not {other}")
    elif wanted not in raw:
        faults.append(f"{where} must have {wanted}")
    if other in raw or wanted not in good:
        return None
    span = float(x.span)
    width: float = good[wanted] / span
    if width > _MOST_WIDTH_UNIT:
        limit = f"{_MOST_WIDTH_UNIT * span:.12g} ({_MOST_WIDTH_UNIT} times the x axis of {span:.12g} {unit})"
        faults.append(f"{where}.{wanted} must be at most {limit}, not {_shown(raw[wanted])}")
        return None
    if width < _LEAST_WIDTH_UNIT:
        limit = f"{_LEAST_WIDTH_UNIT * span:g}"
        faults.append(f"{where}.{wanted} must be at least {limit}, not {_shown(raw[wanted])}")
        return None
    return width


def _holds(keyframes: list[dict[str, Any]], faults: list[str]) -> list[float] | None:
    holds: list[float | None] = [_good(KeyframeTable, key).get("hold_s") for key in keyframes]
    for i, hold in enumerate(holds):
        if hold is not None and 0 < hold < _LEAST_S:
            faults.append(f"camera.keyframes[{i}].hold_s must be 0 or at least {_LEAST_S:g}, not {_shown(hold)}")
    return None if None in holds else [hold for hold in holds if hold is not None]


def _speed(raw: dict[str, Any], keyframes: list[dict[str, Any]], faults: list[str]) -> float | None:
    """Return the speed in octaves a second; None if the keyframes have times, which are checked."""
    good = _good(CameraTable, raw)
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
        here, before = _good(KeyframeTable, key), _good(KeyframeTable, keyframes[i - 1]) if i else {}
        if "time_s" not in key:
            faults.append(f"{where} must have time_s, as other keyframes have it")
        elif i == 0 and here.get("time_s", 0.0) != 0:
            faults.append(f"{where}.time_s must be 0, where the film begins, not {_shown(key['time_s'])}")
        elif "time_s" in here and "time_s" in before and "hold_s" in before:
            least = before["time_s"] + before["hold_s"] + _LEAST_S
            if here["time_s"] < least:
                reason = f"{_LEAST_S:g} after the keyframe before and its hold"
                faults.append(f"{where}.time_s must be at least {least:.12g}, {reason}, not {_shown(key['time_s'])}")
    return None


# ---- Words ---------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    """Return text in quotes, cut, and with nothing in it that could steer a terminal."""
    text = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + '"'


def _shown(value: object) -> str:
    """Return a TOML value the way its author would write it; tables and lists by their kind."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    if isinstance(value, (int, float)):
        return re.sub(r"e([+-])0(\d)$", r"e\1\2", repr(value))
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)[:60]


def _list(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _nearest(name: str, names: Any) -> str:
    name, names = name[:100], list(names)
    near = difflib.get_close_matches(name, names, n=1)
    if not near:  # a looser match if at least the first letter is right
        near = difflib.get_close_matches(name, [other for other in names if other[:1] == name[:1]], n=1, cutoff=0.4)
    return f'; did you mean "{near[0]}"?' if near else ""


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a table",
    "finite_number": "finite",
    "string_pattern_mismatch": 'a colour such as "#1b1b1f"',
}
_BOUNDS = {"greater_than": (">", "gt"), "greater_than_equal": (">=", "ge"), "less_than_equal": ("<=", "le")}


def _fault(error: Any) -> str:
    """Say one of pydantic's errors in a sentence of our own, without its full stop."""
    kind, loc, given, context = error["type"], error["loc"], error["input"], error.get("ctx", {})
    where = _key_path(loc)
    if kind == "extra_forbidden":
        names = list(_TABLES[tuple(part for part in loc[:-1] if isinstance(part, str))].model_fields)
        hint = _nearest(loc[-1], names) or f"; its fields are {', '.join(names)}"
        return f"{_key_path(loc[:-1]) or 'the scene'} has no field {_quoted(loc[-1])}{hint}"
    if kind == "missing":
        return f"{_key_path(loc[:-1]) or 'the scene'} must have {loc[-1]}"
    if kind == "literal_error":
        names = re.findall("'([^']*)'", context["expected"])
        must = f"must be one of {_list(names)}" if len(names) > 1 else f"must be {_list(names)}"
        return f"{where} {must}, not {_shown(given)}{_nearest(given, names) if isinstance(given, str) else ''}"
    if kind in _BOUNDS:
        sign, key = _BOUNDS[kind]
        return f"{where} must be {sign} {context[key]:.12g}, not {_shown(given)}"
    if kind == "multiple_of":
        return f"{where} must be even, not {_shown(given)}"
    if kind in ("too_short", "too_long"):
        limit = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"{where} must have {limit} entries, not {len(given)}"
    if kind == "value_error":
        return f"{where} {context['error']}"
    if kind == "float_type" and type(given) is int:
        return f"{where} must be within float64's range"
    if kind in _KINDS:
        return f"{where} must be {_KINDS[kind]}, not {_shown(given)}"
    return f"{where} is not valid: {error['msg']}"


# ---- Files ---------------------------------------------------------------------------------------------------------


def _folders() -> list[Path]:
    """Where scenes are looked up by name: here, and beside the package of a checkout."""
    return [Path("scenes"), Path(__file__).resolve().parent.parent / "scenes"]


def _kind(path: Path) -> Literal["file", "folder", "other", "none"]:
    try:
        if path.is_file():
            return "file"
        return "folder" if path.is_dir() else "other" if os.path.lexists(path) else "none"
    except (OSError, ValueError):  # too long, a loop of links, not permitted, a NUL
        return "none"


def find(name_or_path: str | Path) -> Path:
    """Return the file of a scene, given its path, or its name in ./scenes or in a checkout's scenes folder."""
    given = str(name_or_path)
    candidates = [Path(given), Path(given + ".toml")]
    if Path(given).name == given:  # a plain name: no folder, no tricks
        candidates += [folder / name for folder in _folders() for name in (given, given + ".toml")]
    for path in candidates:
        if _kind(path) == "file" and path.suffix == ".toml":
            return path
    kind = _kind(Path(given)) if given else "none"
    if kind == "file":
        raise SceneError(f'{_quoted(given)} is not a scene: a scene file ends in ".toml".')
    if kind == "folder":
        raise SceneError(f"{_quoted(given)} is a folder; give the scene file in it.")
    if kind == "other":
        raise SceneError(f"{_quoted(given)} is not a file that can be read.")
    names = sorted({path.stem for folder in _folders() if _kind(folder) == "folder" for path in folder.glob("*.toml")})
    there = f"The scenes are {', '.join(names)}" if names else "There are no scenes in ./scenes either"
    raise SceneError(f"There is no scene {_quoted(given)}{_nearest(Path(given).stem, names) or '.'} {there}.")


def load(name_or_path: str | Path) -> Scene:
    """Return the scene of a file, given its path or name."""
    path = find(name_or_path)
    source = _quoted(str(path))[1:-1] if len(str(path)) <= 60 else str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SceneError(f"{source}: cannot be read ({error.strerror}).") from None
    if len(content) > MOST_BYTES:
        raise SceneError(f"{source}: a scene file must have at most {MOST_BYTES} bytes.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SceneError(f"{source}: must be UTF-8 text; byte {error.start} is not.") from None
    return parse(text, source, path.stem)
