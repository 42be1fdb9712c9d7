"""`render analyse`: arguments and printing only. The measurements are in render.analyse."""

from __future__ import annotations

from pathlib import Path
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
    from render.film.training_rate import Rate
    from render.geometry.tiles import Tile
    from render.scene import Scene as Loaded

app = App(
    name="analyse",
    help="""Measure a scene: its boundary's dimension, where float64 ends, what tuning by random search sees.

    Each analysis prints a table and writes a JSON file and a plot. Its samples go to the store that films use, so that
    a command which was stopped with Ctrl-C goes on where it was. """,
)


# Tables of a scene on which no analysis depends.
_UNMEASURED = ("look",)


@app.command
def dimension(
    scene: Scene,
    /,
    *more: More,
    side: Annotated[int, Parameter(help="Samples along a window: 64 (minutes), 128, 256, 512, 1024 (days).")] = 64,
    deepest: Annotated[int | None, Parameter(help="Only so many windows, counted from the last view upwards.")] = None,
    over: Annotated[
        Literal["steps"] | None, Parameter(help='"steps": after more and more training steps, over all windows.')
    ] = None,
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

    def plan(what: Subject) -> tuple[int, Callable[[], Rate]]:
        tiles = measuring.tiles_of(measuring.windows(what.scene, side, deepest))
        return subject.missing_samples(what, tiles), _rate_of(what, tiles)

    def run(what: Subject, report: Report) -> measuring.Result | dimension_over_steps.Result:
        return (dimension_over_steps.run if over else measuring.run)(what, side, deepest, report)

    name = _dimension_name(side, deepest, over)
    loaded = changes.load(scene, *more)
    areas = measuring.windows(loaded, side, deepest)
    level = areas[-1].level

    def then() -> tuple[float, str]:
        steps = loaded.problem.steps
        over_s = dimension_over_steps.measuring_s(side, len(areas), steps) if over else None
        return over_s or measuring.measuring_s(side, len(areas)), f"measuring the {len(areas)} windows"

    if over:
        loaded = dimension_over_steps.asking(loaded)
        table, conclude = tables.of_dimension_over_steps, conclusions.of_dimension_over_steps
        _analyse(loaded, name, folders, machines, plan, run, table, conclude, level, then)
    else:
        _analyse(loaded, name, folders, machines, plan, run, tables.of_dimension, conclusions.of_dimension, level, then)


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
    """Measure where float64 ends for the film's target, and how deep there is structure at the target.

    It trains on this machine, since it compares two orders of summation on one processor.

    Try:

        render analyse precision mean_lr.toml
    """
    from render.analyse import conclusions, subject, tables
    from render.analyse import precision as measuring

    loaded = changes.load(scene, *more)
    level = subject.last_level(loaded)
    _analyse(
        loaded,
        "precision",
        folders,
        HERE,
        measuring.outlook,
        measuring.run,
        tables.of_precision,
        conclusions.of_precision,
        level,
    )


@app.command
def tuning(
    scene: Scene,
    /,
    *more: More,
    draws: Annotated[int, Parameter(help="Independent draws, uniform in log10 on log10 axes.")] = 1024,
    seed: Annotated[int, Parameter(help="The seed of the draws.")] = 0,
    last_view: Annotated[bool, Parameter(help="Draw from the film's last view, not from the whole plane.")] = False,
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
    from render.analyse import dimension as windows
    from render.analyse import tuning as measuring
    from render.geometry.tiles import Tile

    measuring.need_opda()

    def plan(what: Subject) -> tuple[int, Callable[[], Rate]]:
        drawn_from = windows.tiles_of(windows.windows(what.scene, 64, 1)) if last_view else [Tile(0, 0, 0)]
        x, y = measuring.points(what.scene, draws, seed, last_view)
        return subject.missing_points(what, x, y), _rate_of(what, drawn_from)

    def run(what: Subject, report: Report) -> measuring.Result:
        return measuring.run(what, draws, seed, last_view, report)

    options = {"": draws if draws != 1024 else None, "seed": seed or None}
    name = "tuning" + ("-last-view" if last_view else "")
    name += "".join(f"-{option}{value}" for option, value in options.items() if value is not None)
    loaded = changes.load(scene, *more)

    def then() -> tuple[float, str]:
        return measuring.fitting_s(draws, last_view), "the fits to the low tail"

    _analyse(loaded, name, folders, machines, plan, run, tables.of_tuning, conclusions.of_tuning, then=then)


@app.command(name="all")
def every_scene(
    *scenes: Annotated[
        str | Path, Parameter(help="Scenes to measure; those of the documentation's table if none are given.")
    ],
    side: Annotated[int, Parameter(help="Samples along a window: 64 (minutes a scene), 128, 256, 512, 1024.")] = 64,
    deepest: Annotated[
        int | None, Parameter(help="Only so many windows of each scene, counted from the last view upwards.")
    ] = None,
    plan: Annotated[bool, Parameter(help="Report the cost, and train nothing.", negative="")] = False,
    machine: ThisMachine = ALL_OF_IT,
    folders: Folders = HOME,
    printing: Printing = PLAIN,
) -> None:
    """Measure the dimension of many scenes, one after the other, and print one table: that of the documentation.

    The cost of the training is reported first. The files of each scene are written as soon as it is measured, and a
    command that was stopped with Ctrl-C goes on where it was. It trains on this machine.

    Try:

        render analyse all --plan
        render analyse all
        render analyse all linear.toml frozen.toml --deepest 4
    """
    import time

    from render.analyse import conclusions, files, subject, tables
    from render.analyse import dimension as measuring
    from render.analyse import every_scene as together
    from render.api import output_names
    from render.cli import messages, terminal
    from render.files.atomic import check_target

    chosen = [AS_WRITTEN.load(name) for name in scenes or together.SCENES]
    kind = _dimension_name(side, deepest)
    windows = [measuring.windows(loaded, side, deepest) for loaded in chosen]
    summary = output_names.folder(folders.out) / f"{kind}-all.json"
    problems = [loaded.problem.key for loaded in chosen]
    places = []
    if not plan:  # a plan writes no files and makes no folders
        check_target(summary)
        if not folders.force:
            together.check(summary, problems)
        places = [_targets(loaded, kind, folders) for loaded in chosen]
    outlooks = []
    window_s = measuring.measuring_s(side, 1)
    for loaded, areas in zip(chosen, windows, strict=True):
        what = subject.prepare(loaded, folders.store, read_only=plan)
        tiles = measuring.tiles_of(areas)
        to_do = subject.missing_samples(what, tiles)
        time_s = terminal.training_time_s(loaded.problem, tiles, to_do, what.backend) + len(areas) * window_s
        outlooks.append(together.Outlook(loaded.name, len(areas), subject.samples(what, tiles), to_do, time_s))
    total = together.total(outlooks)
    messages.show(tables.of_outlooks(outlooks))
    messages.result("plan", "", scenes=[vars(outlook) for outlook in outlooks])
    took = f"about {terminal.duration(total.time_s)}" if total.to_do else "everything is in the store"
    messages.note(f"{len(chosen)} scenes, {total.to_do:,} training runs to do: {took}.")
    if plan:
        return
    rows = []
    for loaded, areas, outlook, targets in zip(chosen, windows, outlooks, places, strict=True):
        begun_s = time.monotonic()
        what = _prepared(loaded, folders, HERE, areas[-1].level)
        with terminal.progress() as report:
            result = measuring.run(what, side, deepest, report)
        rows.append(together.row(result, outlook.samples, time.monotonic() - begun_s))
        conclusion = conclusions.of_dimension(result)
        _write(result, conclusion, what, loaded, targets, "dimension")
        messages.note(f"{loaded.name}: {conclusion}")
    measured = together.Result(side, tuple(rows))
    messages.show(tables.of_every_scene(measured))
    facts = files.facts(measured, asked=problems)
    messages.result("all", "", **facts)
    messages.wrote(files.write_json(summary, facts))


def _dimension_name(side: int, deepest: int | None, over: str | None = None) -> str:
    """Return the name of a measurement of the dimension, for the names of its files."""
    options = (
        f"-over-{over}" if over else "",
        f"-{side}" if side != 64 else "",
        f"-deepest{deepest}" if deepest else "",
    )
    return "dimension" + "".join(options)


def _targets(loaded: Loaded, kind: str, folders: Folders) -> list[Path]:
    """Return the paths of the JSON file and the plot of a measurement. RenderError if they must not be replaced."""
    from render import scene as scenes
    from render.api import output_names
    from render.files.atomic import check_target
    from render.film import replacing

    out = output_names.folder(folders.out)
    tag = scenes.tag(loaded, _UNMEASURED)
    stem = f"{loaded.name}-{kind}{'-' * bool(tag)}{tag}"  # not with_suffix, since a name may have dots in it
    targets = [out / loaded.name / f"{stem}{suffix}" for suffix in (".json", ".png")]
    for target in targets:
        check_target(target)
    replacing.check(targets[0], loaded, force=folders.force, unseen=_UNMEASURED)
    return targets


def _prepared(loaded: Loaded, folders: Folders, machines: Machines, level: int) -> Subject:
    """Return a scene that is ready to be measured, with the reference runs that its levels need."""
    from render.analyse import subject
    from render.api import preparation
    from render.cli import terminal

    with preparation.reference_run(terminal.LISTENER) as report_step:
        return subject.prepare(loaded, folders.store, machines.make, level=level, report_step=report_step)


def _write(result: Any, conclusion: str, what: Subject, loaded: Loaded, targets: list[Path], event: str) -> list[Path]:
    """Report a result as JSON, and write its file and its plot; return their paths."""
    from render import scene as scenes
    from render.analyse import files, plots
    from render.cli import messages

    made_of = scenes.provenance(loaded, "scene", what.numerics)
    facts = files.facts(result, conclusion=conclusion, numerics=what.numerics, made_of=made_of)
    messages.result(event, "", **facts)
    written = [files.write_json(targets[0], facts)]
    plot = plots.draw(result, targets[1])
    if plot is None:
        messages.note(plots.MISSING)
    return [*written, *([plot] if plot else [])]


def _rate_of(what: Subject, tiles: list[Tile]) -> Callable[[], Rate]:
    """Return a function that measures the rate of training runs spread over some tiles."""
    from render.film import training_rate

    return lambda: training_rate.measure_tiles(what.problem, tiles, what.backend)


def _analyse(
    loaded: Loaded,
    kind: str,
    folders: Folders,
    machines: Machines,
    plan: Callable[[Subject], tuple[int, Callable[[], Rate]]],
    run: Callable[[Subject, Report], Any],
    table: Callable[[Any], Any],
    conclude: Callable[[Any], str],
    level: int = 0,
    then: Callable[[], tuple[float, str]] = lambda: (0.0, ""),
) -> None:
    """Announce the measurement, run it with progress, print the result, and write the files.

    kind: what is measured, then its options, each after a dash. plan: returns how many runs have to be trained, and the
    function that measures their rate. level: the deepest one that is needed. then: as in `terminal.announce`.
    """
    from render.cli import messages, terminal

    targets = _targets(loaded, kind, folders)
    what = _prepared(loaded, folders, machines, level)
    runs, measure = plan(what)
    terminal.announce(f"{loaded.name}, {kind}", runs, measure, then)
    with terminal.progress() as report:
        result = run(what, report)
    messages.show(table(result))
    messages.wrote(*_write(result, conclude(result), what, loaded, targets, kind.partition("-")[0]))
