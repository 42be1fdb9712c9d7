"""A user's file on its way to the workers of a cluster: a process that was started by a person hands it to each."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import NamedTuple

from render.errors import ClusterError
from render.problem import Problem, own_model
from render.storage import trust

# What each worker gets once, with the code. Larger data would hold up the scheduler, which carries it.
_MOST_BYTES = 200_000_000


class Handed(NamedTuple):
    """A file that a worker may run. name: of its system. data: (relative path, content) of its data files."""

    name: str
    source: own_model.Source
    data: tuple[tuple[str, bytes], ...]


def of(problem: Problem) -> Handed | None:
    """Return what workers must be handed for a problem; None where it runs no user's code.

    Raises Untrusted for code that the person has not said to trust, ClusterError for data that is too large.
    """
    if not own_model.is_own(problem.system):
        return None
    trust.require(problem)
    known = own_model.find(problem.system)
    data = tuple((name, (known.folder / name).read_bytes()) for name, _ in known.source.data)
    if (size := sum(len(content) for _, content in data)) > _MOST_BYTES:
        raise ClusterError(
            f"{known.source.name}: its data files must have at most {_MOST_BYTES} bytes to be handed to workers, not "
            f"{size}. Train on this machine alone, or make them smaller."
        )
    return Handed(known.name, known.source, data)


def take(handed: Handed | None) -> None:
    """Take a file in this process, which may run it from now on."""
    if handed is None:
        return
    folder = Path(_scratch().name, handed.name.replace("#", "-"))
    for name, content in handed.data:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    own_model.add(handed.source, folder, handed.name)
    trust.accept(handed.source.code_digest)


def lacks(problem: Problem) -> bool:
    """Return whether this process would have to be handed the code of a problem first."""
    return own_model.is_own(problem.system) and not own_model.is_known(problem.system)


def versions(problem: Problem) -> dict[str, str]:
    """Return the versions that this process has of the packages which a problem's code imports."""
    return own_model.find(problem.system).source.installed() if own_model.is_own(problem.system) else {}


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="render-")  # removed when the process ends
