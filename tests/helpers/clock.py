"""Clocks of a module's own, for tests of what it does with time."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **functions: Callable[..., Any]) -> None:
    """Replace functions of `time` for one module alone: threads that earlier tests have left use the real ones."""
    monkeypatch.setattr(module, "time", SimpleNamespace(**{**vars(time), **functions}))
