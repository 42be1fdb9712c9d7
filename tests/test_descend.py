"""Descending into the border: every view holds both outcomes and lies in the one before; a seed decides the way."""

import itertools
from fractions import Fraction
from pathlib import Path

from test_deep import CENTRE, small

from render import descend


def test_the_way_down_crosses_from_float64_to_differences_and_keeps_the_border(tmp_path: Path) -> None:
    problem = small()
    centre = Fraction(CENTRE[0]), Fraction(CENTRE[1])
    told: list[descend.View | str] = []
    down = descend.views(problem, centre, Fraction(1, 10**8), 2e-12, tmp_path, tell=told.append)
    assert [news for news in told if isinstance(news, descend.View)] == down
    assert len(down) == 5
    assert 2e-12 <= down[-1].width < 8 * 2e-12
    assert all(0 < view.share < 1 for view in down)
    assert [view.promotion_step is None for view in down] == [True, True, False, False, False]
    for wide, narrow in itertools.pairwise(down):
        assert narrow.width == wide.width / descend.FACTOR
        assert abs(narrow.x - wide.x) < wide.width / 2
        assert abs(narrow.y - wide.y) < wide.width / 2
    assert descend.views(problem, centre, Fraction(1, 10**8), 2e-12, tmp_path) == down
