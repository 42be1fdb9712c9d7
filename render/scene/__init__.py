"""Scene files: TOML text -> a validated Scene.

files finds and reads them, checks turns their text into a Scene of values, and tables is their layout.
"""

from render.scene.checks import parse
from render.scene.files import find, load, names
from render.scene.tables import AxisTable, schema
from render.scene.values import QUALITY, Output, Quality, Scene, with_quality

__all__ = [
    "QUALITY",
    "AxisTable",
    "Output",
    "Quality",
    "Scene",
    "find",
    "load",
    "names",
    "parse",
    "schema",
    "with_quality",
]
