"""Trust in the code of users: only the user can give it, never a scene, picture, film or page.

The user trusts a file with `--trust FILE`, once for each content of it. The SHA-256 of the code is recorded in the
user's configuration folder. A worker of a cluster receives the trust, with the code, from the user's own process.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os

from render.errors import RenderError
from render.files import places
from render.problem import Problem, own_model

_accepted: set[str] = set()


class Untrusted(RenderError):
    """A scene would run code that the user has not trusted."""


def accept(code_digest: str) -> None:
    """Let this process run some code. Call it only for code that the user named or installed."""
    _accepted.add(code_digest)


def remember(source: own_model.Source) -> bool:
    """Let this and later processes of this user run some code. Return False if the trust cannot be recorded."""
    accept(source.code_digest)
    folder = places.config_folder("trusted")
    if folder is None:
        return False
    record = {"file": source.name, "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    with contextlib.suppress(OSError):
        (folder / source.code_digest).write_text(json.dumps(record) + "\n", encoding="utf-8")
        return True
    return False


def is_trusted(source: own_model.Source) -> bool:
    """Return whether this process may run some code."""
    if source.code_digest in _accepted:
        return True
    folder = places.config_folder("trusted", make=False)
    return folder is not None and (folder / source.code_digest).is_file()


def require(problem: Problem) -> None:
    """Raise Untrusted if training a problem would run code that the user has not trusted."""
    if not own_model.is_own(problem.system):
        return
    if not own_model.is_known(problem.system):
        file = problem.system.partition("#")[0]
        raise Untrusted(f"This process was not given the code of {file}, and trains nothing.")
    known = own_model.find(problem.system)
    if not is_trusted(known.source):
        others = [declared for declared, _ in known.source.modules if declared]
        beside = f", with {', '.join(others)} beside it," if others else ""
        path = os.path.relpath(known.folder / known.source.name)
        raise Untrusted(
            f"{known.source.name}{beside} is code, which training this scene runs, and you have not said that you "
            f"trust it as it is now. Read it; then give --trust {path} (in Python: render.trust({path!r})) once."
        )
