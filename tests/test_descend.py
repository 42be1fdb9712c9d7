"""Descending into the border: every view holds both outcomes and lies in the one before; a seed decides the way."""

import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from render import api, scene
from render.deep import descend, reference_search
from render.errors import DepthError, RenderError
from render.storage import references
from render.train.past_float64 import reference_run
from tests.helpers.deep import CENTRE, small


def test_the_way_down_crosses_from_float64_to_differences_and_keeps_the_border(tmp_path: Path) -> None:
    problem = small()
    centre = Fraction(CENTRE[0]), Fraction(CENTRE[1])
    steps: list[descend.View | str] = []
    down = descend.views(problem, centre, Fraction(1, 10**8), 2e-12, tmp_path, report_step=steps.append)
    assert [news for news in steps if isinstance(news, descend.View)] == down
    assert len(down) == 5
    assert 2e-12 <= down[-1].width < 8 * 2e-12
    assert all(0 < view.share < 1 for view in down)
    assert [view.promotion_step is None for view in down] == [True, True, False, False, False]
    for wide, narrow in itertools.pairwise(down):
        assert narrow.width == wide.width / descend.FACTOR
        assert abs(narrow.x - wide.x) < wide.width / 2
        assert abs(narrow.y - wide.y) < wide.width / 2
    assert [view.checked for view in down] == [False] * 4 + [True], "the end is compared with full precision"
    assert descend.views(problem, centre, Fraction(1, 10**8), 2e-12, tmp_path) == down


def test_a_wrong_reference_is_found_out_and_the_stretch_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = small()
    start = Fraction(CENTRE[0]), Fraction(CENTRE[1]), Fraction(1, 10**10)
    points = descend.grid(problem, *start)
    middle = points[len(points) // 2]
    elsewhere = reference_run.make(problem, middle.x * Fraction(1001, 1000), middle.y, 256)
    planted = dataclasses.replace(elsewhere, x=middle.x, y=middle.y, value=-1.0)
    references.save(planted, tmp_path, problem)
    steps: list[descend.View | str] = []
    down = descend.views(problem, start[:2], start[2], 5e-11, tmp_path, report_step=steps.append)
    assert [news for news in steps if isinstance(news, str) and "back to 1.0e-10" in news]
    assert [news for news in steps if isinstance(news, descend.View)] == down
    assert down[-1].checked and all(0 < view.share < 1 for view in down)
    # Where every reference is wrong there is nothing to go back to.
    monkeypatch.setattr(reference_search, "new_reference", lambda *_, **__: planted)
    references.save(planted, tmp_path, problem)
    with pytest.raises(DepthError, match="not even from a reference inside it"):
        descend.views(problem, start[:2], start[2], 5e-11, tmp_path)


def test_a_view_holds_as_many_digits_as_it_needs() -> None:
    width = Fraction(1, 10**100)
    points = descend.grid(small(), Fraction(CENTRE[0]), Fraction(CENTRE[1]), width)
    assert reference_search.apart(points[0], points[1]) == pytest.approx(
        float(width) * 2.302585093 / descend.SIDE, rel=1e-9
    )


ONE = 'camera.keyframes=[{centre_log10 = ["1.5", "1.5"], width_decades = 9.0, hold_s = 1.5}]'


def test_the_scene_of_one_view_becomes_a_zoom_from_there_to_the_target(tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    text = scene.resolved(scene.load("tiny", settings=[ONE]))
    assert "\n[look]\n" in text
    file.write_text(text.replace("\n[look]\n", "\n[unused]\n").partition("[unused]")[0])  # without colours, or output
    path = api.descend(scene.load(file), decades=2, out=tmp_path / "deep.toml", store=tmp_path / "store")
    before, target = scene.load(file), scene.load(path)
    assert target.keyframes[0].view == before.keyframes[0].view and len(target.keyframes) == 2
    assert 0.01 <= target.keyframes[1].view.width * float(target.problem.x.span) < 0.08
    assert target.keyframes[1].hold_s == 1.5
    assert target.look == before.look and target.problem.key == before.problem.key


def test_a_view_without_a_border_is_refused_as_one(tmp_path: Path) -> None:
    flat = ONE.replace('["1.5", "1.5"]', '["-1", "-1"]').replace("9.0", "0.1")
    with pytest.raises(RenderError, match="narrowest view must show a border, but all of 16 x 16 runs .* converged: "):
        api.descend(scene.load("tiny", settings=[flat]), decades=3, out=tmp_path / "deep.toml", store=tmp_path / "s")
    assert not (tmp_path / "deep.toml").exists()
