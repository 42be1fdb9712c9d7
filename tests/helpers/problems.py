"""Problems that differ from another one in a few fields or settings."""

import dataclasses
from typing import Any

from render.problem import Problem


def changed(problem: Problem, **changes: Any) -> Problem:
    """Return a problem with other fields or other settings of its system, by name. TypeError for a name it has not."""
    return dataclasses.replace(problem, **changes)
