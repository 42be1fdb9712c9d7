"""The fused kernel: a whole run of the published network in one launch, one block of threads for each net.

It is written in NVIDIA Warp's tile language, in which the threads of a block work on whole tiles, and the source does
not say which thread does what. So the same source runs on a processor, with one thread in a block or with as many that
take turns, and on an NVIDIA device. What the processor shows of it (which sums are taken, in which step, of which run)
holds for the device as well. The rest is Warp's own: how a tile is shared out between threads, and where threads wait
for each other.

The arrays that a net needs stay on the chip for the whole run: weights, gradients and a chunk of the examples lie in
shared memory, and only the losses leave it. `render.fused.shape` counts the bytes. A block ends when its net escapes.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

from render.fused.shape import Shape

# Warp prints a banner, a line for every module and a warning where there is no driver. Errors are raised as well.
wp.config.log_level = wp.LOG_ERROR


@wp.func
def _tanh(z: wp.float64) -> wp.float64:
    return wp.tanh(z)


@wp.func
def _tanh_slope(h: wp.float64) -> wp.float64:
    return wp.float64(1.0) - h * h


@wp.func
def _relu(z: wp.float64) -> wp.float64:
    return wp.max(z, wp.float64(0.0))


@wp.func
def _relu_slope(h: wp.float64) -> wp.float64:
    return wp.where(h > wp.float64(0.0), wp.float64(1.0), wp.float64(0.0))


@wp.func
def _identity(z: wp.float64) -> wp.float64:
    return z


@wp.func
def _identity_slope(h: wp.float64) -> wp.float64:
    return wp.float64(1.0)


# name -> (activation of the scaled pre-activation, its slope as a function of the activation)
_ACTIVATIONS = {
    "tanh": (_tanh, _tanh_slope),
    "relu": (_relu, _relu_slope),
    "identity": (_identity, _identity_slope),
}


@wp.func
def _square(a: wp.float64) -> wp.float64:
    return a * a


@functools.cache
def build(shape: Shape) -> Any:  # noqa: PLR0915 -- the kernel is one function
    """Return the compiled-on-demand Warp kernel of a shape, in a module of its own.

    Its arguments, float64 but for counts of chunks: w1_start [input, unit], w2_start [unit, 1], columns
    [input, column], rows [column, input], targets [1, column], full_chunks, first_gradient_chunk, chunks,
    hyper [net, 4] (rate of the input layer, rate of the output layer, offset, mean of the initial weights), gain,
    examples, gradient_examples, radius, and the result losses [net, step]. A net writes its loss before each step, and
    nothing after the step at which it escapes.

    A column is an example. The full set comes first, in `full_chunks` chunks, and then, if there are minibatches, those
    of every step in turn. Columns that fill a chunk are zero, and so add exact zeros to every sum: their targets are
    zero, and an activation of zero is zero.
    """
    width, chunk = shape.width, shape.chunk
    per_unit = 1.0 / width
    activation, slope = _ACTIVATIONS[shape.activation]

    @wp.func
    def back(weight: wp.float64, residual: wp.float64, hidden: wp.float64) -> wp.float64:
        return weight * residual * slope(hidden)

    def train(  # noqa: PLR0913 -- as above
        w1_start: wp.array2d[wp.float64],
        w2_start: wp.array2d[wp.float64],
        columns: wp.array2d[wp.float64],
        rows: wp.array2d[wp.float64],
        targets: wp.array2d[wp.float64],
        full_chunks: int,
        first_gradient_chunk: int,
        chunks: int,
        hyper: wp.array2d[wp.float64],
        gain: wp.float64,
        examples: wp.float64,
        gradient_examples: wp.float64,
        radius: wp.float64,
        losses: wp.array2d[wp.float64],
    ) -> None:
        net, thread = wp.tid()
        one, zero = wp.float64(1.0), wp.float64(0.0)
        slower = wp.float64(2.0) / gradient_examples
        rate1 = hyper[net, 0] * slower * gain
        rate2 = hyper[net, 1] * slower * wp.float64(per_unit)
        offset = wp.tile_full(shape=(width, width), value=hyper[net, 2], dtype=wp.float64)
        w1 = wp.tile_load(w1_start, shape=(width, width), storage="shared")
        w2 = wp.tile_load(w2_start, shape=(width, 1), storage="shared")
        w1 += wp.tile_full(shape=(width, width), value=hyper[net, 3], dtype=wp.float64)
        g1 = wp.tile_zeros(shape=(width, width), dtype=wp.float64, storage="shared")
        g2 = wp.tile_zeros(shape=(width, 1), dtype=wp.float64, storage="shared")
        hidden = wp.tile_zeros(shape=(width, chunk), dtype=wp.float64, storage="shared")
        limit = wp.float64(0.0)
        t = int(0)  # noqa: UP018, RUF046 -- what Warp takes as a variable
        while t < losses.shape[1]:
            # The published "parameter initialization" condition: added inside every step and kept.
            w1 += offset
            scaled1 = w1 * gain
            scaled2 = w2 * wp.float64(per_unit)
            total = wp.tile_zeros(shape=(1,), dtype=wp.float64)
            for c in range(chunks):
                column = c * chunk
                if c >= full_chunks:  # this step's minibatch
                    column += t * (chunks - full_chunks) * chunk
                by_input = wp.tile_load(columns, shape=(width, chunk), offset=(0, column), storage="shared")
                # Written through a transposed view, so that neighbouring threads read neighbouring numbers.
                wp.tile_matmul(wp.tile_transpose(by_input), scaled1, wp.tile_transpose(hidden), one, zero)
                wp.tile_assign(hidden, wp.tile_map(activation, hidden), offset=(0, 0))
                output = wp.tile_matmul(wp.tile_transpose(scaled2), hidden)
                residual = output - wp.tile_load(targets, shape=(1, chunk), offset=(0, column))
                if c < full_chunks:  # the recorded loss is always the full set's
                    total += wp.tile_sum(wp.tile_map(_square, residual))
                if c >= first_gradient_chunk:
                    keep = wp.where(c > first_gradient_chunk, one, zero)
                    by_example = wp.tile_load(rows, shape=(chunk, width), offset=(column, 0), storage="shared")
                    behind = wp.tile_transpose(residual)
                    delta = wp.tile_map(
                        back,
                        wp.tile_broadcast(wp.tile_transpose(scaled2), shape=(chunk, width)),
                        wp.tile_broadcast(behind, shape=(chunk, width)),
                        wp.tile_transpose(hidden),
                    )
                    wp.tile_matmul(wp.tile_transpose(by_example), delta, g1, one, keep)
                    wp.tile_matmul(hidden, behind, g2, one, keep)
            loss = wp.tile_extract(total, 0) / examples
            if thread == 0:
                losses[net, t] = loss
            if t == 0:
                limit = radius * loss
            if not (loss <= limit and wp.isfinite(loss)):
                break
            w1 -= g1 * rate1
            w2 -= g2 * rate2
            t += 1

    train.__name__ = train.__qualname__ = shape.name
    # Warp's own register-blocked product, not cuBLASDx: that one took minutes to compile for an architecture (1.19, two
    # cores), and its code would be other code than what runs on a processor.
    # And machine code by Warp's compiler, whose version is part of the numerics, not by that of a driver.
    options = {
        "enable_backward": False,
        "enable_mathdx_gemm": False,
        "fast_math": False,
        "cuda_output": "cubin",
        "block_dim": shape.threads,
    }
    return wp.kernel(train, enable_backward=False, module="unique", module_options=options)
