"""A thread that serves wishes until it is stopped: what the trainer and the scout have in common."""

from __future__ import annotations

import abc
import threading


class Served(abc.ABC):
    """Its thread and its lock. What both threads change is changed under `_changed`, which wakes who waits."""

    def __init__(self, name: str) -> None:
        """name: of the thread."""
        self._changed = threading.Condition()
        self._stop = False
        self._name = name
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to serve wishes; return at once."""
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Begin nothing more, and wait for what is under way: a second or so."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    @property
    def busy(self) -> bool:
        """Return whether its thread is at work, or waits for work."""
        return self._thread is not None and self._thread.is_alive()

    @abc.abstractmethod
    def _serve(self) -> None:
        """Serve wishes until `_stop`."""
