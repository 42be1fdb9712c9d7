"""Numbers of a scene file: exact decimals, and whole numbers beside words."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from render.geometry import axes
from render.scene.wording import listed, shown


def _number(value: object) -> Fraction:
    """Return a decimal string or a whole number as an exact fraction."""
    if isinstance(value, str):
        if len(value) > 400:
            raise ValueError(f"must have at most 400 digits, not {len(value)}")
        return axes.exact(value)
    if isinstance(value, float):
        given = shown(value)
        if math.isfinite(value):
            raise ValueError(f'must be a quoted decimal such as "{given}", not {given}: bare TOML floats lose digits')
        raise ValueError(f"must be finite, not {given}")
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**400:
            raise ValueError("must have at most 400 digits")
        return Fraction(value)
    # Not a TypeError: pydantic turns only ValueErrors into faults.
    raise ValueError(f'must be a quoted decimal such as "1.5e-3", or a whole number, not {shown(value)}')


def whole_or(names: tuple[str, ...], least: int, most: int) -> PlainValidator:
    """Return what takes one of some words, or a whole number within bounds."""

    def check(value: object) -> object:
        if value in names if isinstance(value, str) else type(value) is int and least <= value <= most:
            return value
        raise ValueError(f"must be {listed(names)} or a whole number {least}..{most}, not {shown(value)}")

    return PlainValidator(check)


def whole_or_schema(names: tuple[str, ...], least: int, most: int) -> WithJsonSchema:
    """Return the schema of the same."""
    return WithJsonSchema({"anyOf": [{"enum": list(names)}, {"type": "integer", "minimum": least, "maximum": most}]})


def _no_float(value: object) -> object:
    """Refuse 8.0 where 8 is one of some numbers: to Python, and so to a Literal, both are the same."""
    if isinstance(value, float):
        raise ValueError(f"must be a whole number, not {shown(value)}")
    return value


no_float = BeforeValidator(_no_float)

Number = Annotated[
    Fraction,
    PlainValidator(_number),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^[+-]?[0-9._]+([eE][+-]?[0-9]+)?$"}, {"type": "integer"}]}
    ),
]
