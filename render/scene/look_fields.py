"""Fields of a scene file that say how pictures look and follow each other: palettes, colours, overlay, frame rate."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from render.geometry import frame_rates
from render.picture import palettes
from render.picture.overlay import PARTS
from render.scene.wording import listed, shown


def _palette(value: object) -> object:
    if isinstance(value, str):
        value = palettes.read(value)
        if isinstance(value, str):
            return value
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a name or a list of colours, not {shown(value)}")
    if not 2 <= len(value) <= palettes.MOST_COLOURS:
        raise ValueError(f"must have 2 to {palettes.MOST_COLOURS} colours, not {len(value)}")
    for i, entry in enumerate(value):
        if not (isinstance(entry, str) and re.fullmatch(_HEX, entry)):
            raise ValueError(f'must have colours such as "#1b1b1f", not {shown(entry)} as number {i}')
    return tuple(value)


def _parts(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and all(part in PARTS for part in value):
        return tuple(value)
    raise ValueError(f"must be true, false, or a list of {listed(PARTS)}, not {shown(value)}")


def _frame_rate(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f'must be a number or a ratio such as "30000/1001", not {shown(value)}')
    if isinstance(value, (int, float)) and not 0 < value <= _MOST_FPS and (value == value and abs(value) != math.inf):
        raise ValueError(f"must be {'> 0' if value <= 0 else f'<= {_MOST_FPS}'}, not {shown(value)}")
    fps = frame_rates.exact(value)
    if not _LEAST_FPS <= fps <= _MOST_FPS:
        bound = "> 0" if fps <= 0 else f">= {_LEAST_FPS:g}" if fps < _LEAST_FPS else f"<= {_MOST_FPS}"
        raise ValueError(f"must be {bound}, not {shown(value)}")
    return fps


# Encoders take no slower film.
_LEAST_FPS, _MOST_FPS = 0.1, 240

_FRAME_RATE_SCHEMA: Any = {
    "anyOf": [
        {"type": "number", "minimum": _LEAST_FPS, "maximum": _MOST_FPS},
        {"type": "string", "pattern": r"^[0-9]+(/[0-9]+|\.[0-9]+)?$"},
    ]
}

_PARTS_SCHEMA: Any = {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"enum": list(PARTS)}}]}
_HEX = "^#[0-9a-fA-F]{6}$"
Colour = Annotated[str, Field(pattern=_HEX)]
_PALETTE_SCHEMA: Any = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {"type": "string", "pattern": _HEX},
            "minItems": 2,
            "maxItems": palettes.MOST_COLOURS,
        },
    ]
}

FrameRate = Annotated[Any, PlainValidator(_frame_rate), WithJsonSchema(_FRAME_RATE_SCHEMA)]
Palette = Annotated[Any, PlainValidator(_palette), WithJsonSchema(_PALETTE_SCHEMA)]
Parts = Annotated[Any, PlainValidator(_parts), WithJsonSchema(_PARTS_SCHEMA)]
