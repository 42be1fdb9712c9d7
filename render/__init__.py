"""Films that zoom through the landscape of neural-network training.

    import render

    scene = render.load("tanh")
    print(render.plan(scene, quality="preview").facts())
    film = render.video(scene, quality="preview")
    window = render.field(scene, samples=256)

Importing this package loads nothing else, so that `render --help` starts quickly; the names of `__all__` are loaded
from render.api when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render.api import (
        Film,
        Listener,
        Outlook,
        PosterPlan,
        Progress,
        Published,
        RenderError,
        Scene,
        Window,
        contact_sheet,
        convert,
        descend,
        explore,
        export,
        export_frames,
        field,
        frame,
        load,
        pictures,
        plan,
        plan_poster,
        poster,
        probe,
        publish,
        recolour,
        trust,
        video,
        watching,
    )

__version__ = "0.2.0"

__all__ = [
    "Film",
    "Listener",
    "Outlook",
    "PosterPlan",
    "Progress",
    "Published",
    "RenderError",
    "Scene",
    "Window",
    "contact_sheet",
    "convert",
    "descend",
    "explore",
    "export",
    "export_frames",
    "field",
    "frame",
    "load",
    "pictures",
    "plan",
    "plan_poster",
    "poster",
    "probe",
    "publish",
    "recolour",
    "trust",
    "video",
    "watching",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("render.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
