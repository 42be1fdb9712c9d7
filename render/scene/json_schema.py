"""The JSON schema of scene files, for editors: any one system's tables, or those of a user's file."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from render.picture.channels import CHANNELS
from render.problem.catalogue import OBSERVABLES, SYSTEMS
from render.scene.tables import AxisTable, SceneTable, Table, absent, derived, look_table, of_system


class _OwnAxisTable(AxisTable):
    """One axis of the plane; its scale and range are the file's if it has none of its own."""


class _OwnProblemTable(Table):
    """A training problem in a user's own file, which declares what may be set of it."""

    model_config = ConfigDict(extra="allow")
    system: Annotated[str, Field(pattern=r"\.py$")]
    """A Python file; its path starts at the scene's folder."""
    x: _OwnAxisTable
    y: _OwnAxisTable
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = absent("Steps of a run.")
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Of everything random."""
    measure: Literal["published", "absolute", "bounded", "torkamandi"] = "published"
    fixed: dict[str, float] = absent("Hyperparameters that are not on an axis.")


def schema() -> dict[str, Any]:
    """Return the JSON schema of a scene file, for editors; its problem is the table of any one system."""
    problem = functools.reduce(operator.or_, (of_system(system).problem for system in SYSTEMS)) | _OwnProblemTable
    channels = dict.fromkeys([*CHANNELS, *(name for row in SYSTEMS.values() for name in row.channels), *OBSERVABLES])
    look = look_table("", tuple(channels))
    parts: dict[str, Any] = {"problem": (problem, ...), "look": (look, Field(default_factory=lambda: look()))}
    table = derived("SceneTable", SceneTable.__doc__ or "", parts, SceneTable)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **table.model_json_schema()}
