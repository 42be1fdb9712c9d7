"""Which problems the fused kernel trains, and how it lays out a net on the device. Pure data: Warp is not imported.

What a block of threads needs for the published net (width 16, 272 examples): weights, their scaled copy and their
gradient are 3 x 16 x 16 numbers of 8 bytes, 6 KB. All examples are 34.8 KB, and so is every array of theirs that a
step needs: the inputs in both orders, the hidden layer and what is propagated back, 139 KB together. One block would
fit on a multiprocessor with 164 KB of shared memory (A100) or 228 KB (H100), and none where there are 100 KB (L4,
RTX 4090). So examples come in chunks, from the second-level cache, which has them once for all nets. A chunk of 56
takes 28.7 KB and a block 36 KB, so that 4 blocks fit on an A100, 6 on an H100 and 2 on an L4. Registers allow as many:
ptxas 13.0 gives the kernel 174, 160 and 130 a thread for sm_80, sm_89 and sm_90, and spills none. These are counts; no
device was measured.
"""

from __future__ import annotations

from typing import NamedTuple

from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings

# Three square matrices of float64 and a chunk of examples: 73 KB at width 32, which still fits where there are 99 KB.
MOST_WIDTH = 32

# Minibatches are gathered beforehand, in both orders: twice this many bytes on the device at most.
_MOST_BATCH_BYTES = 2**29

# The product of a chunk and the first layer is shared out in pieces of 4 x 4: at width 16 they are 14 x 4, for 64
# threads. A chunk that is a power of two would put the same input of all units into the same bank of the shared memory.
_THREADS = 64
_MOST_CHUNK = 56

# What a chunk costs besides its examples, in examples: threads wait for each other some ten times. An estimate.
_CHUNK_COST = 8


# Float64 instructions for each unit and example, besides the products: counted in the code that Warp 1.19 makes of its
# tanh (both branches) for sm_90, and in the source.
_ACTIVATION = {"tanh": 34, "relu": 1, "identity": 0}
_BACK = 4


class Shape(NamedTuple):
    """What a kernel is compiled for. width: of the net. chunk: examples at a time. threads: of a block.

    A processor has one thread in a block, but where a test asks Warp for as many as on a device.
    """

    width: int
    activation: str
    chunk: int
    threads: int

    @property
    def name(self) -> str:
        """A name for the kernel."""
        return f"fused_{self.activation}_{self.width}_{self.chunk}"


def of(problem: Problem, examples: int) -> Shape:
    """Return the shape for a problem with so many examples."""
    settings = problem.settings_as(MlpSettings)
    counts = [examples, *([settings.batch] if settings.batch is not None else [])]
    chunk = min(range(4, _MOST_CHUNK + 1, 4), key=lambda size: (_cost(counts, size), -size))
    return Shape(settings.width, settings.activation, chunk, _THREADS)


def chunks(examples: int, chunk: int) -> int:
    """Return the number of chunks that hold so many examples."""
    return -(-examples // chunk)


def flop(problem: Problem, examples: int) -> float:
    """Return about how many float64 operations a whole run is with so many examples, a multiply-add counting as two.

    Only multiply-adds have units of their own, so that every operation takes as long as one, and counts as two as well.
    """
    settings = problem.settings_as(MlpSettings)
    width, batch = settings.width, settings.batch
    forward = 2 * width * (width + 1 + _ACTIVATION[settings.activation])
    backward = 2 * width * (width + 1 + _BACK)
    per_step = examples * (forward + backward) if batch is None else examples * forward + batch * (forward + backward)
    return float(problem.steps * per_step)


def refusal(problem: Problem) -> str | None:
    """Return why the fused kernel does not train a problem, as the rest of a sentence about it; None if it does."""
    if problem.row.kernel != "mlp":
        return f"it trains the system mlp, not {problem.system}"
    settings = problem.settings_as(MlpSettings)
    if settings.depth != 2:
        return f"it trains nets with problem.depth = 2, not {settings.depth}"
    if settings.width > MOST_WIDTH:
        return f"it trains nets with problem.width <= {MOST_WIDTH}, not {settings.width}"
    if measured := [*problem.row.channels, *dict(problem.observe)]:
        return f"it measures nothing of a run besides its losses, so not {', '.join(measured)}"
    if problem.measure != "published":
        return f'it knows when a run escapes with problem.measure = "published", not "{problem.measure}"'
    if settings.batch is not None and settings.batch * problem.steps * settings.width * 8 > _MOST_BATCH_BYTES:
        return (
            f"minibatches of {settings.batch:,} examples in {problem.steps:,} steps are too many to gather beforehand"
        )
    return None


def _cost(counts: list[int], chunk: int) -> int:
    return sum(chunks(count, chunk) for count in counts) * (chunk + _CHUNK_COST)
