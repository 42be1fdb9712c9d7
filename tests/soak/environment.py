"""Strange environments: a film is the same in them, or it is refused with a message. Trials are rows of data.

Variables (tests/helpers/environments.py), damaged caches, refusing file systems (tests/helpers/refusals.py), a quota of
processor time, and containers. What this machine cannot do is named in the result, and does not count as a trial.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.helpers import ROOT, environments, refusals

_FILM = ("video", str(ROOT / "scenes/tiny.toml"), "--quality", "scene")
_GROUPS = Path("/sys/fs/cgroup")

# How a command is put into a container: name -> the words before it.
_CONTAINERS = {
    "process numbers and a host name of its own": (
        *("unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-c", 'hostname box && exec "$@"', "sh"),
    ),
    "no network": ("unshare", "--net"),
    "a user without a name": ("unshare", "--user"),
}

# Processor time in microseconds of a period of 100,000, and how many cores must then be counted (at least one).
_QUOTAS_US = {"50000": 1, "100000": 1}


class Tally:
    """What was tried, what was wrong, and what this machine cannot do."""

    def __init__(self) -> None:
        self.tried: dict[str, int] = {}
        self.faults: list[str] = []
        self.missing: list[str] = []

    def count(self, kind: str, fault: str) -> None:
        """Count a trial; fault: what was wrong, or \"\"."""
        self.tried[kind] = self.tried.get(kind, 0) + 1
        if fault:
            self.faults.append(f"{kind}: {fault}")

    def __str__(self) -> str:
        tried = ", ".join(f"{count} {kind}" for kind, count in self.tried.items())
        return "; ".join([f"{tried}: every trial held", *(f"not tried: {what}" for what in self.missing)])


class Outcome(NamedTuple):
    """A film that was made in some environment. digest: of its bytes, \"\" if there is none."""

    code: int
    digest: str
    errors: str


def _film(folder: Path, variables: Mapping[str, str], before: tuple[str, ...] = ()) -> Outcome:
    folder.mkdir(exist_ok=True)
    words = [*before, sys.executable, "-m", "render.cli", *_FILM]
    done = subprocess.run(words, cwd=folder, env=dict(variables), capture_output=True, text=True, check=False)
    film = folder / "out/tiny/tiny-scene.mp4"
    digest = hashlib.sha256(film.read_bytes()).hexdigest() if film.exists() else ""
    return Outcome(done.returncode, digest, done.stderr)


def _difference(outcome: Outcome, usual: Outcome) -> str:
    if (outcome.code, outcome.digest) == (usual.code, usual.digest):
        return ""
    film = outcome.digest[:8] or "none"
    return f"ended with {outcome.code} and the film {film}, not {usual.digest[:8]}: {outcome.errors[-500:]}"


def _refusing(folder: Path, tally: Tally, usual: Outcome) -> None:
    library, why = refusals.build(folder)
    if library is None:
        tally.missing.append(f"file systems ({why})")
        return
    for number, refusal in enumerate(refusals.BORNE):
        here = folder / f"refusing-{number}"
        for name in ("home", "tmp"):
            (here / name).mkdir(parents=True)
        environ = {name: value for name, value in environments.clean().items() if name not in refusal.without}
        environ |= {name: value.format(here=here) for name, value in refusal.variables.items()}
        environ |= {"LD_PRELOAD": str(library), "REFUSE": refusal.refuse.format(here=here)}
        fault = _difference(_film(here, environ), usual)
        tally.count("file systems", fault and f"{refusal}: {fault}")


@contextlib.contextmanager
def _group(quota_us: str) -> Iterator[tuple[str, ...]]:
    """Make a control group with a quota; yield the words that start a command in it. Raise OSError if there is none."""
    if not (_GROUPS / "cgroup.controllers").is_file():
        raise OSError(errno.ENOTSUP, f"{_GROUPS} is no tree of control groups")
    group = _GROUPS / f"render-soak-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.max").write_text(f"{quota_us} 100000")
        yield ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    finally:
        group.rmdir()


def _with_quotas(folder: Path, tally: Tally, usual: Outcome) -> None:
    code = "from render.machine import cores; print(cores.count())"
    for quota_us, expected in _QUOTAS_US.items():
        try:
            with _group(quota_us) as before:
                words = [*before, sys.executable, "-c", code]
                counted = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
                fault = _difference(_film(folder / f"quota-{quota_us}", environments.clean(), before), usual)
        except OSError as error:
            tally.missing.append(f"a quota of {quota_us} us ({error})")
            continue
        fault = fault or ("" if counted == str(expected) else f"{counted} cores were counted, not {expected}")
        tally.count("quotas", fault and f"{quota_us} us: {fault}")


def _in_containers(folder: Path, tally: Tally, usual: Outcome) -> None:
    for number, (name, before) in enumerate(_CONTAINERS.items()):
        try:
            possible = subprocess.run([*before, "true"], capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            possible = False
        if not possible:
            tally.missing.append(f"a container with {name} (unshare)")
            continue
        fault = _difference(_film(folder / f"container-{number}", environments.clean(), before), usual)
        tally.count("containers", fault and f"{name}: {fault}")


def run(count: int | None = None) -> str:
    """Make every trial, or of variables only the first `count`; raise AssertionError with all that was wrong."""
    tally = Tally()
    for trial in itertools.islice(environments.trials(), count):
        tally.count("variables", environments.run(trial))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        usual = _film(folder / "usual", environments.clean())
        assert usual.code == 0 and usual.digest, usual.errors
        (folder / "caches").mkdir()
        faults = environments.damaged_caches(folder / "caches")
        for fault in faults or [""] * len(environments.DAMAGES):
            tally.count("damaged caches", fault)
        for kind in (_refusing, _with_quotas, _in_containers):
            kind(folder, tally, usual)
    assert not tally.faults, "\n".join(tally.faults)
    return str(tally)
