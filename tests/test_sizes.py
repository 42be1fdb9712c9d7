"""Sizes in words: what a person reads is never 0 of a unit, nor a thousand of one."""

from __future__ import annotations

import re

import pytest

from render.machine import sizes

_BYTES = {"byte": 1.0, "bytes": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@pytest.mark.parametrize("exponent", range(45))
@pytest.mark.parametrize("lead", [1, 9.4999, 9.5, 9.994, 9.995, 9.99999])
def test_words_give_the_size_back_and_no_unit_is_too_large_or_too_small(lead: float, exponent: int) -> None:
    size = int(lead * 10 ** (exponent / 3))
    found = re.fullmatch(r"([\d,]+(?:\.\d)?) (\w+)", sizes.in_words(size))
    assert found is not None
    number = float(found[1].replace(",", ""))
    assert abs(number * _BYTES[found[2]] - size) <= 0.5 * _BYTES[found[2]]
    assert number >= 1 or size == 0
    assert number < 1000 or found[2] == "GB"
