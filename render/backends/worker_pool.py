"""The workers of a scheduler, as they join and leave, and which of them may train for one render."""

from __future__ import annotations

import atexit
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from render.backends import handed_code
from render.backends.worker import Facts, facts
from render.errors import ClusterError
from render.problem import Problem

# Interval at which the scheduler is asked for its workers.
_LOOK_S = 2.0

Notice = Callable[[str], None]


class Roster:
    """The workers whose numerics are those of the render, and those left out. Refreshed every two seconds."""

    def __init__(self, client: Any, problem: Problem, notice: Notice, *, wait_s: float) -> None:
        """Wait for the first workers and settle on the numerics that most of their slots have."""
        self._client, self._problem, self._notice = client, problem, notice
        self._handed = handed_code.of(problem)
        self.known: dict[str, Facts] = {}
        self._sick: set[str] = set()
        self._ended = threading.Event()
        self._meet(self._first(wait_s))
        if not self.known:
            raise ClusterError(
                "No worker of the cluster can train: " + "; ".join(sorted(self._faults)) + ". "
                "Each must have this version of render installed."
            )
        votes: Counter[str] = Counter()
        for one in self.known.values():
            votes[_alike(one)] += one.slots
        chosen = votes.most_common(1)[0][0]
        first = next(one for one in self.known.values() if _alike(one) == chosen)
        self.numerics, self.proof = first.numerics, first.proof
        self._report_mismatches(self.known)
        # When the process ends, dask ends its clusters. This was registered later and is called before that, so that
        # workers which leave then are not reported.
        atexit.register(self.close)
        threading.Thread(target=self._look, name="roster", daemon=True).start()

    @property
    def same(self) -> dict[str, str | int]:
        """The facts that a worker must match to train: numerics, library versions, and the bits of the first steps."""
        return self.numerics | self.proof

    @property
    def good(self) -> dict[str, Facts]:
        """The workers that may train, by address."""
        return {address: one for address, one in self.known.items() if one.numerics | one.proof == self.same}

    @property
    def slots(self) -> int:
        """The number of batches trained at the same time, at least 1."""
        return max(1, sum(one.slots for one in self.good.values()))

    @property
    def only(self) -> list[str] | None:
        """The only addresses that a batch may be sent to; None if every worker may train it."""
        good = self.good
        return sorted(good) if len(good) < len(self.known) or self._sick else None

    def meet(self, addresses: list[str]) -> None:
        """Ask workers for their properties, and report those that get no work."""
        self._meet(addresses)
        self._report_mismatches({address: self.known[address] for address in addresses if address in self.known})

    def close(self) -> None:
        """Stop refreshing the list; workers that leave from now on are not reported."""
        self._ended.set()
        atexit.unregister(self.close)

    def _first(self, wait_s: float) -> list[str]:
        self._faults: set[str] = set()
        try:
            self._client.wait_for_workers(1, timeout=wait_s)
        except TimeoutError:
            raise ClusterError(
                f"No worker came to {self._client.scheduler.address} within {wait_s:g} s. Start some "
                "(`dask worker` with the scheduler's address), and run the same command again."
            ) from None
        return self._addresses()

    def _addresses(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            with contextlib.suppress(Exception):  # the scheduler has stopped or is stopping: the backend handles that
                present = set(self._addresses())
                gone = self.known.keys() - present
                self.known = {address: one for address, one in self.known.items() if address in present}
                self._sick &= present
                if gone and not self._ended.is_set():  # while the cluster is being closed, they leave because of that
                    remain = f"{len(self.known)} {_verb(len(self.known), 'remain')}"
                    self._notice(f"{_count(len(gone), 'worker')} left the cluster; {remain}.")
                new = sorted(present - self.known.keys() - self._sick)
                if new:
                    self.meet(new)

    def _meet(self, addresses: list[str]) -> None:
        answers = self._client.run(facts, self._problem, self._handed, workers=addresses, on_error="return")
        usable = {address: answer for address, answer in answers.items() if isinstance(answer, Facts)}
        for address in answers.keys() - usable.keys():
            self._faults.add(f"{type(answers[address]).__name__}: {answers[address]}")
        self._sick |= answers.keys() - usable.keys()
        self.known = self.known | usable

    def _report_mismatches(self, workers: dict[str, Facts]) -> None:
        same = self.same
        kinds: dict[str, list[str]] = {}
        for address, one in workers.items():
            if one.numerics | one.proof != same:
                kinds.setdefault(_alike(one), []).append(address)
        for addresses in kinds.values():
            other = workers[addresses[0]].numerics | workers[addresses[0]].proof
            differs = ", ".join(
                f"{name} {other.get(name, 'none')} and not {same.get(name, 'none')}"
                for name in same | other
                if other.get(name) != same.get(name)
            )
            self._notice(
                f"{_count(len(addresses), 'worker')} of the cluster would give other last bits ({differs}) and "
                f"{_verb(len(addresses), 'get')} no work: {', '.join(sorted(addresses))}."
            )
        if self._sick and self._faults:
            self._notice(
                f"{_count(len(self._sick), 'worker')} of the cluster cannot train ({'; '.join(sorted(self._faults))}) "
                f"and {_verb(len(self._sick), 'get')} no work."
            )
            self._faults.clear()


def _alike(one: Facts) -> str:
    return json.dumps(one.numerics | one.proof, sort_keys=True)


def _verb(number: int, plural: str) -> str:
    return f"{plural}s" if number == 1 else plural


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
