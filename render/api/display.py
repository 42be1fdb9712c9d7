"""How a notebook shows results: films as players, pictures, and windows with the values of their axes."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from render.picture import colour
from render.picture.channels import channel
from render.picture.colour import Look

if TYPE_CHECKING:
    from render.api.arrays import Window

# A notebook file contains what it shows. Of a larger film only the path is shown, so that saving stays quick.
_MOST_BYTES = 30_000_000

# Media types of films that browsers play.
_PLAYED = {".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/mp4", ".gif": "image/gif", ".webp": "image/webp"}

# About the size at which arrays are shown.
_SHOWN_PX = 384


class Stills(list[Path]):
    """Paths of pictures, as a list; a notebook shows the pictures."""

    def _repr_html_(self) -> str:
        return "".join(f"<figure>{_embedded(path, 'image/png')}{_caption(path)}</figure>" for path in self)


def player(path: Path) -> str:
    """Return a film as HTML: a player that contains it if browsers play it and it is not too large, and its path."""
    kind = _PLAYED.get(path.suffix)
    try:
        small = path.is_file() and path.stat().st_size <= _MOST_BYTES
    except OSError:
        small = False
    return f"<figure>{_embedded(path, kind) if kind and small else ''}{_caption(path)}</figure>"


def window(shown: Window) -> str:
    """Return a window as HTML: a picture of its values, and a table of its axes and channels."""
    values = channel(Look.channel).signed(shown.field)
    curve = colour.curve_from_values(values[np.isfinite(values)], Look.gap)
    linear = colour.linear_from_tone(curve.tone(np.nan_to_num(values)), Look.palette)
    picture = Image.fromarray(colour.srgb8_from_linear(linear)[::-1])
    scale = max(1, _SHOWN_PX // max(picture.size))
    file = io.BytesIO()
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(file, "PNG")
    table = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in _facts(shown).items())
    return f'<figure><img src="{_data(file.getvalue(), "image/png")}"><table>{table}</table></figure>'


def sentence(shown: Window) -> str:
    """Return a window on one line, without its arrays."""
    return f"Window({'; '.join(f'{name}: {text}' for name, text in _facts(shown).items())})"


def _facts(shown: Window) -> dict[str, str]:
    return {
        "x": _ends(shown.x),
        "y": _ends(shown.y),
        "level": str(shown.level),
        "converged": f"{np.mean(shown.field.value < 0):.1%} of {shown.field.value.size:,}",
        "channels": ", ".join(shown.field.channels()),
    }


def _ends(values: Sequence[float] | np.ndarray) -> str:
    return f"{len(values)} values from {values[0]:.6g} to {values[-1]:.6g}"


def _embedded(path: Path, kind: str) -> str:
    try:
        data = _data(path.read_bytes(), kind)
    except OSError:  # moved since
        return ""
    if kind.startswith("image/"):
        return f'<img src="{data}">'
    return f'<video controls loop muted playsinline style="max-width: 100%" src="{data}"></video>'


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _caption(path: Path) -> str:
    return f"<figcaption>{html.escape(str(path))}</figcaption>"
