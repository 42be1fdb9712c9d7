"""The commands about users' own files: new, check."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from render.cli.options import ALL_OF_IT, PLAIN, GivenPath, Printing, ThisMachine, Trust, take_trust


def new(
    file: Annotated[GivenPath, Parameter(help="The Python file to write, such as my_net.py; a scene goes beside it.")],
    /,
    *,
    printing: Printing = PLAIN,
) -> None:
    """Write a commented training problem of your own, and its scene, to begin with.

    Try:

        render new my_net.py
        render frame my_net.toml 0 --quality preview
    """
    from render.cli import messages
    from render.tools import own_new

    code, scene = own_new.write(file)
    messages.wrote(code, scene)
    messages.note(
        f"Next: render check {code}, render frame {scene} 0 --quality preview. After a change of {code}, add "
        f"--trust {code}."
    )


def check(
    file: Annotated[GivenPath, Parameter(help="A Python file of a training problem, or a scene that names one.")],
    /,
    *,
    trust: Trust = (),
    machine: ThisMachine = ALL_OF_IT,
    printing: Printing = PLAIN,
) -> None:
    """Train a few runs of a file of your own, and say whether its samples can be kept and what they cost. Exit code 1
    if they cannot.

    Try:

        render check my_net.py --trust my_net.py
    """
    from render import scene
    from render.cli import terminal_maintenance
    from render.errors import RenderError
    from render.problem import own_model
    from render.tools import own_check

    take_trust(trust)
    problem = own_check.problem_of(file) if file.suffix == ".py" else scene.load(file).problem
    if not own_model.is_own(problem.system):
        raise RenderError(f"{file} trains {problem.system}, which comes with render: there is nothing to check.")
    bad = False
    for finding in own_check.examine(problem):
        terminal_maintenance.show_finding(finding)
        bad = bad or finding.state == "bad"
    if bad:
        raise SystemExit(1)
