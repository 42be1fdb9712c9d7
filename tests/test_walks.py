"""The walks of the design page name what is there: every stop leads a reader to code, in at most ten stops."""

import importlib
import re

import pytest

from tests.helpers import ROOT

PAGE = (ROOT / "assets/docs/design.md").read_text()
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
