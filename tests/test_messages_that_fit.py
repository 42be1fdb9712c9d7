"""Messages about qualities name those that apply, and a store is listed a line a folder, deep levels included."""

from pathlib import Path

import pytest

from render import scene
from render.backends.local import LocalBackend
from render.scene import QUALITY
from render.storage import numerics
from render.storage.store import DirectoryStore
from tests.helpers.command import refused, run_here

PRESETS = ", ".join(f'"{name}"' for name in QUALITY)


@pytest.mark.parametrize("command", ["video", "plan", "frame", "sheet", "recolour"])
def test_a_command_names_the_qualities_that_it_takes(command: str, tmp_path: Path) -> None:
    words = (command, "tiny", "--store", tmp_path / "s") + (() if command == "plan" else ("--out", tmp_path / "o"))
    assert refused(*words, "--quality", "hdd") == (
        f'render: quality must be one of "auto", "scene", {PRESETS}, not "hdd"; did you mean "hd"?\n'
    )
    assert not (tmp_path / "s").exists()


def test_what_shows_a_scene_knows_no_auto() -> None:
    assert refused("show", "tiny", "--quality", "auto") == (
        f'render: quality must be one of "scene", {PRESETS}, not "auto": what it chooses depends on the machine; '
        "`render plan` says it.\n"
    )
    assert refused("show", "tiny", "--quality", "scen").endswith('not "scen"; did you mean "scene"?\n')


def test_a_store_is_listed_a_line_a_folder_and_deep_levels_of_this_machine_are_in_use(tmp_path: Path) -> None:
    problem = scene.load("deep_small").problem
    plain = LocalBackend(problem).numerics
    for made_by in (plain, numerics.following(plain, ["15eba16da633"]), {**plain, "kernel": 0}):
        DirectoryStore(tmp_path, problem, made_by)
    old = {**numerics.following(plain, ["15eba16da633"]), "differences": 0}
    DirectoryStore(tmp_path, problem, old)
    done = run_here("store", "ls", "--store", tmp_path)
    first, *lines = done.stdout.splitlines()
    assert first.startswith("scene") and len(lines) == 4
    assert all(line.startswith("deep_small ") and problem.key in line for line in lines)
    assert sum(line.rstrip().endswith("in use") for line in lines) == 2
    assert sum("other: kernel 0, now" in line for line in lines) == 1
    assert sum("other: differences 0, now" in line for line in lines) == 1
    # What is in use is not pruned: samples past float64 were listed as if another machine had made them.
    pruned = run_here("store", "prune", "--yes", "--store", tmp_path)
    assert pruned.returncode == 0, pruned.stderr
    assert len(list(tmp_path.glob("*/*/numerics.toml"))) == 2
