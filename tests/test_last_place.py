"""What one unit in the last place of a hyperparameter changes, by `render analyse precision`."""

import pytest

from render.analyse import precision
from render.samples import Field


def field(*values: float) -> Field:
    filled = Field.empty((len(values),))
    filled.value[:] = values
    return filled


@pytest.mark.parametrize(
    ("right", "up", "share"),
    [
        ((-1.0, -2.0, 3.0, 4.0), (-1.0, -2.0, 3.0, 4.0), 0.0),
        ((-9.0, -8.0, 7.0, 6.0), (-9.0, -8.0, 7.0, 6.0), 0.0),  # other values, the same outcomes
        ((1.0, -2.0, 3.0, 4.0), (-1.0, -2.0, 3.0, 4.0), 0.25),
        ((1.0, -2.0, 3.0, 4.0), (1.0, -2.0, 3.0, -4.0), 0.5),  # a sample that both change counts once
    ],
)
def test_a_sample_counts_where_either_hyperparameter_changes_its_outcome(right, up, share: float) -> None:  # type: ignore[no-untyped-def]
    here = field(-1.0, -2.0, 3.0, 4.0)
    agreement = precision._agreement(1e-9, here, here, field(*right), field(*up))
    assert agreement.last_place == share
    assert (agreement.signs, agreement.values, agreement.share) == (1.0, 1.0, 0.5)
