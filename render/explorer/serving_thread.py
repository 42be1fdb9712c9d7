"""A thread that serves requests until it is stopped: the common part of the trainer and the scout."""

from __future__ import annotations

import abc
import threading


class Served(abc.ABC):
    """An object with a thread and a lock. State that several threads change is changed under `_changed`."""

    def __init__(self, name: str) -> None:
        """name: of the thread."""
        self._changed = threading.Condition()
        self._stop = False
        self._name = name
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, and return at once."""
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop the thread, and wait up to so many seconds for what it is doing."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    @property
    def busy(self) -> bool:
        """Return whether the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    @abc.abstractmethod
    def _serve(self) -> None:
        """Serve requests until `_stop` is set."""
