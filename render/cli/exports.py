"""The command that writes samples and frames for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from render.cli.options import AS_WRITTEN, AUTO, HERE, PLAIN, Changes, Effort, Machines, Printing, Scene, Store, parted
from render.errors import RenderError


def export(
    scene: Scene,
    /,
    *frames: Annotated[
        str, Parameter(help="The frame whose view is written, as in `render frame`; the last if not given.")
    ],
    out: Annotated[
        Path,
        Parameter(help="What to write: a name that ends in .npz, .zarr, .tif or .exr; with --film, a folder."),
    ],
    window: Annotated[
        tuple[str, str, str, str] | None,
        Parameter(help="Instead of a frame: X_LOW X_HIGH Y_LOW Y_HIGH, hyperparameter values of any number of digits."),
    ] = None,
    samples: Annotated[int, Parameter(help="Samples along x, at least.")] = 256,
    film: Annotated[
        bool,
        Parameter(help="Write frames (all, or those named) as OpenEXR, with the camera's path.", negative=""),
    ] = False,
    effort: Effort = AUTO,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Write values as arrays for other programs: every channel, with axes. What the store lacks is trained.

    --quality and --budget are for --film, whose frames have the pixels of the film: each holds the channels of its
    nearest sample, and its colour as linear light. The same command goes on where it was stopped.

    Try:

        render export tanh.toml --out tanh.zarr --samples 512
        render export tanh.toml 50% --out view.npz
        render export tanh.toml --window 1e-2 1e2 1e-2 1e2 --out corner.tif
        render export tanh.toml --film --out frames --quality preview
    """
    from render import api
    from render.cli import messages, terminal

    more, chosen = parted(frames)
    loaded = changes.load(scene, *more)
    if film:
        if window is not None:
            raise RenderError("--window is for samples; with --film name frames, or none for all of them.")
        written = api.export_frames(
            loaded,
            out,
            *chosen,
            quality=effort.quality,
            budget_min=effort.budget,
            store=store,
            make_backend=machines.make,
            listener=terminal.LISTENER,
        )
        messages.wrote(*written)
        return
    if len(chosen) > 1 or (chosen and window is not None):
        raise RenderError("one view is written at a time: name one frame, or a --window. For several frames: --film.")
    path = api.export(
        loaded,
        out,
        *chosen,
        window=window,
        samples=samples,
        store=store,
        make_backend=machines.make,
        listener=terminal.LISTENER,
    )
    messages.wrote(path)
