"""A selection of the frames of a film: numbers, fractions, seconds, ranges and lists of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from render.errors import RenderError

FORMS = "120, -1, 50%, last, t=12.5s, ranges such as 0..99 or 0..last with a step as 0..99:10, or lists of these"

_STEP = re.compile(r"(.*):(\d+)")
_DASHED = re.compile(r"(\d+)-(\d+)")


def numbers(selections: Iterable[str | int], count: int, duration_s: float) -> list[int]:
    """Return the frames that texts, or numbers, select, in the order given, each once. Raises RenderError for others.

    "120"; "-1" counts from the end; "50%" and "t=12.5s" are places in the film; "last". "9..20", or "9-20", is a range
    with both ends, "9.." goes on to the last frame, and "0..99:10" is every tenth frame of a range. Commas make lists.
    """
    chosen: dict[int, None] = {}
    for text in (part.strip() for selection in selections for part in str(selection).split(",")):
        interval, step = (match[1], int(match[2])) if (match := _STEP.fullmatch(text)) else (text, 1)
        if step < 1:
            raise RenderError(f"the step of frames must be at least 1, not {text!r}.")
        interval = _DASHED.sub(r"\1..\2", interval) if _DASHED.fullmatch(interval) else interval
        first, dots, last = interval.partition("..")
        a = _number(first or ("0" if dots else ""), text, count, duration_s)
        b = _number(last or "last", text, count, duration_s) if dots else a
        if b < a:
            raise RenderError(f"frames must run upwards, not {text!r}.")
        chosen.update(dict.fromkeys(range(a, b + 1, step)))
    return list(chosen)


def _number(text: str, given: str, count: int, duration_s: float) -> int:
    try:
        if text == "last":
            number = count - 1
        elif text.endswith("%"):
            number = round(float(text[:-1]) / 100 * (count - 1))
        elif text.startswith("t="):
            number = round(float(text[2:].removesuffix("s")) / max(duration_s, 1e-9) * (count - 1))
        else:
            number = int(text)
            number += count if -count <= number < 0 else 0
    except (ValueError, OverflowError):
        raise RenderError(f"frames must be {FORMS}; not {given!r}.") from None
    if not 0 <= number < count:
        raise RenderError(
            f"frame {text} must lie within the film: 0 to {count - 1} (0% to 100%, t=0s to {duration_s:g}s)."
        )
    return number
