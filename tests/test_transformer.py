"""The transformer against plain NumPy with complex-step gradients, and its measure against the published formula."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from render.geometry.axes import Axis
from render.problem import Problem
from render.problem.catalogue.settings import TransformerSettings
from render.train import measures, systems
from render.train.systems import transformer

X, Y = (Axis(name, "log10", Fraction(-4), Fraction(1)) for name in ("lr_attention", "lr_rest"))
SMALL = Problem(X, Y, "transformer", layers=2, heads=2, model=4, feed_forward=3, length=5, batch=2, steps=4)
SETTINGS = SMALL.settings_as(TransformerSettings)
STEP = 1e-30


def forward(p: dict[str, np.ndarray], shown: np.ndarray) -> np.ndarray:
    """The loss [...] of parameters with any axes in front, on windows [batch, length + 1], in complex NumPy."""

    def norm(name: str, h: np.ndarray) -> np.ndarray:
        centred = h - h.mean(axis=-1, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
        return unit * p[f"{name}.scale"][..., None, None, :] + p[f"{name}.offset"][..., None, None, :]

    def times(h: np.ndarray, name: str) -> np.ndarray:
        return h @ p[name][..., None, :, :]

    length, d = shown.shape[1] - 1, SETTINGS.model
    place = np.zeros((length, d))
    for t in range(length):
        for i in range(0, d, 2):
            place[t, i], place[t, i + 1] = np.sin(t / 10_000 ** (i / d)), np.cos(t / 10_000 ** (i / d))
    h = np.moveaxis(p["embed"], -2, 0)[shown[:, :-1]]  # [batch, length, ..., d]
    h = np.moveaxis(h, (0, 1), (-3, -2)) + place
    for n in range(SETTINGS.layers):
        a = norm(f"{n}.norm1", h)
        q, k, v = (times(a, f"{n}.{part}") for part in ("query", "key", "value"))
        mixed = []
        for head in range(SETTINGS.heads):
            part = slice(head * d // SETTINGS.heads, (head + 1) * d // SETTINGS.heads)
            scores = q[..., part] @ np.swapaxes(k[..., part], -1, -2) / np.sqrt(d / SETTINGS.heads)
            weights = np.exp(scores) * np.tril(np.ones((length, length)))
            mixed.append(weights / weights.sum(axis=-1, keepdims=True) @ v[..., part])
        h = h + times(np.concatenate(mixed, axis=-1), f"{n}.mix")
        inner = times(norm(f"{n}.norm2", h), f"{n}.in") + p[f"{n}.in.bias"][..., None, None, :]
        h = h + times(np.where(inner.real > 0, inner, 0), f"{n}.out") + p[f"{n}.out.bias"][..., None, None, :]
    logits = times(norm("last", h), "logits") + p["logits.bias"][..., None, None, :]
    wanted = np.eye(p["embed"].shape[-2])[shown[:, 1:]]
    return (np.log(np.exp(logits).sum(axis=-1)) - (logits * wanted).sum(axis=-1)).mean(axis=(-2, -1))


def gradient(p: dict[str, np.ndarray], shown: np.ndarray) -> dict[str, np.ndarray]:
    slopes = {}
    for name, w in p.items():
        steps = 1j * STEP * np.eye(w.size).reshape(w.size, *w.shape)
        slopes[name] = (forward(p | {name: w + steps}, shown).imag / STEP).reshape(w.shape)
    return slopes


def test_training_agrees_with_plain_numpy() -> None:
    text, symbols = transformer.tokens(SMALL)
    shown = transformer.windows(SMALL, text)
    system = systems.make(SMALL)
    rates = {"lr_attention": np.array([0.1, 1e-3, 0.3]), "lr_rest": np.array([0.02, 0.2, 1e-4])}
    hyper = {name: jnp.full(3, value) for name, value in SMALL.fixed}
    hyper |= {name: jnp.asarray(value) for name, value in rates.items()}
    run = jax.jit(lambda h: jax.lax.scan(lambda s, t: system.step(s, h, t), system.start(h), jnp.arange(SMALL.steps)))
    ours = np.asarray(run(hyper)[1])
    for lane in range(3):
        p = transformer.initial(SMALL, symbols)
        m, v = ({name: np.zeros_like(w) for name, w in p.items()} for _ in range(2))
        for t in range(SMALL.steps):
            assert abs(ours[t, lane] - forward(p, shown[t])) < 1e-9
            for name, g in gradient(p, shown[t]).items():
                m[name], v[name] = 0.9 * m[name] + 0.1 * g, 0.999 * v[name] + 0.001 * g**2
                attention = any(word in name for word in ("norm1", "query", "key", "value", "mix"))
                rate = rates["lr_attention" if attention else "lr_rest"][lane]
                size = np.sqrt(v[name] / (1 - 0.999 ** (t + 1))) + 1e-8
                p[name] = p[name] - rate * m[name] / (1 - 0.9 ** (t + 1)) / size


def test_the_published_size_has_the_parameters_of_the_released_modules() -> None:
    """95,972 with the 228 symbols that come nearest to the stated 95,973."""
    published = Problem(X, Y, "transformer", layers=2, heads=2, model=64, feed_forward=128, length=64, batch=256)
    assert sum(w.size for w in transformer.initial(published, 228).values()) == 95_972


def test_every_window_is_seen_before_any_is_seen_again() -> None:
    text, _ = transformer.tokens(SMALL)
    seen = transformer.windows(SMALL, text).reshape(-1, 6)
    again = transformer.windows(SMALL, text).reshape(-1, 6)
    np.testing.assert_array_equal(seen, again)
    # Windows this long hardly ever read the same.
    long = Problem(X, Y, "transformer", length=40, batch=100, steps=(text.size - 40) // 100)
    windows = transformer.windows(long, text).reshape(-1, 41)
    assert len({tuple(window) for window in windows}) == len(windows)


def chart(losses: np.ndarray) -> tuple[float, bool]:
    """Sign and magnitude as released: positive if converged, nan where its root has no value."""
    v = np.where(np.isfinite(losses), losses, 10.0)
    v = np.minimum(v / v[0], 10)
    n, count = max(1, len(v) // 20), len(v)
    first, last = v[:n], v[-n:]
    converged = last.mean() + 0.1 < first.mean() and last.var() < 0.01 and last.mean() < 0.4
    total, even = v.sum(), 1 + 0.4 * (count - 1)
    with np.errstate(invalid="ignore"):
        if converged:
            return float(np.sqrt((even - total) / (0.4 * (count - 1)))), True
        return float(-np.sqrt((total - even) / (1 + 9.6 * (count - 1)))), False


def test_the_measure_is_the_published_one() -> None:
    rng = np.random.default_rng(0)
    steps, lanes = 60, 200
    decay = rng.uniform(0.0, 0.4, lanes)
    losses = 3 * np.exp(-decay * np.arange(steps)[:, None]) + rng.uniform(0, 1.5, lanes) * rng.uniform(
        size=(steps, lanes)
    )
    losses[20:, :30] *= 100
    losses[31:, 30:40] = np.nan
    sums = measures.begin_chart(lanes)
    alive, escape_step = np.ones(lanes, bool), np.full(lanes, -1)
    for t in range(steps):
        left = alive & ~(losses[t] <= 1e4)
        escape_step[left], alive = t, alive & ~left
        sums = measures.add_chart(sums, jnp.asarray(losses[t]), jnp.asarray(alive), jnp.int32(t), steps)
    value, converged = measures.finish_chart(sums, escape_step, steps)
    assert 0.1 < converged.mean() < 0.9
    for lane in range(lanes):
        size, theirs = chart(losses[:, lane])
        assert converged[lane] == theirs
        assert (value[lane] < 0) == theirs
        expected = 0.0 if np.isnan(size) else abs(size)
        assert abs((2 - abs(value[lane])) - expected) < 1e-9
