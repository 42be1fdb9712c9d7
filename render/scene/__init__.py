"""Scene files: TOML text -> a validated Scene.

files finds and reads them, layers lays several over each other, checks turns their fields into a Scene of values, and
tables is their layout. records reads the scene out of what was made from it.
"""

from render.scene.checks import parse
from render.scene.files import find, load, names, resolved, with_origins, with_schema, with_system
from render.scene.json_schema import schema
from render.scene.naming import name_of
from render.scene.tables import AxisTable
from render.scene.values import (
    QUALITY,
    SHAPES,
    Bifurcation,
    Output,
    OutputRecord,
    Quality,
    Scene,
    check_quality,
    with_quality,
    with_shape,
)
from render.scene.variants import between, changed_from, is_among, provenance, tag

__all__ = [
    "QUALITY",
    "SHAPES",
    "AxisTable",
    "Bifurcation",
    "Output",
    "OutputRecord",
    "Quality",
    "Scene",
    "between",
    "changed_from",
    "check_quality",
    "find",
    "is_among",
    "load",
    "name_of",
    "names",
    "parse",
    "provenance",
    "resolved",
    "schema",
    "tag",
    "with_origins",
    "with_quality",
    "with_schema",
    "with_shape",
    "with_system",
]
