"""What can be trained or iterated, as pure data: one row of SYSTEMS each, in rows.

A row says what a scene may set, what its axes may be, and where the system comes from. Scene tables, their errors, the
editor schema, axis labels and `render systems` follow from it. The kernel is the function `make` in the file of
render/train/systems that the row names.
"""

from render.problem.catalogue.kinds import LANES, Hyperparameter, NoSettings, Setting, Settings, System, Value, When
from render.problem.catalogue.rows import SYSTEMS

__all__ = ["LANES", "SYSTEMS", "Hyperparameter", "NoSettings", "Setting", "Settings", "System", "Value", "When"]
