"""A reference run, and what is known of its rings, as the workers of a cluster have them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

from render.storage import rings
from render.storage.references import Reference
from render.storage.rings import Ring


class _Sent:
    """A value that the workers have; it is sent again if the only workers that had it died."""

    def __init__(self, client: Any, value: Any) -> None:
        self._client, self._value = client, value
        self._future: Any = None

    @property
    def future(self) -> Any:
        if self._future is None or self._future.status in ("cancelled", "error", "lost"):
            # Every worker gets a copy, so that the value is not lost when one of them dies.
            self._future = self._client.scatter(self._value, hash=False, broadcast=True)
        return self._future


class Followed:
    """A reference run that batches are followed from. It is sent to the workers once, and so is each ring.

    Rings that the store keeps are sent at the start. A worker that needs another one makes it, and sends it back with
    its field; from then on the others have it too. Two workers that make the same ring make the same bytes.
    """

    def __init__(self, client: Any, reference: Reference, made_by: Mapping[str, str | int]) -> None:
        """made_by: the numerics of samples that follow this reference."""
        self._client, self._reference, self._made_by = client, reference, dict(made_by)
        self._lock = threading.Lock()
        self._sent = _Sent(client, dataclasses.replace(reference, kept_in=None))
        self._rings = {number: _Sent(client, ring) for number, ring in rings.kept(reference, made_by).items()}

    def arguments(self) -> tuple[Any, dict[int, Any]]:
        """Return the reference and its rings by number, as futures, for a task's arguments."""
        with self._lock:
            return self._sent.future, {number: sent.future for number, sent in self._rings.items()}

    def add(self, new_rings: Mapping[int, Ring]) -> None:
        """Keep rings that a worker made, and send them to the others."""
        with self._lock:
            for number, ring in new_rings.items():
                if number not in self._rings:
                    rings.save(ring, self._reference, number, self._made_by)
                    self._rings[number] = _Sent(self._client, ring)
