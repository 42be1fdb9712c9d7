"""The command line: arguments and printing only. Everything it does is in render.film, render.plan and render.scene."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter

import render
from render.cli_analyse import app as analyse
from render.errors import RenderError, SceneError

app = App(
    name="render",
    version=render.__version__,
    help="""Films that zoom through the landscape of neural-network training.

    Every sample of a picture is one complete training run at one pair of hyperparameters: blue where it
    converges, red where it diverges. A SCENE is a TOML file, or the name of one in scenes/.

        render plan    mean_lr.toml                  what it would cost; trains nothing
        render preview mean_lr.toml                  a small film, from the same samples
        render video   mean_lr.toml --quality hd     the film
        render frame   mean_lr.toml 50% last         single frames as PNG
        render probe   mean_lr.toml --points p.csv --out v.csv
        render analyse dimension mean_lr.toml        the fractal dimension of the boundary, level by level
    """,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main() says what was kept
)

app.command(analyse)

Scene = Annotated[str, Parameter(help="A scene file, or the name of one in scenes/.")]
Quality = Annotated[
    str,
    Parameter(
        help='"auto" (the scene\'s own output if this machine can train it in the budget, else the best preset that '
        'fits), "scene", or a preset: preview, soft, draft, fine, hd, full, uhd.'
    ),
]
Out = Annotated[Path, Parameter(help="Folder for what is made.")]
Store = Annotated[Path, Parameter(help="Folder of trained samples, shared by all scenes and qualities.")]
Budget = Annotated[float, Parameter(help="Minutes of training that quality auto allows itself.")]
Debug = Annotated[bool, Parameter(help="Show a traceback with an error.", negative="")]


@app.command
def video(
    scene: Scene,
    /,
    *,
    quality: Quality = "auto",
    budget: Budget = 15.0,
    out: Out = Path("out"),
    store: Store = Path("store"),
    debug: Debug = False,
) -> None:
    """Make the film: train what is missing, colour, encode. The same command goes on where it stopped.

    Try:

        render video mean_lr.toml
        render video mean_lr.toml --quality hd
    """
    from render import film, terminal

    job = terminal.prepare(scene, quality, budget, store)
    path = out / job.scene.name / f"{job.scene.name}-{job.quality}.mp4"
    with terminal.progress(job) as report:
        film.video(job, path, report)
    terminal.wrote(path)


@app.command
def preview(
    scene: Scene,
    /,
    *,
    out: Out = Path("out"),
    store: Store = Path("store"),
    debug: Debug = False,
) -> None:
    """Make the smallest film of a scene, soft but whole. Its samples count for every larger one.

    Try:

        render preview mean_lr.toml
    """
    video(scene, quality="preview", out=out, store=store)


@app.command
def frame(
    scene: Scene,
    /,
    *frames: Annotated[str, Parameter(help="120, 50%, last, t=12.5s, or lists and ranges: 1,5,9..20.")],
    quality: Quality = "auto",
    budget: Budget = 15.0,
    out: Out = Path("out"),
    store: Store = Path("store"),
    debug: Debug = False,
) -> None:
    """Make single frames as PNG, training only what they need. Each equals that frame of the film.

    Try:

        render frame mean_lr.toml 120
        render frame mean_lr.toml 0 50% last --quality hd
        render frame mean_lr.toml t=12.5s 1,5,9..20
    """
    from render import film, terminal

    job = terminal.prepare(scene, quality, budget, store, whole_film=False)
    numbers = film.frame_numbers(frames or ("last",), job)
    folder = out / job.scene.name
    with terminal.progress(job) as report:
        written = film.stills(job, numbers, lambda n: folder / f"{job.scene.name}-{job.quality}-{n:05d}.png", report)
    terminal.wrote(*written)


@app.command
def plan(
    scene: Scene,
    /,
    *,
    quality: Quality = "auto",
    budget: Budget = 15.0,
    store: Store = Path("store"),
    debug: Debug = False,
) -> None:
    """Say what a film would cost: levels, tiles, samples, time, disk. Trains nothing but a second's measurement.

    Try:

        render plan mean_lr.toml
        render plan mean_lr.toml --quality full
    """
    from render import terminal

    terminal.show_plan(scene, quality, budget, store)


@app.command
def probe(
    scene: Scene,
    /,
    *,
    points: Annotated[Path, Parameter(help="CSV with columns x and y, in hyperparameter units.")],
    out: Annotated[Path, Parameter(help="CSV to write: x, y, value, status, final_loss, escape_step.")],
    debug: Debug = False,
) -> None:
    """Train at the points of a table and write what happened there.

    Try:

        render probe mean_lr.toml --points points.csv --out values.csv
    """
    from render import probe as probing
    from render import terminal

    try:
        with terminal.working("probing"):
            probing.run(scene, points, out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Probes are not stored, and nothing was written.") from None
    terminal.wrote(out)


@app.command
def systems(
    name: Annotated[str | None, Parameter(help="A system, for all that can be set of it.")] = None,
    /,
    *,
    debug: Debug = False,
) -> None:
    """List what can be trained: each system with its axes, settings, defaults, source and scenes.

    Try:

        render systems
        render systems mlp
    """
    from render import listing

    listing.show(name)


def main() -> NoReturn:
    """Run the command line: exit code 0, 2 for a person's mistake, 130 after Ctrl-C."""
    debug = "--debug" in sys.argv
    with _one_line_errors(debug):
        app(exit_on_error=False, print_error=False)
    sys.exit(0)


@contextlib.contextmanager
def _one_line_errors(debug: bool) -> Iterator[None]:
    try:
        yield
    except (RenderError, CycloptsError) as error:
        if debug:
            raise
        lines = error.faults if isinstance(error, SceneError) else (str(error),)
        for line in lines:
            print(f"render: {line}", file=sys.stderr)
        _leave(2)
    except KeyboardInterrupt as stop:
        kept = str(stop) or "Trained tiles are kept; the same command goes on from here."
        print(f"render: stopped. {kept}", file=sys.stderr)
        _leave(130)
    except BrokenPipeError:
        _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process at once. Files are closed or discarded by now; a device thread may still be inside XLA, and
    the interpreter's own shutdown would abort under it (SIGABRT instead of the exit code)."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
