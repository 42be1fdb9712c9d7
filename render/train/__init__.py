"""Training: the only package that imports JAX. Settings that must precede every array are made here, once.

Whatever the environment says, and whatever a program did with JAX before, training runs give the same bits: see
`render.machine.environment` for what is set, what is left to the user, and what becomes part of the numerics.
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
    """Let another process read XLA_FLAGS first, if the user sets any: XLA ends a process that has a wrong one."""
    if not environment.xla_flags(os.environ):
        return
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, errors="replace")
    if tried.returncode:
        said = [line.partition("] ")[2] for line in tried.stderr.splitlines() if "] " in line]
        raise RenderError(
            f"XLA_FLAGS must be flags that this version of XLA knows, but it is {os.environ['XLA_FLAGS']!r}: "
            f"{(said[0] if said else tried.stderr.strip()[-200:]).rstrip('.')}. Correct it, or unset it "
            "(unset XLA_FLAGS)."
        )


environment.numerics(True)  # read before the flags of this process are among them
_check_flags()
os.environ["XLA_FLAGS"] = environment.with_our_flags(os.environ)

try:
    with environment.hidden_from_jax():
        import jax
        import jax.numpy as jnp
except ValueError as error:  # a variable that is the user's to set has a value that JAX does not take
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
    # Where a program has used JAX before, there are as many devices as it made, and training uses those.
    with contextlib.suppress(RuntimeError):
        _update("jax_num_cpu_devices", cores.count())
    compiled.keep(places.cache_folder())
    _start()
    if jnp.zeros(()).dtype != jnp.float64:
        raise RuntimeError("JAX gives float32 although float64 was asked for: an array was made before render.train.")


def _start() -> None:
    """Let JAX look for its devices. Raises RenderError if the user wants devices that are not there."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # the latter for CUDA where JAX was installed without
        wanted = [name for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if os.environ.get(name)]
        said = (str(error).strip() or "JAX knows no such devices on this machine.").splitlines()[0]
        if wanted:
            name = wanted[0]
            raise RenderError(
                f"{name} must name devices that this machine has and JAX can use, but it is {os.environ[name]!r}: "
                f"{said} Unset it (unset {name}) to use what there is, or set it to cpu."
            ) from error
        raise RenderError(f"JAX cannot start on the devices of this machine: {said}") from error


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
