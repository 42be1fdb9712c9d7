"""`render systems`: the catalogue in words, and which scenes show each system. Loads no JAX."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from render import scene
from render.cli import messages
from render.errors import RenderError, SceneError
from render.problem import catalogue, own_model
from render.problem.catalogue import SYSTEMS, Hyperparameter, Setting, System
from render.scene import own_files
from render.scene.wording import listed, nearest, quoted

_out = Console(highlight=False)


def show(name: str | None) -> None:
    """Print all systems, or what a scene may set of one: of the catalogue, a user's file, or an installed package."""
    if name is not None:
        name = own_files.named(name, Path.cwd()) or name
    if name is not None and name not in SYSTEMS and not own_model.is_own(name):
        known = [*SYSTEMS, *own_files.offered()]
        raise RenderError(
            f"a system must be one of {listed(known)}, or a file that ends in .py, not "
            f"{quoted(name)}{nearest(name, known) or '.'}"
        )
    if messages.speaks_json():
        scenes = _scenes()
        for one in _names() if name is None else [name]:
            messages.result("system", "", **_facts(one, scenes[one]))
    elif name is None:
        _show_all()
    else:
        _show_one(name)


def _names() -> list[str]:
    """Return the systems of the catalogue, and those that installed packages offer."""
    return [*SYSTEMS, *(system for name in own_files.offered() if (system := own_files.named(name, None)) is not None)]


def _facts(name: str, scenes: list[str]) -> dict[str, Any]:
    row = catalogue.row(name)
    axes = {n: {"label": h.label, "default": h.default} for n, h in row.hyperparameters.items()}
    settings = {n: {"default": s.written(s.default), "may_be": _choices(s)} for n, s in row.settings.items()}
    return {
        "name": name, "title": row.title, "source": row.source, "axes": axes, "settings": settings, "steps": row.steps,
        "measures": row.measures, "channels": dict(row.channels), "scenes": scenes,
    }  # fmt: skip


def _show_all() -> None:
    scenes = _scenes()
    for name in _names():
        row = catalogue.row(name)
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=8)
        table.add_row(f"[bold]{name}[/bold]", row.title)
        table.add_row("", f"Source: {row.source}.")
        table.add_row("axes", ", ".join(_brief(n, h) for n, h in row.hyperparameters.items()))
        if row.settings:
            table.add_row("settings", ", ".join(f"{n} = {_shown(s)}" for n, s in row.settings.items()))
        if row.channels:
            table.add_row("channels", ", ".join(row.channels))
        table.add_row("scenes", ", ".join(scenes[name]) or "none found here")
        _out.print(table)
        _out.print()
    _out.print("Any axis may instead be fixed, in \\[problem.fixed]. More on one: render systems NAME")


def _show_one(name: str) -> None:
    row = catalogue.row(name)
    _out.print(
        f"[bold]{name}[/bold]: {row.title}.\nSource: {row.source}. Scenes: {', '.join(_scenes()[name]) or 'none'}.\n"
    )
    axes = Table("axis or fixed value", "default", "what it is", box=None, padding=(0, 2, 0, 0))
    for key, h in row.hyperparameters.items():
        axes.add_row(key, _default(row, key, h), f"{h.label}{f' (with {h.when.text})' if h.when else ''}")
    _out.print(axes)
    _out.print()
    settings = Table("setting", "default", "may be", "what it is", box=None, padding=(0, 2, 0, 0))
    for key, setting in row.settings.items():
        settings.add_row(key, _shown(setting), _choices(setting), setting.about)
    settings.add_row("steps", str(row.steps), "1..1000000", "Steps of a run.")
    settings.add_row("seed", "0", "0..4294967295", "Of everything random.")
    settings.add_row("measure", f'"{row.measures[0]}"', listed(row.measures), "How a run is judged.")
    _out.print(settings)
    for channel, about in row.channels.items():
        _out.print(f"\nchannel {channel}: {about}")


def _scenes() -> dict[str, list[str]]:
    """Return the names of the scenes at hand by their system; a scene with faults is not among them."""
    names: dict[str, list[str]] = defaultdict(list)
    for name in scene.names():
        try:
            names[scene.load(name).problem.system].append(escape(name))
        except SceneError:
            continue
    return names


def _brief(name: str, h: Hyperparameter) -> str:
    return name if h.default is None else f"{name} = {h.default:g}"


def _default(row: System, name: str, h: Hyperparameter) -> str:
    if h.default is not None:
        return f"{h.default:g}"
    return "must be set" if any(name in names for names in row.once.values()) else "off"


def _shown(setting: Setting) -> str:
    value = setting.written(setting.default)
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _choices(setting: Setting) -> str:
    words = [f'"{word}"' for word in (*setting.words, *([setting.none] if setting.none else []))]
    bounds = setting.integer or setting.number
    span = [f"{bounds[0]:g}..{bounds[1]:g}"] if bounds else []
    return ", ".join(words + span) or "true, false"
