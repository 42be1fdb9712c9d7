"""The files of an analysis: JSON with every number, and a plot. Each is written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from render.files.atomic import write_whole


def facts(result: Any, **more: object) -> dict[str, Any]:
    """Return a result (a dataclass) and further facts as JSON has them; what is not finite becomes null."""
    return {name: _plain(value) for name, value in (dataclasses.asdict(result) | more).items()}


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write facts as JSON."""
    write_whole(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
