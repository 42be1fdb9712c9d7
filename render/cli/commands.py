"""The commands: only arguments and printing."""

from __future__ import annotations

import contextlib
import gc
import json as jsonlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import CycloptsError, Parameter

import render
from render.cli import completion, descend, exports, maintenance, own_model, points, streams, variants
from render.cli.analyse import app as analyse
from render.cli.options import (
    ALL_OF_IT,
    AS_WRITTEN,
    AUTO,
    HERE,
    HOME,
    PLAIN,
    UNWATCHED,
    AnyScene,
    Changes,
    Debug,
    Each,
    Effort,
    Folders,
    GivenPath,
    Machines,
    More,
    OneSystem,
    Poster,
    Printing,
    Scene,
    Shown,
    Store,
    ThisMachine,
    Trust,
    Watch,
    parted,
    take_trust,
)
from render.errors import RenderError, SceneError
from render.machine import signals

if TYPE_CHECKING:
    from render import scene as scenes

app = completion.CompletingApp(
    name="render",
    version=render.__version__,
    help="""Films that zoom through the landscape of neural-network training.

    Every sample of a picture is one complete training run at one pair of hyperparameters: blue where it
    converges, red where it diverges. A SCENE is a TOML file, or the name of one in scenes/.

        render plan     mean_lr.toml                 what it would cost; trains nothing
        render preview  mean_lr.toml                 a small film, from the same samples
        render video    mean_lr.toml --quality hd    the film
        render frame    mean_lr.toml 50% last        single frames as PNG
        render sheet    mean_lr.toml                 24 frames on one page
        render recolour mean_lr.toml --palette vik   the film in other colours; trains nothing
        render encode   mean_lr.toml --codec av1     the film in another format; trains nothing
        render probe    mean_lr.toml --points p.csv --out v.csv
        render export   mean_lr.toml --out m.zarr    the values of a view, for other programs
        render poster   mean_lr.toml --cm 75x50      a picture for print
        render publish  mean_lr.toml site            a page for any web server, with the film as a ride
        render analyse dimension mean_lr.toml        the fractal dimension of the boundary, level by level
        render doctor                                can films be made on this machine?
        render explore  mean_lr.toml                 find the target with the mouse
    """,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main() reports what was kept
)

app.command(analyse)
app.register_install_completion_command(
    help="Let the shell complete commands, options and files with Tab, by a script and a line in its startup file."
)


@app.command
def video(
    scene: Scene,
    /,
    *more: More,
    each: Each = False,
    effort: Effort = AUTO,
    poster: Poster = "last",
    watch: Watch = UNWATCHED,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Make the film: train what is missing, colour, encode. The same command goes on where it stopped.

    If quality auto takes longer than five minutes, a smaller film is made first, then better ones from the same
    samples. Beside the film are its record as JSON, tables with a row for each frame, a poster and a thumbnail.

    Try:

        render video mean_lr.toml
        render video mean_lr.toml --quality hd
        render video mean_lr.toml --watch
        render video mean_lr.toml --backend dask
        render video mean_lr.toml --slurm 20 --job queue=long --job cores=32
        render video mean_lr.toml --shape square --palette vik
        render video tanh.toml relu.toml linear.toml --each
    """
    from render import api
    from render.cli import batches, messages, terminal

    loaded = batches.load((scene, *more), changes) if each else [changes.load(scene, *more)]
    with watch.over(terminal.TerminalListener()) as listener:

        def film(of: scenes.Scene) -> tuple[Path, ...]:
            return api.video(
                of,
                quality=effort.quality,
                budget_min=effort.budget,
                out=folders.out,
                store=folders.store,
                force=folders.force,
                poster=poster,
                make_backend=machines.make,
                listener=listener,
            ).files

        if not each:
            messages.wrote(*film(loaded[0]))
        elif not batches.each(loaded, film):
            raise SystemExit(2)


@app.command
def preview(
    scene: Scene,
    /,
    *more: More,
    each: Each = False,
    watch: Watch = UNWATCHED,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Make the smallest film of a scene. It is soft, and every larger film uses its samples.

    Try:

        render preview mean_lr.toml
    """
    video(
        scene,
        *more,
        each=each,
        effort=Effort("preview"),
        watch=watch,
        changes=changes,
        machines=machines,
        folders=folders,
    )


@app.command
def frame(
    scene: Scene,
    /,
    *frames: Annotated[
        str, Parameter(help="120, -1, 50%, last, t=12.5s, lists, ranges and steps: 1,5,9..20 0..99:10. Or more .toml.")
    ],
    effort: Effort = AUTO,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Make single frames as PNG, training only what they need. Each has the same pixels as that frame of the film.

    The PNG contains its scene: given one in place of a scene, the command renders it again, byte for byte.

    Try:

        render frame mean_lr.toml 120
        render frame mean_lr.toml 0 50% last --quality hd
        render frame mean_lr.toml t=12.5s 1,5,9..20 0..99:10
        render frame mean_lr.toml last --set output.bits=16
    """
    from render import api
    from render.cli import messages, terminal

    more, chosen = parted(frames)
    written = api.frame(
        changes.load(scene, *more),
        *chosen,
        quality=effort.quality,
        budget_min=effort.budget,
        out=folders.out,
        store=folders.store,
        force=folders.force,
        make_backend=machines.make,
        listener=terminal.LISTENER,
    )
    messages.wrote(*written)


@app.command
def plan(
    scene: Scene,
    /,
    *more: More,
    effort: Effort = AUTO,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    store: Store = Path("store"),
    printing: Printing = PLAIN,
) -> None:
    """Report what a film would cost: levels, tiles, samples, time, disk. Only a measurement of a second is trained.

    Try:

        render plan mean_lr.toml
        render plan mean_lr.toml --quality full
    """
    from render import api
    from render.cli import terminal

    outlook = api.plan(
        changes.load(scene, *more),
        quality=effort.quality,
        budget_min=effort.budget,
        store=store,
        make_backend=machines.make,
        listener=terminal.LISTENER,
    )
    terminal.show_plan(outlook)


@app.command
def show(
    scene: Scene,
    /,
    *more: More,
    quality: Shown = "scene",
    changes: Changes = AS_WRITTEN,
    printing: Printing = PLAIN,
) -> None:
    """Print the whole scene as TOML, with every default and every change: what would be rendered.

    For values that are not in the scene's file, a comment tells where they come from.

    Try:

        render show mean_lr.toml
        render show mean_lr.toml --quality hd --shape square --palette vik
    """
    from render import scene as scenes

    loaded = changes.load(scene, *more)
    scenes.check_quality(quality, "scene")
    chosen = loaded if quality == "scene" else scenes.with_quality(loaded, quality)
    text = scenes.resolved(chosen) if printing.json else scenes.with_origins(chosen)
    print(
        jsonlib.dumps({"scene": text, "name": loaded.name, "origins": dict(chosen.origins)}) + "\n"
        if printing.json
        else text,
        end="",
    )


@app.command
def systems(name: OneSystem = None, /, *, printing: Printing = PLAIN) -> None:
    """List what can be trained: each system with its axes, settings, defaults, source and scenes.

    Try:

        render systems
        render systems mlp
    """
    from render.cli import systems

    systems.show(name)


app.command(own_model.new)
app.command(own_model.check)
app.command(points.probe)
app.command(exports.export)
app.command(exports.publish)
app.command(exports.poster)
app.command(descend.descend)
app.command(variants.sheet)
app.command(variants.recolour)
app.command(variants.encode)
app.command(maintenance.doctor)
app.command(maintenance.clean)
app.command(maintenance.store)


@app.command
def explore(
    scene: AnyScene = "",
    /,
    *,
    store: Store = Path("store"),
    folder: Annotated[GivenPath, Parameter(help="Folder for saved scenes.")] = Path("scenes"),
    port: Annotated[int | None, Parameter(help="Port on 127.0.0.1; by default 8640, or the next that is free.")] = None,
    open: Annotated[bool, Parameter(help="Open the page in a browser, where there is a screen.")] = True,
    machine: ThisMachine = ALL_OF_IT,
    trust: Trust = (),
    debug: Debug = False,
) -> None:
    """Look for a target with the mouse, in a page on this machine, and save a scene.

    It trains into the store that films use, so that a film of the saved scene has some of its samples already.

    Try:

        render explore mean_lr.toml
        render explore
    """
    from render import api
    from render.cli import messages

    take_trust(trust)
    ended = api.explore(
        str(scene), store=store, folder=folder, port=port, browse=open, announce=messages.served, note=messages.note
    )
    messages.note("The explorer has stopped. Every complete tile is in the store.")
    # Ctrl-C is the usual way to end it, and not a failure; other signals are reported by the exit code.
    code = 0 if signals.received() in (None, signal.SIGINT) else signals.exit_code()
    if not ended or code:
        _leave(code)


app.command(maintenance.jobscript)


def main() -> NoReturn:
    """Run the command line of this process, and end the process with the exit code of `run`."""
    streams.open_all()
    signals.listen()
    # Plans are small tuples without cycles: searching for cycles every 700 objects took as long as planning (2 s).
    gc.set_threshold(100_000)
    if code := run(sys.argv[1:]):
        _leave(code)
    sys.exit(0)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0, 2 for a user's mistake, 130 after Ctrl-C, 143 after SIGTERM.

    The exit code is 1 for results that count as a failure, such as a fault that doctor found.
    """
    debug, json = "--debug" in arguments, "--json" in arguments
    if json:
        from render.cli import messages

        messages.speak_json()

    def show(*lines: str) -> None:
        if json:
            print(jsonlib.dumps({"event": "error", "faults": lines}), file=sys.stderr)
        else:
            print("\n".join(f"render: {line}" for line in lines), file=sys.stderr)

    try:
        app(arguments, exit_on_error=False, print_error=False)
        streams.check_stdout()
    except (RenderError, CycloptsError) as error:
        if debug:
            raise
        show(*(error.faults if isinstance(error, SceneError) else (str(error),)))
        return 2
    except KeyboardInterrupt as stop:
        show(f"stopped. {signals.kept_after(stop)}")
        return signals.exit_code()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _leave(code: int) -> NoReturn:
    """End the process at once. A device thread may still be inside XLA, where a regular end would abort (SIGABRT)."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
