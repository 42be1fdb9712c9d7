"""Training: the only package that imports JAX. It makes the settings that must precede every array, once.

Training runs give the same bits in every environment, and after any earlier use of JAX in the program. See
`render.machine.environment` for the options that are set, those left to the user, and those in the numerics.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable

from render.errors import RenderError
from render.files import places
from render.machine import cores, environment


def _check_flags() -> None:
    """Try the user's XLA_FLAGS in another process first, because XLA ends a process that has a wrong flag."""
    if not environment.xla_flags(os.environ):
        return
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, errors="replace")
    if tried.returncode:
        messages = [line.partition("] ")[2] for line in tried.stderr.splitlines() if "] " in line]
        raise RenderError(
            f"XLA_FLAGS must be flags that this version of XLA knows, but it is {os.environ['XLA_FLAGS']!r}: "
            f"{(messages[0] if messages else tried.stderr.strip()[-200:]).rstrip('.')}. Correct it, or unset it "
            "(unset XLA_FLAGS)."
        )


def _check_place() -> None:
    """Refuse a package in a folder whose name is not UTF-8: XLA takes down where operations come from, as UTF-8."""
    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        place.encode()
    except UnicodeEncodeError:
        raise RenderError(
            f"{place} must have a name that is UTF-8 text, since render trains from there and XLA takes no other. Move "
            "or rename that folder."
        ) from None


_check_place()
environment.numerics(True)  # read before SET_FLAGS are added
_check_flags()
os.environ["XLA_FLAGS"] = environment.with_our_flags(os.environ)

try:
    with environment.hidden_from_jax():
        import jax
        import jax.numpy as jnp
except ValueError as error:  # a variable that is left to the user has a value that JAX rejects
    raise RenderError(
        f"JAX must understand its variables, but it does not: {error}. Correct or unset what is wrong in "
        f"{environment.user_settings()}."
    ) from error

from render.train import compiled  # noqa: E402 -- JAX comes first

_update: Callable[[str, object], None] = jax.config.update


def _configure() -> None:
    known = jax.config.values
    for name, value in {**environment.RESULTS, **environment.STEADY}.items():
        if name in known:
            _update(name, value)
    # If the program has used JAX before, its devices exist already, and training uses those.
    with contextlib.suppress(RuntimeError):
        _update("jax_num_cpu_devices", cores.count())
    compiled.keep(places.cache_folder())
    _start()
    if jnp.zeros(()).dtype != jnp.float64:
        raise RuntimeError("JAX gives float32 although float64 was asked for: an array was made before render.train.")


def _start() -> None:
    """Let JAX find its devices. Raises RenderError if the user asks for devices that do not exist."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # JAX without CUDA raises the latter for CUDA
        wanted = [name for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if os.environ.get(name)]
        reason = (str(error).strip() or "JAX knows no such devices on this machine.").splitlines()[0]
        if wanted:
            name = wanted[0]
            raise RenderError(
                f"{name} must name devices that this machine has and JAX can use, but it is {os.environ[name]!r}: "
                f"{reason} Unset it (unset {name}) to use what there is, or set it to cpu."
            ) from error
        raise RenderError(f"JAX cannot start on the devices of this machine: {reason}") from error


def check() -> None:
    """Raise RenderError if a program has since changed an option of JAX that decides the bits of samples."""
    now = jax.config.values
    for name, value in environment.RESULTS.items():
        if name in now and now[name] != value:
            raise RenderError(
                f"JAX's option {name} must be {value!r} while render trains, but the program set it to {now[name]!r}. "
                f'Set it back: jax.config.update("{name}", {value!r}).'
            )


_configure()
