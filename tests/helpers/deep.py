"""Small problems with views past float64."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from render import scene
from render.deep.reference_search import Point
from render.problem import Problem

# log10 of x and y on the border of the small net below, found by render.deep.descend (seed 0) down to 1e-30 decades.
CENTRE = "4.076238319023551641018453985043968376236812543842", "0.7400863903897620748862577410305874095456359522554"


def small(name: str = "tiny", **settings: Any) -> Problem:
    """A shipped scene's problem, with a net of four units and eight examples."""
    p = scene.load(name).problem
    sized = {"width": 4, "examples": 8} if p.system == "mlp" else {}
    sized |= {"batch": 4} if name == "minibatch" else {}
    steps = settings.pop("steps", 200)
    return Problem(p.x, p.y, p.system, steps=steps, fixed=p.fixed, settings=p.settings, **sized | settings)


def square(width: str, side: int, centre: tuple[str, str] = CENTRE) -> list[Point]:
    """Points of a square view, evenly spaced in log10."""
    with localcontext() as context:
        context.prec = 80
        offsets = [Decimal(width) * (2 * i + 1 - side) / (2 * side) for i in range(side)]
        x, y = ([Fraction(10 ** (Decimal(c) + a)) for a in offsets] for c in centre)
    return [Point(a, b) for b in y for a in x]
