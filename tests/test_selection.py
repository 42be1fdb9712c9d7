"""The frames that texts select."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.errors import RenderError
from render.film import selection


def of(*texts: str, count: int = 101, duration_s: float = 10.0) -> list[int]:
    return selection.numbers(texts, count, duration_s)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("10", [10]),
        ("-1", [100]),
        ("last", [100]),
        ("50%", [50]),
        ("0%", [0]),
        ("100%", [100]),
        ("t=2.5s", [25]),
        ("t=2.5", [25]),
        ("9..12", [9, 10, 11, 12]),
        ("9-12", [9, 10, 11, 12]),
        ("98..", [98, 99, 100]),
        ("..2", [0, 1, 2]),
        ("0..99:25", [0, 25, 50, 75]),
        ("0..last:50", [0, 50, 100]),
        ("..:50", [0, 50, 100]),
        ("-3..-1", [98, 99, 100]),
        ("t=9.8s..last", [98, 99, 100]),
        ("1,5,9..11", [1, 5, 9, 10, 11]),
        ("5, 1, 5", [5, 1]),
    ],
)
def test_the_forms_of_a_selection(text: str, frames: list[int]) -> None:
    assert of(text) == frames


def test_several_texts_are_one_list() -> None:
    assert of("3", "1..2", "last") == [3, 1, 2, 100]


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 200))
def test_a_range_is_pythons_with_its_end(a: int, b: int, step: int) -> None:
    low, high = sorted((a, b))
    assert of(f"{low}..{high}:{step}") == list(range(low, high + 1, step))


@given(st.integers(1, 10**6), st.floats(0, 100))
def test_every_share_is_within_the_film(count: int, share: float) -> None:
    (number,) = of(f"{share!r}%", count=count)
    assert 0 <= number < count


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("101", "frame 101 must lie within the film: 0 to 100"),
        ("-102", "must lie within the film"),
        ("101%", "must lie within the film"),
        ("t=11s", "must lie within the film"),
        ("5..3", "frames must run upwards, not '5..3'"),
        ("0..9:0", "the step of frames must be at least 1"),
        ("x", "frames must be 120, -1, 50%, last"),
        ("", "frames must be"),
        ("1,,2", "frames must be"),
        ("nan%", "frames must be"),
        ("inf%", "frames must be"),
        ("1e3", "frames must be"),
        ("1..2..3", "frames must be"),
    ],
)
def test_what_selects_no_frame_is_refused(text: str, says: str) -> None:
    with pytest.raises(RenderError) as caught:
        of(text)
    assert says in str(caught.value)
