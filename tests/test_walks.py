"""The walks of the design page have at most ten stops; stops and prose name code that exists."""

import importlib
import re

import pytest

from tests.helpers import ROOT

PAGE = (ROOT / "assets/docs/design.md").read_text()
# Files that a reader of the pages is to write.
TO_BE_WRITTEN = {"my_net.py", "render/train/systems/mine.py"}
WALKS = dict(re.findall(r"^### (One .*)\n((?:.|\n)*?)(?=^##)", PAGE, re.M))


def exists(dotted: str) -> bool:
    """Return whether a name such as film.plan.Plan leads somewhere, whole modules first."""
    words = dotted.split(".")
    for length in range(len(words), 0, -1):
        try:
            here: object = importlib.import_module(".".join(["render", *words[:length]]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            if not hasattr(here, word):
                return False
            here = getattr(here, word)
        return True
    return False


@pytest.mark.parametrize("title", WALKS)
def test_every_stop_of_a_walk_is_there_and_there_are_at_most_ten(title: str) -> None:
    stops = re.findall(r"^\d+\. (.*(?:\n   .*)*)", WALKS[title], re.M)
    assert 5 <= len(stops) <= 10
    names = [name for stop in stops for name in re.findall(r"`([a-z_0-9]+(?:\.[A-Za-z_0-9]+)+)(?:\([^`]*\))?`", stop)]
    assert len(names) >= 6
    assert [name for name in names if not exists(name)] == []


def test_both_walks_are_on_the_page_and_a_name_that_leads_nowhere_is_noticed() -> None:
    assert len(WALKS) == 2
    assert exists("film.rendering.frames") and not exists("film.rendering.frame_s") and not exists("fylm.plan")


def test_every_file_of_code_that_prose_names_exists() -> None:
    code = [path for path in (ROOT / "render").rglob("*.*") if path.suffix in (".py", ".js")]
    paths = {f"/{path.relative_to(ROOT)}" for folder in ("render", "tests") for path in (ROOT / folder).rglob("*.*")}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "assets/docs").glob("*.md")]
    missing = {}
    for page in [*pages, *(path for path in code if not path.name.startswith("leaflet"))]:
        names = {*re.findall(r"[A-Za-z_][A-Za-z_/]*\.(?:py|js)\b", page.read_text())} - TO_BE_WRITTEN
        if unknown := [name for name in names if not any(path.endswith(f"/{name}") for path in paths)]:
            missing[page.name] = unknown
    assert missing == {}
