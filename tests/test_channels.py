"""Laws of channels: the sign says how a run ended, and slower is farther from zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from render.picture import channels, colour, palettes
from render.picture.channels import CHANNELS, STATUS_COLOURS
from render.samples import Field, Status


def runs() -> Field:
    """Two converged, one bounded, two escaped and one non-finite run."""
    field = Field.empty((6,))
    field.value[:] = [-300.0, -40.0, 480.0, 12.0, 11.0, 3.0]
    field.final_loss[:] = [0.9, 1e-9, 1.7, np.inf, np.inf, np.nan]
    field.escape_step[:] = [-1, -1, -1, 40, 40, 9]
    field.status[:] = [0, 0, 1, 2, 2, 3]
    return field


@pytest.mark.parametrize("name", [name for name in CHANNELS if name != "status"])
def test_converged_is_negative_and_diverged_positive(name: str) -> None:
    values = CHANNELS[name].signed(runs())
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert (values[:2] < 0).all()
    assert (values[2:] > 0).all()


def test_the_published_measure_is_as_stored() -> None:
    np.testing.assert_array_equal(CHANNELS["value"].signed(runs()), runs().value)


def test_a_larger_final_loss_is_slower_convergence_and_faster_divergence() -> None:
    values = np.abs(CHANNELS["final_loss"].signed(runs()))
    assert values[0] > values[1]
    assert values[2] > values[3]


def test_a_later_escape_is_slower_and_within_a_step_the_measure_decides() -> None:
    values = CHANNELS["escape_time"].signed(runs())
    assert values[2] > values[3] > values[4] > values[5]
    assert np.floor(values[[3, 4, 5]]).tolist() == [40, 40, 9]


def test_every_status_has_its_colour_and_no_two_look_alike() -> None:
    assert set(STATUS_COLOURS) == set(Status)
    codes = colour.status_code(CHANNELS["status"].signed(runs()))
    assert codes.tolist() == [1, 1, 2, 3, 3, 4]
    assert colour.status_code(np.array([np.nan])).tolist() == [0]
    lab = palettes.oklab_from_linear(colour.STATUS_TABLE[1:].astype(float))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(len(lab))
    assert apart.min() > 0.1
    for code, (text, _) in enumerate(STATUS_COLOURS.values(), 1):
        assert "#" + bytes(colour.srgb8_from_linear(colour.STATUS_TABLE[code])).hex() == text


def test_what_a_system_measures_besides_keeps_the_sides_apart_and_its_order() -> None:
    field = replace(runs(), more={"first_share": np.array([0.2, 0.9, -3.0, 0.5, np.nan, 7.0])})
    signed = channels.channel("first_share").signed(field)
    assert np.isfinite(signed).all()
    assert (signed < 0).tolist() == [True, True, False, False, False, False]
    assert -signed[1] > -signed[0]
    assert signed[5] > signed[3] > signed[4] > signed[2]
    assert channels.channel("first_share").converged == ("low first share", "high")


def test_a_channel_is_one_row() -> None:
    assert all(channels.channel(name) is row for name, row in CHANNELS.items())
