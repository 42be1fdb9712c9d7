"""Fields of a scene file that say how pictures look: palettes, colours, and parts of the overlay."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from render.picture.overlay import PARTS
from render.scene.wording import listed, shown


def _palette(value: object) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ValueError(f"must be a name or a list of colours, not {shown(value)}")
    if not 2 <= len(value) <= 64:
        raise ValueError(f"must have 2 to 64 colours, not {len(value)}")
    for i, entry in enumerate(value):
        if not (isinstance(entry, str) and re.fullmatch(_HEX, entry)):
            raise ValueError(f'must have colours such as "#1b1b1f", not {shown(entry)} as number {i}')
    return value


def _parts(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and all(part in PARTS for part in value):
        return tuple(value)
    raise ValueError(f"must be true, false, or a list of {listed(PARTS)}, not {shown(value)}")


_PARTS_SCHEMA: Any = {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"enum": list(PARTS)}}]}
_HEX = "^#[0-9a-fA-F]{6}$"
Colour = Annotated[str, Field(pattern=_HEX)]
_PALETTE_SCHEMA: Any = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string", "pattern": _HEX}, "minItems": 2, "maxItems": 64},
    ]
}

Palette = Annotated[Any, PlainValidator(_palette), WithJsonSchema(_PALETTE_SCHEMA)]
Parts = Annotated[Any, PlainValidator(_parts), WithJsonSchema(_PARTS_SCHEMA)]
