"""A name that the scene's system does not have: the message names the systems that have it, or where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import scene
from render.errors import RenderError, SceneError
from render.explorer import published_site
from render.problem.catalogue import SYSTEMS, System
from render.scene import checks, other_systems
from render.scene.wording import listed
from tests.helpers.own import NET

SCENE = """
[problem]
system = "{system}"
x = {{name = "{x}", range = ["1e-3", "1e3"]}}
y = {{name = "{y}", range = ["1e-3", "1e3"]}}
{problem}
[camera]
octaves_per_s = 1
keyframes = [{{centre = ["1", "1"], width_decades = 6.0{key}}}]
[look]
{look}
"""


def fault(system: str, about: str, parts: dict[str, str], folder: Path | None = None) -> str:
    """Return the only fault of a scene that begins with a place."""
    filled = {"x": "lr_input", "y": "lr_output", "problem": "", "key": "", "look": "", "system": system} | parts
    with pytest.raises(SceneError) as caught:
        checks.parse(SCENE.format(**filled), "s.toml", "s", folder=folder)
    (message,) = [fault for fault in caught.value.faults if fault.startswith(f"s.toml: {about}")]
    return message.removeprefix("s.toml: ")


def names_of(kind: str, row: System) -> set[str]:
    """Return the names of a kind that a system has: the catalogue read by another way than the code's."""
    if kind == "name":
        return set(row.hyperparameters)
    return set(row.measures) if kind == "measure" else set(row.channels)


@pytest.mark.parametrize("path", [("problem", "y", "name"), ("problem", "measure"), ("look", "channel")], ids="/".join)
def test_every_name_of_every_other_system_is_followed_by_the_systems_that_have_it(path: tuple[str, ...]) -> None:
    count = 0
    for system, row in SYSTEMS.items():
        for name in set().union(*(names_of(path[-1], other) for other in SYSTEMS.values())) - names_of(path[-1], row):
            if name in row.settings:
                continue
            having = [other for other, its in SYSTEMS.items() if name in names_of(path[-1], its)]
            hint = other_systems.hint(path, name, system)
            assert f'depend on the system, here "{system}"' in hint
            assert hint.endswith(f'"{name}" belongs to the system{"s" if len(having) > 1 else ""} {listed(having)}')
            count += 1
    assert count > 30


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_name_that_the_system_has_needs_no_other_system(system: str) -> None:
    """With one letter wrong, that name is suggested, whatever other systems have; elsewhere, its place is named."""
    for name in SYSTEMS[system].hyperparameters:
        if len(name) > 5:
            misspelt = name[:-2] + name[-1] + name[-2] + "x"
            assert other_systems.hint(("problem", "y", "name"), misspelt, system) == ""
        if name not in SYSTEMS[system].settings:
            hint = other_systems.hint(("problem",), name, system)
            assert hint == f': "{name}" is a hyperparameter; put it on an axis or into [problem.fixed]'
    for name in (*SYSTEMS[system].settings, "steps", "seed"):
        if name not in SYSTEMS[system].hyperparameters:
            hint = other_systems.hint(("problem", "x", "name"), name, system)
            assert hint == f': "{name}" is the same for all samples; set problem.{name}'


@pytest.mark.parametrize(
    ("system", "about", "parts", "end"),
    [
        ("mlp", "problem.x.name", {"x": "temprature"}, 'mean "temperature", which belongs to the system "phases"?'),
        ("mlp", "problem.x.name", {"x": "zzzzz"}, "names no other; render systems lists them all."),
        ("mlp", "problem.fixed has", {"problem": "fixed = {momentum = 0.9}"}, 'the systems "network", "backprop".'),
        ("mlp", "problem has", {"problem": 'optimiser = "adam"'}, '"optimiser" belongs to the system "network".'),
        ("mlp", "problem has", {"problem": "optimizer = 1"}, '"optimiser", which belongs to the system "network"?'),
        ("mlp", "problem.activation", {"problem": 'activation = "gelu"'}, 'systems "network", "phases".'),
        ("mlp", "problem.data", {"problem": 'data = "moons"'}, '"moons" belongs to the system "network".'),
        ("network", "problem.optimiser", {"problem": 'optimiser = "lion"'}, '"rmsprop", not "lion".'),
        ("mlp", "problem.observe has", {"problem": "observe = {period = 3}"}, 'belongs to the system "product".'),
        ("product", "problem.observe has", {"problem": "observe = {period = 3}"}, 'look.channel = "period" shows it.'),
        ("mlp", "problem has", {"problem": "lyapunov = 9"}, "is set, and shown by look.channel."),
        ("mlp", "camera.keyframes[0].set has", {"key": ", set = {momentum = 0.9}"}, 'systems "network", "backprop".'),
        ("mlp", "look.channel", {"look": 'channel = "rot"'}, 'mean "root", which belongs to the system "newton"?'),
        ("mlp", "problem has", {"problem": "zzz = 1"}, "steps, seed, measure, fixed, observe."),
    ],
)  # fmt: skip
def test_what_a_scene_says_of_each_kind_of_name(system: str, about: str, parts: dict[str, str], end: str) -> None:
    assert fault(system, about, parts).endswith(end)


def test_a_users_file_is_named_as_its_author_named_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    message = fault("./net.py", "problem.x.name", {"x": "momentum", "y": "decay"}, tmp_path)
    assert message.endswith(
        'depend on the system, here "net.py"; "momentum" belongs to the systems "network", "backprop".'
    )


def test_channels_of_a_published_page_say_it_too() -> None:
    with pytest.raises(RenderError, match='not "root": channels depend on .* belongs to the system "newton".$'):
        published_site.shown_channels(scene.load("tiny"), ["root"])
    with pytest.raises(RenderError, match=r'not "valu"; did you mean "value"\?$'):
        published_site.shown_channels(scene.load("tiny"), ["valu"])
