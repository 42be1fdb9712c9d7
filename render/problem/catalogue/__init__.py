"""Everything that can be trained or iterated, as pure data: one row of SYSTEMS each, in rows.

A row says what a scene may set, what its axes may be, and where the system comes from. Scene tables, their errors, the
editor schema, axis labels and `render systems` follow from it. The kernel is the function `make` in the file of
render/train/systems that the row names.
"""

from render.problem.catalogue.kinds import (
    LANES,
    OWN_KERNEL,
    Hyperparameter,
    NoSettings,
    Setting,
    Settings,
    System,
    Value,
    When,
)
from render.problem.catalogue.observables import OBSERVABLES, Observable
from render.problem.catalogue.rows import SYSTEMS

__all__ = [
    "LANES",
    "OBSERVABLES",
    "OWN_KERNEL",
    "SYSTEMS",
    "Hyperparameter",
    "NoSettings",
    "Observable",
    "Setting",
    "Settings",
    "System",
    "Value",
    "When",
    "add",
    "row",
]

# Rows that users' files declare, by their names: see render.problem.own_model.
_added: dict[str, System] = {}


def row(system: str) -> System:
    """Return the row of a system. KeyError if there is none, or if this process has not read the file behind it."""
    return SYSTEMS[system] if system in SYSTEMS else _added[system]


def add(name: str, declared: System) -> None:
    """Take up the row of a user's file, under a name that no row of SYSTEMS has."""
    assert name not in SYSTEMS
    _added[name] = declared
