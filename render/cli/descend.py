"""The command that goes down into the border and writes the scene of a film to there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from render.cli.options import ALL_OF_IT, AS_WRITTEN, Changes, Debug, More, Scene, Store, ThisMachine, path_given


def descend(
    scene: Scene,
    /,
    *more: More,
    decades: Annotated[float, Parameter(help="How narrow the last view is: 10 to minus this, in decades.")] = 20.0,
    seed: Annotated[int, Parameter(help="Of the choice among places on the border: another seed, another target.")] = 0,
    changes: Changes = AS_WRITTEN,
    out: Annotated[
        Path | None,
        Parameter(
            converter=path_given,
            help="Scene to write; by default NAME_deep.toml in this folder. An existing file is never replaced.",
        ),
    ] = None,
    machine: ThisMachine = ALL_OF_IT,
    store: Store = Path("store"),
    debug: Debug = False,
) -> None:
    """Find a deep target by descending into the border from the scene's last view, and write the scene of a film there.

    Every view is 16 x 16 samples, eight times narrower than the last, about a pair of neighbours that end
    differently. Below 1e-9 decades they are followed by differences from reference runs, which take a while.

    Try:

        render descend tanh.toml --decades 30
        render descend tanh.toml --decades 30 --seed 1 --out tanh_other.toml
    """
    from render import api
    from render.cli import messages, terminal

    loaded = changes.load(scene, *more)
    messages.wrote(api.descend(loaded, decades=decades, seed=seed, out=out, store=store, listener=terminal.LISTENER))
