"""`render analyse`: arguments and printing only. What is measured is in render.analyse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from render.cli.options import (
    ALL_OF_IT,
    AS_WRITTEN,
    HERE,
    HOME,
    PLAIN,
    Changes,
    Folders,
    Machines,
    More,
    Printing,
    Scene,
    ThisMachine,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from render.analyse.subject import Subject
    from render.film.rendering import Report
    from render.geometry.tiles import Tile
    from render.scene import Scene as Loaded

app = App(
    name="analyse",
    help="""Measure a scene: its boundary's dimension, where float64 ends, what tuning by random search sees.

    Each prints a table and writes a JSON file and a plot. Samples go to the same store as a film's; stopped with
    Ctrl-C, the same command goes on.
    """,
)


# What no analysis looks at.
_UNMEASURED = ("look",)


@app.command
def dimension(
    scene: Scene,
    /,
    *more: More,
    side: Annotated[int, Parameter(help="Samples along a window: 64 (minutes), 128, 256, 512, 1024 (days).")] = 64,
    deepest: Annotated[int | None, Parameter(help="Only so many windows, from the last view up.")] = None,
    over: Annotated[Literal["steps"] | None, Parameter(help='"steps": over training, all windows together.')] = None,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Measure the dimension of the boundary in every octave of the film, beside null models and the published number.

    Try:

        render analyse dimension tanh.toml
        render analyse dimension linear.toml --side 128 --deepest 8
        render analyse dimension tanh.toml --over steps --deepest 8
    """
    from render.analyse import conclusions, dimension_over_steps, subject, tables
    from render.analyse import dimension as measuring

    def plan(what: Subject) -> tuple[list[Tile], int]:
        tiles = measuring.tiles_of(measuring.windows(what.scene, side, deepest))
        return tiles, subject.missing_samples(what, tiles)

    def run(what: Subject, report: Report) -> measuring.Result | dimension_over_steps.Result:
        return (dimension_over_steps.run if over else measuring.run)(what, side, deepest, report)

    name = (
        "dimension"
        + (f"-over-{over}" if over else "")
        + (f"-{side}" if side != 64 else "")
        + (f"-deepest{deepest}" if deepest else "")
    )
    loaded = changes.load(scene, *more)
    level = measuring.windows(loaded, side, deepest)[-1].level
    if over:
        loaded = dimension_over_steps.asking(loaded)
        table, conclude = tables.of_dimension_over_steps, conclusions.of_dimension_over_steps
        _analyse(loaded, name, folders, machines, plan, run, table, conclude, level)
    else:
        _analyse(loaded, name, folders, machines, plan, run, tables.of_dimension, conclusions.of_dimension, level)


@app.command
def precision(
    scene: Scene,
    /,
    *more: More,
    changes: Changes = AS_WRITTEN,
    machine: ThisMachine = ALL_OF_IT,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Measure where float64 ends for the film's target, and how many decades the target is worth. On this machine:
    what is compared are two orders of sums on one processor.

    Try:

        render analyse precision mean_lr.toml
    """
    from render.analyse import conclusions, subject, tables
    from render.analyse import precision as measuring
    from render.geometry.tiles import Tile

    def plan(what: Subject) -> tuple[list[Tile], int]:
        return [Tile(0, 0, 0)], measuring.expected_runs(what.scene)

    loaded = changes.load(scene, *more)
    level = subject.last_level(loaded)
    _analyse(
        loaded, "precision", folders, HERE, plan, measuring.run, tables.of_precision, conclusions.of_precision, level
    )


@app.command
def tuning(
    scene: Scene,
    /,
    *more: More,
    draws: Annotated[int, Parameter(help="Independent draws, even in log10 on log10 axes.")] = 1024,
    seed: Annotated[int, Parameter(help="Of the draws.")] = 0,
    last_view: Annotated[bool, Parameter(help="Draw in the film's last view, not in the whole plane.")] = False,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Measure what random search sees: the tuning curve with bands, and the noisy quadratic of its low tail.

    Try:

        render analyse tuning tanh.toml
        render analyse tuning tanh.toml --draws 4096
    """
    from render.analyse import conclusions, subject, tables
    from render.analyse import tuning as measuring
    from render.geometry.tiles import Tile

    measuring.need_opda()

    def plan(what: Subject) -> tuple[list[Tile], int]:
        return [Tile(0, 0, 0)], subject.missing_points(what, *measuring.points(what.scene, draws, seed, last_view))

    def run(what: Subject, report: Report) -> measuring.Result:
        return measuring.run(what, draws, seed, last_view, report)

    options = {"": draws if draws != 1024 else None, "seed": seed or None}
    name = "tuning" + ("-last-view" if last_view else "")
    name += "".join(f"-{option}{value}" for option, value in options.items() if value is not None)
    loaded = changes.load(scene, *more)

    def then() -> tuple[float, str]:
        return measuring.fitting_s(draws), "the fits to the low tail"

    _analyse(loaded, name, folders, machines, plan, run, tables.of_tuning, conclusions.of_tuning, then=then)


def _analyse(
    loaded: Loaded,
    kind: str,
    folders: Folders,
    machines: Machines,
    plan: Callable[[Subject], tuple[list[Tile], int]],
    run: Callable[[Subject, Report], Any],
    table: Callable[[Any], Any],
    conclude: Callable[[Any], str],
    level: int = 0,
    then: Callable[[], tuple[float, str]] = lambda: (0.0, ""),
) -> None:
    """Announce the measurement, run it with progress, print the result, and write the files.

    kind: what is measured, then its options, each after a dash. plan: gives tiles to time, and the runs to do. level:
    the deepest that is looked at. then: as in `terminal.announce`.
    """
    from render import scene as scenes
    from render.analyse import files, plots, subject
    from render.api import preparation
    from render.cli import messages, terminal
    from render.files.atomic import check_target
    from render.film import replacing

    tag = scenes.tag(loaded, _UNMEASURED)
    stem = f"{loaded.name}-{kind}{'-' * bool(tag)}{tag}"  # a name may have dots in it
    targets = [folders.out / loaded.name / f"{stem}{suffix}" for suffix in (".json", ".png")]
    for target in targets:
        check_target(target)
    replacing.check(targets[0], loaded, force=folders.force, unseen=_UNMEASURED)
    with preparation.reference_run(terminal.LISTENER) as report_step:
        what = subject.prepare(loaded, folders.store, machines.make, level=level, report_step=report_step)
    tiles, runs = plan(what)
    terminal.announce(f"{loaded.name}, {kind}", loaded.problem, tiles, runs, what.backend, then)
    with terminal.progress() as report:
        result = run(what, report)
    facts = files.facts(
        result,
        conclusion=conclude(result),
        numerics=what.numerics,
        made_of=scenes.provenance(loaded, "scene", what.numerics),
    )
    messages.result(kind.partition("-")[0], "", **facts)
    messages.show(table(result))
    written = [files.write_json(targets[0], facts)]
    plot = plots.draw(result, targets[1])
    if plot is None:
        messages.note(plots.MISSING)
    messages.wrote(*written, *([plot] if plot else []))
