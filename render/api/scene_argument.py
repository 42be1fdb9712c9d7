"""A check of the first argument of the public functions: it must be a scene, not the name of one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from render.errors import RenderError
from render.scene import Scene

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def takes_scene(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a function whose first argument is a scene raise RenderError, with advice, for a name or anything else."""

    @functools.wraps(function)
    def checked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        given = arguments[0] if arguments else named.get("scene")
        if (arguments or "scene" in named) and not isinstance(given, Scene):
            call = f"render.{function.__name__}"
            name = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
            advice = f"{call}(render.load({name!r:.80}))" if name is not None else "give what render.load returns"
            raise RenderError(f"{call} takes a scene, not {given if name is None else name!r:.80}: {advice}.")
        return function(*arguments, **named)

    return checked
