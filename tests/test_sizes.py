"""Sizes: those of films are estimated before they are made; in words no size is 0 of a unit, or 1,000 of one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from render import api, encode
from render.cli import terminal
from render.film import rendering
from render.machine import sizes

_BYTES = {"byte": 1.0, "bytes": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@pytest.mark.parametrize("exponent", range(45))
@pytest.mark.parametrize("lead", [1, 9.4999, 9.5, 9.994, 9.995, 9.99999])
def test_words_give_the_size_back_and_no_unit_is_too_large_or_too_small(lead: float, exponent: int) -> None:
    size = int(lead * 10 ** (exponent / 3))
    match = re.fullmatch(r"([\d,]+(?:\.\d)?) (\w+)", sizes.in_words(size))
    assert match is not None
    number = float(match[1].replace(",", ""))
    assert abs(number * _BYTES[match[2]] - size) <= 0.5 * _BYTES[match[2]]
    assert number >= 1 or size == 0
    assert number < 1000 or match[2] == "GB"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sizes") / "store"


@pytest.mark.parametrize("codec", ["h264", "prores", "ffv1", "gif", "png"])
def test_a_plan_knows_about_how_large_a_film_will_be(
    codec: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = api.load("tiny", settings=[f"output.codec={codec}"])
    planned = api.plan(scene, quality="scene", store=store)
    film = rendering.video(planned.job, tmp_path / "film")
    size = sum(file.stat().st_size for file in (film.iterdir() if film.is_dir() else [film]))
    assert 0.5 < planned.film_bytes / size < 2
    terminal.show_plan(planned)
    printed = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert f"room about {sizes.in_words(planned.film_bytes)} for the film" in printed
    assert ("for its segments" in printed) == (codec != encode.SEQUENCE)
