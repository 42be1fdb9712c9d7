"""Checks of the arguments of the public functions: a scene, not its name, and whole numbers."""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from render.errors import RenderError
from render.scene import Scene

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# Annotations are texts here, as everywhere: `from __future__ import annotations`.
_ANNOTATIONS = {"int", "int | None"}


def takes_scene(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a function whose first argument is a scene raise RenderError, with advice, for a name or anything else.

    Its whole numbers are checked as by `takes_whole_numbers`.
    """
    with_whole_numbers = takes_whole_numbers(function)

    @functools.wraps(function)
    def checked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        given = arguments[0] if arguments else named.get("scene")
        if (arguments or "scene" in named) and not isinstance(given, Scene):
            call = f"render.{function.__name__}"
            name = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
            advice = f"{call}(render.load({name!r:.80}))" if name is not None else "give what render.load returns"
            raise RenderError(f"{call} takes a scene, not {given if name is None else name!r:.80}: {advice}.")
        return with_whole_numbers(*arguments, **named)

    return checked


def takes_whole_numbers(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a function raise RenderError for an argument that must be a whole number and is not, such as 2.5."""
    signature = inspect.signature(function)
    whole_numbers = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.annotation in _ANNOTATIONS
    }

    @functools.wraps(function)
    def checked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        try:
            given = signature.bind_partial(*arguments, **named).arguments
        except TypeError:  # the call below says it in Python's own words
            given = {}
        for name, value in given.items():
            if name in whole_numbers and not (_is_whole(value) or (value is None and whole_numbers[name] is None)):
                raise RenderError(f"render.{function.__name__}: {name} must be a whole number, not {value!r:.80}.")
        return function(*arguments, **named)

    return checked


def _is_whole(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy; True and False are not."""
    try:
        operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return not isinstance(value, bool)
