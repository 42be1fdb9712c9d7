"""The ways a user would do it without this project, as a process of its own with JAX's own settings.

    python -m tests.bench.baselines WAY LANES STEPS   ->  microseconds per training step and sample

WAY "loop" is how the published notebook trains (Sohl-Dickstein/fractal): one jitted, vmapped step per call from a
Python loop, the whole grid as the batch, every loss kept. WAY "scan" puts the steps into lax.scan instead.
The network is the published tanh condition: width 16, 272 examples, float64.
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

WIDTH, EXAMPLES = 16, 272


def main(way: str, lanes: int, steps: int) -> float:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(EXAMPLES, WIDTH)))
    targets = jnp.asarray(rng.normal(size=(EXAMPLES, 1)))
    start = (jnp.asarray(rng.normal(size=(WIDTH, WIDTH))), jnp.asarray(rng.normal(size=(WIDTH, 1))))
    rates = (jnp.full(lanes, 0.1), jnp.full(lanes, 0.1))  # they converge: nothing escapes

    def loss(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        hidden = jnp.tanh(jnp.sqrt(2.0) * inputs @ weights[0] / jnp.sqrt(WIDTH))
        return jnp.mean((hidden @ weights[1] / WIDTH - targets) ** 2)

    def step(weights, rate):  # type: ignore[no-untyped-def]
        value, gradient = jax.value_and_grad(loss)(weights)
        return tuple(w - r * g for w, r, g in zip(weights, rate, gradient, strict=True)), value

    weights = jax.tree.map(lambda w: jnp.broadcast_to(w, (lanes, *w.shape)), start)
    if way == "loop":
        one = jax.jit(jax.vmap(step))

        def train(weights):  # type: ignore[no-untyped-def]
            history = []
            for _ in range(steps):
                weights, value = one(weights, rates)
                history.append(value)
            return jnp.stack(history)
    else:
        train = jax.jit(
            jax.vmap(
                lambda weights, rate: jax.lax.scan(lambda w, _: step(w, rate), weights, length=steps)[1],
            )
        )
        inner = train
        train = lambda weights: inner(weights, rates)  # noqa: E731

    jax.block_until_ready(train(weights))
    began = time.perf_counter()
    jax.block_until_ready(train(weights))
    return (time.perf_counter() - began) / lanes / steps * 1e6


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
