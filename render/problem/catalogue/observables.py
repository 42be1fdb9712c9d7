"""What a scene may ask of any system's runs besides their values: one row each.

A row says what the scene's number means; how it is measured is the row of the same name in `render.train.observables`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Observable:
    """A number of a run that is stored as a channel of this name, where a scene asks for it.

    about: what the channel holds. asks: what the number in the scene is, for a schema. integer: whether it is a whole
    number, of steps, from 1 to one below the problem's steps; otherwise it is any number above 0.
    """

    about: str
    asks: str
    integer: bool


OBSERVABLES: dict[str, Observable] = {
    "lyapunov": Observable(
        "largest finite-time Lyapunov exponent of the training steps, per step; above 0: chaos",
        "Store the largest Lyapunov exponent of a run as a channel: the mean over all steps after this transient.",
        integer=True,
    ),
    "steps_to_loss": Observable(
        "steps until the loss is first below a threshold; nan where it never is",
        "Store as a channel after how many steps the loss of a run is first below this threshold.",
        integer=False,
    ),
}
