"""Points have no differences or both, and so do all points that are made from them."""

import numpy as np
import pytest

from render.samples import Points

V = np.arange(5.0)


def test_pieces_that_are_joined_are_the_points() -> None:
    for points in (Points(V, V + 10), Points(V, V + 10, V / 8, V / 16)):
        again = Points.join([points.at(slice(0, 2)), points.at(slice(2, None))])
        assert len(again) == len(points) == 5
        assert again.is_plain == points.is_plain
        for one, other in zip(again.columns, points.columns, strict=True):
            np.testing.assert_array_equal(one, other)


def test_plain_points_have_no_differences() -> None:
    assert Points(V, V).is_plain
    with pytest.raises(TypeError, match="no differences"):
        _ = Points(V, V).differences
    dx, dy = Points(V, V, V + 1, V + 2).differences
    assert dx[0] == 1 and dy[0] == 2


def test_one_difference_alone_and_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(TypeError, match="or neither"):
        Points(V, V, V)
    with pytest.raises(ValueError, match="of one shape"):
        Points(V, V[:3])
    with pytest.raises(ValueError):
        Points.join([Points(V, V), Points(V, V, V, V)])
