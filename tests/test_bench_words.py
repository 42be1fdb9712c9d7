"""The benchmarks say what they were asked for that they do not have, as the program does: no traceback."""

import subprocess
import sys

import pytest

from render.errors import RenderError
from tests.bench import __main__ as bench
from tests.helpers import ROOT


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["filmside"], 'bench has no part "filmside"; did you mean "film"[?] Its parts are kernel, ways, plan, film, '),
        (["kernel", "nothing"], 'bench has no part "nothing"'),
        (["kernel", "truth"], "bench truth is printed by itself: make bench ARGS=truth."),
        (["riddled", "basin"], "bench riddled takes no such words: basin."),
        (["onset", "wide"], 'bench onset takes a width of its nets, a whole number from 1 on, not "wide".'),
        (["truth", "tiny"], 'bench truth knows no widths for tiny, but for mean_lr, .* ARGS="truth tiny 1e-6,1e-8"'),
        (
            ["flashes", "preview", "long"],
            "bench flashes takes a quality, then minutes, then scenes; 'long' is no time.",
        ),
        (["flashes", "preview", "1", "mandelbrod"], 'There is no scene "mandelbrod"; did you mean'),
    ],
)
def test_a_benchmark_reports_what_it_lacks(words: list[str], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        bench.bench(words)


def test_the_command_ends_with_exit_code_2_and_the_message_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "filmside"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("bench: bench has no part") and "Traceback" not in done.stderr
