"""The commands that hand samples to others: as arrays for programs, as prints, and as a page."""

from __future__ import annotations

import json as jsonlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from render.cli.options import (
    AS_WRITTEN,
    AUTO,
    HERE,
    PLAIN,
    Changes,
    Effort,
    Force,
    GivenPath,
    Machines,
    Printing,
    Scene,
    Store,
    parted,
    path_given,
)
from render.errors import RenderError


def export(
    scene: Scene,
    /,
    *frames: Annotated[
        str, Parameter(help="The frame whose view is written, as in `render frame`; the last if not given.")
    ],
    out: Annotated[
        GivenPath,
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
    force: Force = False,
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
        if force:
            raise RenderError("--force is for a single file; with --film, move frames of another film away.")
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
        force=force,
        store=store,
        make_backend=machines.make,
        listener=terminal.LISTENER,
    )
    messages.wrote(path)


# Bytes in each unit that a size may be given in.
_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def _bytes(text: str) -> int:
    """Return the size that a text such as "200MB" says, in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kKmMgG]?)[bB]?", text)
    unit = "" if match is None else {"": "", "k": "kB", "m": "MB", "g": "GB"}[match[2].lower()]
    if match is None or not float(match[1]) > 0:
        raise RenderError(f"--max must be a size such as 200MB or 1.5GB, not {text!r}.")
    return round(float(match[1]) * _UNITS[unit])


def publish(
    scene: Scene,
    site: Annotated[
        GivenPath, Parameter(help="Folder to write: a new or empty one, or an earlier site, which is replaced.")
    ],
    /,
    *,
    max: Annotated[str, Parameter(help="What all files together may take, such as 200MB or 1.5GB.")] = "200MB",
    plane_level: Annotated[int, Parameter(help="Level down to which the whole plane is shown, 0 to 8.")] = 2,
    channels: Annotated[
        tuple[str, ...],
        Parameter(
            help="What else the page can colour by, such as final_loss,escape_time; each adds half to the size.",
            negative="",
        ),
    ] = (),
    force: Force = False,
    effort: Effort = AUTO,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Write a page that others can move through: a folder of files that any web server serves.

    It shows the tiles of the film, as deep as the film goes, as numbers: palettes change in the page, the film's path
    is a ride, and an address names a view. What the store lacks is trained.

    Try:

        render publish tanh.toml site --quality preview
        python -m http.server --directory site
    """
    from render import api
    from render.cli import messages, terminal
    from render.machine import sizes

    written = api.publish(
        changes.load(scene),
        site,
        quality=effort.quality,
        budget_min=effort.budget,
        plane_level=plane_level,
        channels=[name for names in channels for name in names.split(",")],
        most_bytes=_bytes(max),
        force=force,
        store=store,
        make_backend=machines.make,
        listener=terminal.LISTENER,
    )
    messages.note(
        f"{written.files:,} files, {sizes.in_words(written.size_bytes)}. To look: "
        f"python -m http.server --directory {shlex.quote(str(site))}"
    )
    messages.wrote(written.folder / "index.html")


def _cm(text: str) -> tuple[float, float]:
    """Return the width and height that a text such as "75x50" says, in centimetres."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?[xX×] ?(\d+(?:\.\d+)?)", text)
    if match is None:
        raise RenderError(f"--cm must be width x height, such as 75x50, not {text!r}.")
    return float(match[1]), float(match[2])


@Parameter(name="*")
@dataclass(frozen=True)
class Paper:
    """What a print is made for."""

    cm: Annotated[str, Parameter(help="Width x height in centimetres once trimmed, such as 75x50.")]
    dpi: Annotated[float, Parameter(help="Pixels an inch.")] = 300.0
    bleed: Annotated[float, Parameter(help="Millimetres of picture around the trimmed one.")] = 0.0
    bits: Annotated[int, Parameter(help="Bits a channel: 8 or 16.")] = 8
    detail: Annotated[float, Parameter(help="Samples per pixel, at least, along one direction.")] = 0.5


def poster(
    scene: Scene,
    /,
    *frame: Annotated[str, Parameter(help="The frame to print, as in `render frame`; the last if not given.")],
    paper: Paper,
    caption: Annotated[str | None, Parameter(help="Short for --set output.caption=TEXT.")] = None,
    out: Annotated[
        Path | None,
        Parameter(
            converter=path_given,
            help="The .tif to write, or .btf for BigTIFF; out/SCENE/SCENE-75x50cm.tif if not given.",
        ),
    ] = None,
    plan: Annotated[bool, Parameter(help="Say runs, hours and size, and make nothing.", negative="")] = False,
    force: Force = False,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Make a picture for print: one frame, of any size, as a tiled TIFF with its resolution and an sRGB profile.

    It is made in bands, so its size needs little memory. Samples are kept: the same command goes on where it was
    stopped, and a print of another size shares what it can.

    Try:

        render poster tanh.toml --cm 75x50 --plan
        render poster tanh.toml 50% --cm 30x20 --dpi 200 --bleed 3 --caption "tanh, 2.2 decades"
        render poster mandelbrot.toml --cm 75x50 --bits 16 --out mandelbrot.tif
    """
    from render import api
    from render.cli import messages, terminal

    more, chosen = parted(frame)
    if len(chosen) > 1:
        raise RenderError(f"a print shows one frame, not {len(chosen)}.")
    words = () if caption is None else (f"output.caption={jsonlib.dumps(caption)}",)
    loaded = changes.and_set(*words).load(scene, *more)
    asked: dict[str, Any] = {
        "cm": _cm(paper.cm),
        "dpi": paper.dpi,
        "bleed_mm": paper.bleed,
        "bits": paper.bits,
        "detail": paper.detail,
        "store": store,
        "make_backend": machines.make,
        "listener": terminal.LISTENER,
    }
    if plan:
        terminal.show_poster_plan(api.plan_poster(loaded, *chosen, **asked))
        return
    messages.wrote(api.poster(loaded, out, *chosen, force=force, **asked))
