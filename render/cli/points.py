"""The command that trains at single points."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from render.cli.options import (
    AS_WRITTEN,
    HERE,
    PLAIN,
    Changes,
    Force,
    GivenPath,
    Machines,
    More,
    Printing,
    Scene,
    Store,
    path_given,
)


def probe(
    scene: Scene,
    /,
    *more: More,
    points: Annotated[GivenPath, Parameter(help="CSV with columns x and y, or of the axes' names, in their units.")],
    out: Annotated[
        GivenPath,
        Parameter(
            help="CSV to write: the point, value (below 0: converged; farther from 0: slower), status, final_loss, "
            "escape_step (-1: it never escaped), and the system's channels."
        ),
    ],
    precision: Annotated[
        Literal["auto", "float64", "differences", "exact"],
        Parameter(
            help='"float64"; "differences" from a reference run in as many digits as it takes; "auto", which takes '
            'these for points whose digits float64 cannot hold; or "exact", every run by itself in as many bits as it '
            "needs, which are written in a column of their own."
        ),
    ] = "auto",
    steps: Annotated[int | None, Parameter(help="Steps of every run, instead of the scene's.")] = None,
    trace: Annotated[
        Path | None,
        Parameter(
            converter=path_given, help="CSV to write besides: point (its row, from 0), step, and the loss before it."
        ),
    ] = None,
    changes: Changes = AS_WRITTEN,
    machines: Machines = HERE,
    store: Store = Path("store"),
    force: Force = False,
    printing: Printing = PLAIN,
) -> None:
    """Train at the points of a table and write what happened there.

    Points may have any number of digits: past float64 they are followed by their differences from a reference run,
    which is made if the store has none near (a minute or two, once). Exact runs take seconds to minutes each; they are
    kept in the store, and the same command goes on where it was stopped.

    Try:

        render probe mean_lr.toml --points points.csv --out values.csv
        render probe mean_lr.toml --points points.csv --out values.csv --backend dask
        render probe tanh.toml --points few.csv --out values.csv --steps 100 --trace losses.csv
        render probe tanh.toml --points deep.csv --out values.csv --precision differences
        render probe tanh.toml --points few.csv --out values.csv --precision exact
    """
    try:
        from render.api import output_names
        from render.cli import messages
        from render.errors import RenderError
        from render.tools import probe as probing
        from render.tools import probe_summary

        output_names.file(out, "a table", ".csv")
        if trace is not None:
            output_names.file(trace, "a table", ".csv", what="--trace")
        if trace is not None and machines.kernel != "xla":
            raise RenderError("--trace writes losses of XLA's kernel: leave out --kernel fused, or --trace.")
        with messages.working("probing") as report:
            loaded, where = changes.load(scene, *more), machines.make
            to_stdout = _is_stdout(out)
            result = probing.run(
                loaded,
                points,
                out,
                precision=precision,
                steps=steps,
                trace=trace,
                force=force,
                make_backend=where,
                store=store,
                report_step=report,
                remark=messages.note,
            )
    except KeyboardInterrupt as stop:
        kept = "Exact runs are kept; no table was written." if precision == "exact" else str(stop)
        raise KeyboardInterrupt(kept or "Probes are not stored, and nothing was written.") from None
    messages.emit("probed", probe_summary.sentence(result), runs=probe_summary.counts(result))
    if not to_stdout:
        messages.wrote(out)
    if trace is not None:
        messages.wrote(trace)


def _is_stdout(path: Path) -> bool:
    """Return whether a path leads to the standard output of this process, so that printing would write into it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False
