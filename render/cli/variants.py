"""The commands that make other outputs from samples: contact sheets, other colours, other formats."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from render.cli.options import (
    ALL_OF_IT,
    AS_WRITTEN,
    AUTO,
    HERE,
    HOME,
    PLAIN,
    Changes,
    CodecName,
    Effort,
    Folders,
    Machines,
    More,
    Poster,
    Printing,
    QualityName,
    Scene,
    ThisMachine,
    parted,
)
from render.errors import RenderError

Stored = Annotated[
    QualityName,
    Parameter(
        show_choices=False, metavar="NAME", help='As in video; "auto" is the best whose samples are all in the store.'
    ),
]


def sheet(
    scene: Scene,
    /,
    *frames: Annotated[str, Parameter(help="Which frames, as in `render frame`, instead of --count.")],
    count: Annotated[int, Parameter(help="The number of frames, evenly spaced along the zoom.")] = 24,
    columns: Annotated[int, Parameter(help="Pictures in a row.")] = 6,
    width: Annotated[int, Parameter(help="The largest width of each picture, in pixels.")] = 320,
    effort: Effort = AUTO,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Make a contact sheet: frames of the film on one page, training only what they need.

    Try:

        render sheet mean_lr.toml
        render sheet mean_lr.toml 0..last:100 --columns 4 --quality preview
    """
    from render import api
    from render.cli import messages, terminal

    more, chosen = parted(frames)
    for name, value, least in (("--count", count, 1), ("--columns", columns, 1), ("--width", width, 16)):
        if value < least:
            raise RenderError(f"{name} must be at least {least}, not {value}.")
    path = api.contact_sheet(
        changes.load(scene, *more),
        *chosen,
        count=count,
        columns=columns,
        width_px=width,
        quality=effort.quality,
        budget_min=effort.budget,
        out=folders.out,
        store=folders.store,
        force=folders.force,
        make_backend=machines.make,
        listener=terminal.LISTENER,
    )
    messages.wrote(path)


def recolour(
    scene: Scene,
    /,
    *more: More,
    quality: Stored = "auto",
    poster: Poster = "last",
    changes: Changes = AS_WRITTEN,
    machine: ThisMachine = ALL_OF_IT,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Make a film again in other colours, from stored samples alone: nothing is trained.

    Give a scene, or a film that render made. Changed settings are part of the new film's name, so that the old film
    stays.

    Try:

        render recolour mean_lr.toml --palette vik
        render recolour mean_lr.toml --palette '#1a0633,#f7f7f7,#00441b'
        render recolour mean_lr.toml --set look.gap=0.1
    """
    from render import api
    from render.cli import messages, terminal

    film = api.recolour(
        changes.load(scene, *more),
        quality=quality,
        out=folders.out,
        store=folders.store,
        force=folders.force,
        poster=poster,
        listener=terminal.LISTENER,
    )
    messages.wrote(*film.files)


def encode(
    scene: Scene,
    /,
    *frames: Annotated[str, Parameter(help="Only these frames, as in `render frame`: 0..99, t=5s..t=9s.")],
    codec: Annotated[
        CodecName,
        Parameter(
            show_choices=False,
            metavar="NAME",
            help="h264, upload, hevc, av1, vp9 (WebM), prores, prores4444, ffv1, png (a folder), webp or gif.",
        ),
    ],
    crf: Annotated[
        int | None, Parameter(help="1 (best) to 51 (63 for av1 and vp9), instead of the codec's default.")
    ] = None,
    quality: Stored = "auto",
    changes: Changes = AS_WRITTEN,
    machine: ThisMachine = ALL_OF_IT,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Write a film in another format, from stored samples alone: nothing is trained, and no frame is compressed twice.

    Give a scene, or a film that render made. The codec is part of the new film's name.

    Try:

        render encode mean_lr.toml --codec hevc
        render encode mean_lr.toml --codec prores4444 --quality hd
        render encode mean_lr.toml t=5s..t=9s --codec webp
    """
    from render import api
    from render.cli import messages, terminal

    more, chosen = parted(frames)
    asked = [f"output.codec={codec}", *([f"output.crf={crf}"] if crf is not None else [])]
    film = api.convert(
        changes.and_set(*asked).load(scene, *more),
        *chosen,
        quality=quality,
        out=folders.out,
        store=folders.store,
        force=folders.force,
        listener=terminal.LISTENER,
    )
    messages.wrote(*film.files)
