"""The commands about machines and their disks: doctor, clean, store, jobscript."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from render.cli.options import (
    ALL_OF_IT,
    HERE,
    HOME,
    PLAIN,
    Debug,
    Folders,
    GivenPath,
    Machines,
    Printing,
    Store,
    ThisMachine,
)

Yes = Annotated[bool, Parameter(help="Do it, instead of only saying what would go.", negative="")]
Names = Annotated[str | Path, Parameter(help="Scenes to name samples by, besides those in scenes/.")]


def doctor(*, folders: Folders = HOME, machine: ThisMachine = ALL_OF_IT, printing: Printing = PLAIN) -> None:
    """Check what films need: ffmpeg and its encoders, devices, float64, disks, font; say what to do. Exit code 1 if
    no film can be made.

    Try:

        render doctor
    """
    from render.cli import terminal_maintenance
    from render.tools import doctor as examination

    bad = False
    for finding in examination.examine(folders.store, folders.out):
        terminal_maintenance.show_finding(finding)
        bad = bad or finding.state == "bad"
    if bad:
        raise SystemExit(1)


def clean(*, folders: Folders = HOME, printing: Printing = PLAIN) -> None:
    """Remove the partial files that killed renders left behind. Samples, films and pictures stay.

    Try:

        render clean
    """
    from render.cli import terminal_maintenance
    from render.tools import inventory

    left = inventory.left_behind(folders.out, folders.store)
    size_bytes = inventory.delete(left)
    terminal_maintenance.show_cleaned(left, size_bytes)


store = App(name="store", help="What is kept in the store of trained samples: for which scene, how large, how sound.")


@store.command
def ls(*scenes: Names, store: Store = Path("store"), printing: Printing = PLAIN) -> None:
    """List what is kept: scene, levels, tiles, size, and whether this version goes on with it.

    Try:

        render store ls
        render store ls mine.toml
    """
    from render.cli import terminal_maintenance

    terminal_maintenance.show_store(store, [*map(str, scenes)])


@store.command
def verify(
    *scenes: Names,
    repair: Annotated[
        bool, Parameter(help="Remove damaged tiles, so that they are trained again.", negative="")
    ] = False,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Read every tile and check its bytes. Exit code 1 if any is damaged.

    Try:

        render store verify
        render store verify mean_lr.toml --repair
    """
    from render.cli import terminal_maintenance

    if not terminal_maintenance.show_verified(store, [*map(str, scenes)], repair=repair):
        raise SystemExit(1)


@store.command
def merge(
    other: Annotated[GivenPath, Parameter(help="The store to take samples from; it stays as it is.")],
    /,
    *,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Take over the samples of another store, as of another machine. Every tile is read and its bytes are checked.

    What both have stays as it is here; a tile that is damaged here is replaced. Exit code 1 if anything was left out.

    Try:

        render store merge /mnt/other/store
    """
    from render.cli import terminal_maintenance

    if not terminal_maintenance.show_merged(other, store):
        raise SystemExit(1)


@store.command
def prune(
    *scenes: Annotated[str | Path, Parameter(help="Everything that is kept of these scenes.")],
    yes: Yes = False,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Remove samples for good: those of old kernel versions and other devices, or all of some scenes.

    Without --yes it only says what would go.

    Try:

        render store prune
        render store prune --yes
        render store prune tiny --yes
    """
    from render.cli import terminal_maintenance

    terminal_maintenance.show_pruned(store, [*map(str, scenes)], yes=yes)


def jobscript(*, machines: Machines = HERE, debug: Debug = False) -> None:
    """Print the script of a SLURM job whose workers join a scheduler, to be submitted by hand.

    Try:

        render jobscript --scheduler tcp://login:8786 --job cores=32 --job queue=long
    """
    from render.cli import terminal

    terminal.show_jobscript(machines.cluster())
