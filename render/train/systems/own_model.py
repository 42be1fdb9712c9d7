"""A user's file as a system: its functions for one training run, mapped over the lanes of a block.

The file works on one run at a time; rates and other hyperparameters are traced numbers. What all samples share (data,
minibatches, initial parameters that do not depend on a hyperparameter) is computed once, before anything is compiled.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from render.errors import RenderError
from render.problem import Problem, own_model
from render.problem.own_model import declaration
from render.train import own_checks, own_code
from render.train.systems import Hyper, Readout, System

Tree = Any

# Streams of the problem's seed.
_ORDER = 1


def make(problem: Problem) -> System:
    """Return the training that a user's file describes. RenderError, with its line, for what it gets wrong."""
    file = _File(problem)
    if not all(hasattr(file.module, name) for name in ("start", "step")):
        declared = _Training(file).system()
    else:
        declared = _stepped(file)
    own_checks.check(problem, declared)
    return declared


class _File:
    """The functions of a file, each given what it asks for by the names of its arguments."""

    def __init__(self, problem: Problem, copy: int = 0) -> None:
        self.problem, self.known = problem, own_model.find(problem.system)
        self.module: types.ModuleType = own_code.module(problem, copy)
        self.settings = problem.settings_as(problem.row.settings_type)
        self.offered = {"settings": self.settings, "steps": problem.steps, "seed": problem.seed}

    def has(self, name: str) -> bool:
        return hasattr(self.module, name)

    def asks(self, name: str, needs: int, what: str) -> bool:
        """Return whether a function asks for a further argument, such as hyper."""
        return what in self._asked(name, needs, {*self.offered, what})

    def call(self, name: str, *given: Any, **more: Any) -> Any:
        """Call a function with what it needs, and with what else it asks for by name."""
        function, offered = getattr(self.module, name), self.offered | more
        asked = self._asked(name, len(given), set(offered))
        with own_code.running(self.known):
            try:
                return function(*given, **{key: offered[key] for key in asked})
            except Exception as error:
                raise own_code.failure(self.known, error, f"{name} failed") from error

    def _asked(self, name: str, needs: int, offered: set[str]) -> list[str]:
        function = getattr(self.module, name)
        if not callable(function):
            raise RenderError(f"{self.known.source.name}: {name} must be a function.")
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            return []
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        positional = [p for p in parameters if p.kind in kinds]
        takes_all = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
        further = positional[needs:] + [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        wrong = [p.name for p in further if p.name not in offered and p.default is inspect.Parameter.empty]
        if (len(positional) < needs and not takes_all) or wrong:
            line = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
            where = f": line {line}" if line else ""
            first = ", ".join(_NEEDS[name][:needs])
            given = f"must take {first}" if first else "needs no argument"
            raise RenderError(
                f"{self.known.source.name}{where}: {name} {given}, and may ask for {', '.join(sorted(offered))} by "
                f"name; it takes {', '.join(p.name for p in parameters) or 'nothing'}."
            )
        return [p.name for p in further if p.name in offered]


_NEEDS = {
    "data": (), "init": ("key",), "loss": ("params", "batch"), "optimiser": (), "update": ("params", "gradient"),
    "readout": ("params",), "start": ("hyper",), "step": ("state", "hyper", "t"),
}  # fmt: skip


class _State(NamedTuple):
    """Of a lane: float64 arrays that are trained, other arrays of the parameters, what the optimiser remembers."""

    trained: Tree
    rest: Tree
    memory: Tree


class _Training:
    """init, loss and an optimiser, for one lane each."""

    def __init__(self, file: _File) -> None:
        self._file = file
        problem = file.problem
        self.data = self._shared("data", file) if file.has("data") else None
        self._batches = self._order(problem)
        self._by_lane = file.asks("init", 1, "hyper")
        self._fixed: list[Any] = []  # leaves that are no arrays, as functions in layers; the same for all lanes
        self._tree: Any = None
        self._params = (
            None if self._by_lane else self._repeated(lambda one: self._split(one.call("init", self._key)), "init")
        )

    @property
    def _key(self) -> jax.Array:
        return jax.random.key(self._file.problem.seed)

    def _shared(self, name: str, file: _File) -> Tree:
        def read_tree(one: _File) -> Tree:
            given = getattr(one.module, name)
            return jax.tree.map(_exact, one.call(name) if callable(given) else given)

        return self._repeated(read_tree, name)

    def _repeated(self, read_tree: Callable[[_File], Tree], name: str) -> Tree:
        """Return what is made, after making it by another run of the file: it must come out the same, as must samples.

        The other comes first, so that what is remembered of structures belongs to what is returned.
        """
        bits = []
        for copy in (1, 0):
            one = self._file if copy == 0 else _File(self._file.problem, copy)
            with own_code.seeded(self._file.problem.seed):
                tree = read_tree(one)
            bits.append([np.asarray(_raw(leaf)).tobytes() for leaf in jax.tree.leaves(tree)])
        if bits[0] != bits[1]:
            raise RenderError(
                f"{self._file.known.source.name}: {name} must give the same every time it is called, and does not. "
                "Draw random numbers from the key, or from np.random.default_rng(seed)."
            )
        return tree

    def _order(self, problem: Problem) -> jax.Array | None:
        """Return the examples of every step's minibatch, [steps, batch]: all of them shuffled, again and again."""
        batch = dict(problem.settings)["batch"]
        if batch is None:
            return None
        assert isinstance(batch, int)
        count = self._count()
        if batch > count:
            raise RenderError(f"problem.batch must be at most the number of examples, {count}, not {batch}.")
        rng = np.random.default_rng([problem.seed, _ORDER])
        wanted = problem.steps * batch
        order = np.concatenate([rng.permutation(count) for _ in range(-(-wanted // count))])[:wanted]
        return jnp.asarray(order.reshape(problem.steps, batch).astype(np.int32))

    def _count(self) -> int:
        leaves = jax.tree.leaves(self.data)
        sizes = {leaf.shape[0] if leaf.ndim else 0 for leaf in leaves}
        if len(sizes) != 1 or 0 in sizes:
            raise RenderError(
                f"{self._file.known.source.name}: with a batch, all arrays of data must have the examples as their "
                f"first axis, as many in each, not {sorted(sizes)}."
            )
        return int(sizes.pop())

    def _split(self, params: Tree) -> tuple[Tree, Tree]:
        """Return parameters as trained arrays and other arrays, in trees of one structure; keep what is no array."""
        leaves, self._tree = jax.tree.flatten(params)
        arrays = [_is_array(leaf) for leaf in leaves]
        self._fixed = [None if is_array else leaf for leaf, is_array in zip(leaves, arrays, strict=True)]
        exact = [_exact(leaf) if is_array else None for leaf, is_array in zip(leaves, arrays, strict=True)]
        is_trained = [leaf is not None and jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in exact]
        if not any(is_trained):
            raise RenderError(f"{self._file.known.source.name}: init must return parameters with arrays of numbers.")
        trained = [leaf if chosen else None for leaf, chosen in zip(exact, is_trained, strict=True)]
        rest = [None if chosen else leaf for leaf, chosen in zip(exact, is_trained, strict=True)]
        return self._tree.unflatten(trained), self._tree.unflatten(rest)

    def _joined(self, trained: Tree, rest: Tree) -> Tree:
        def leaves(tree: Tree) -> list[Any]:
            return list(self._tree.flatten_up_to(tree))

        parts = zip(leaves(trained), leaves(rest), self._fixed, strict=True)
        return self._tree.unflatten([next((part for part in three if part is not None), None) for three in parts])

    def _loss(self, trained: Tree, rest: Tree, hyper: Hyper, batch: Tree) -> jax.Array:
        loss = self._file.call("loss", self._joined(trained, rest), batch, hyper=hyper)
        if jnp.shape(loss) != () or not jnp.issubdtype(jnp.asarray(loss).dtype, jnp.floating):
            raise RenderError(
                f"{self._file.known.source.name}: loss must return one number of float64, not "
                f"{jnp.asarray(loss).dtype} {list(jnp.shape(loss))}. (Take the mean over the examples.)"
            )
        return jnp.asarray(loss)

    def _start(self, hyper: Hyper) -> _State:
        trained, rest = (
            self._split(self._file.call("init", self._key, hyper=hyper)) if self._params is None else self._params
        )
        memory = ()
        if self._file.has("optimiser"):
            memory = self._optimiser(hyper).init(trained)
        return _State(trained, rest, jax.tree.map(_wide, memory))

    def _optimiser(self, hyper: Hyper) -> Any:
        transformation = self._file.call("optimiser", hyper=hyper)
        if not (hasattr(transformation, "init") and hasattr(transformation, "update")):
            raise RenderError(
                f"{self._file.known.source.name}: optimiser must return an optax transformation, such as "
                f'optax.adam(hyper["lr"]), not {type(transformation).__name__}.'
            )
        return transformation

    def _step(self, state: _State, hyper: Hyper, t: jax.Array, batch: Tree) -> tuple[_State, jax.Array]:
        loss, gradient = jax.value_and_grad(self._loss)(state.trained, state.rest, hyper, batch)
        if self._file.has("optimiser"):
            with own_code.running(self._file.known):
                try:
                    updates, memory = self._optimiser(hyper).update(gradient, state.memory, state.trained)
                except Exception as error:
                    raise own_code.failure(self._file.known, error, "optimiser failed") from error
            trained = jax.tree.map(lambda p, u: p + u, state.trained, updates)
        else:
            trained, memory = self._file.call("update", state.trained, gradient, hyper=hyper, step=_wide(t)), ()
        if self._batches is not None and dict(self._file.problem.settings)["recorded"] == "all":
            loss = self._loss(state.trained, state.rest, hyper, self.data)
        return _State(trained, state.rest, memory), loss

    def system(self) -> System:
        """Return the training of all lanes."""
        file, batches, data = self._file, self._batches, self.data

        def start(hyper: Hyper) -> _State:
            return jax.vmap(self._start)(hyper)

        def step(state: _State, hyper: Hyper, t: jax.Array) -> tuple[_State, jax.Array]:
            batch = data if batches is None else jax.tree.map(lambda leaf: leaf[batches[t]], data)
            mapped = jax.vmap(self._step, in_axes=(0, 0, None, None))
            moved: tuple[_State, jax.Array] = mapped(state, hyper, t, batch)
            return moved

        def measured(state: _State, hyper: Hyper) -> dict[str, jax.Array]:
            def one(lane: tuple[_State, Hyper]) -> dict[str, jax.Array]:
                state, hyper = lane
                numbers = file.call("readout", self._joined(state.trained, state.rest), hyper=hyper, data=data)
                return _numbers(file, numbers)

            # As many lanes at a time as training has: their bits then depend on nothing else either.
            readouts: dict[str, jax.Array] = jax.lax.map(one, (state, hyper), batch_size=file.problem.row.lanes)
            return readouts

        readout: Readout = jax.jit(measured) if file.problem.row.channels else lambda state, hyper: {}
        radius = declaration.escape_radius(file.known.source)
        return System(start, step, radius, readout, own_checks.bytes_per_lane(start, step, file.problem))


def _stepped(file: _File) -> System:
    """Return the system of a file that has start and step of its own, over whole blocks of lanes."""
    readout: Readout = lambda state, hyper: {}  # noqa: E731
    if file.problem.row.channels:
        readout = jax.jit(lambda state, hyper: dict(file.call("readout", state, hyper=hyper)))
    start = functools.partial(file.call, "start")
    step = functools.partial(file.call, "step")
    return System(
        start,
        step,
        declaration.escape_radius(file.known.source),
        readout,
        own_checks.bytes_per_lane(start, step, file.problem),
    )


def _numbers(file: _File, numbers: Any) -> dict[str, jax.Array]:
    wanted = file.problem.row.channels
    if (
        not isinstance(numbers, dict)
        or set(numbers) != set(wanted)
        or any(jnp.shape(v) != () for v in numbers.values())
    ):
        raise RenderError(
            f"{file.known.source.name}: readout must return one number for each of the channels {', '.join(wanted)}."
        )
    return {name: jnp.asarray(numbers[name], jnp.float64) for name in wanted}


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, float)) and not isinstance(leaf, bool)


def _exact(leaf: Any) -> Any:
    """Return an array of floating numbers as float64, which changes no value; any other array as it is."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return leaf
    array = jnp.asarray(leaf)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _wide(leaf: Any) -> jax.Array:
    """Return an array of an optimiser's memory with its counts of steps as int64.

    To JAX the quotient of an int32 is a float32, and so would be the schedules of optax.
    """
    array = jnp.asarray(leaf)
    return array.astype(jnp.int64) if array.dtype == jnp.int32 else array


def _raw(leaf: Any) -> Any:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
