"""Launches the fused kernel: hyperparameters in, the losses of every step out."""

from __future__ import annotations

import functools
import threading
from typing import Any, NamedTuple

import numpy as np
import warp as wp

from render.errors import RenderError
from render.files import places
from render.fused import kernel
from render.fused.shape import Shape, chunks

# Warp compiles and loads modules of one process one after the other, and a launch on a device only queues it.
_launching = threading.Lock()


class Training(NamedTuple):
    """What all runs of a problem share; NumPy arrays of float64.

    w1: [input, unit]. w2: [unit]. inputs: [example, input]. targets: [example]. batches: [step, batch], indices of
    examples, or None for full-batch training. gain: on the pre-activation. radius: a run escapes where its loss exceeds
    so many times its first.
    """

    w1: np.ndarray
    w2: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    batches: np.ndarray | None
    gain: float
    radius: float
    steps: int


class Runs:
    """The fused kernel of one problem on one device."""

    def __init__(self, shape: Shape, training: Training, device: str) -> None:
        """device: Warp's name of it: "cpu", "cuda:0" and so on. Raises RenderError for one that Warp is too old for."""
        _start()
        gpu = wp.get_device(device)
        if gpu.is_cuda and not gpu.is_cubin_supported:
            raise RenderError(f"this version of Warp makes no machine code for {gpu.name} (sm_{gpu.arch})")
        self._shape, self._steps, self._device = shape, training.steps, device
        chunk, count = shape.chunk, len(training.targets)
        full = chunks(count, chunk)
        table, targets = [_padded(training.inputs, chunk)], [_padded(training.targets[:, None], chunk)]
        in_step, first_gradient, gradient_count = full, 0, count
        if training.batches is not None:
            gradient_count = training.batches.shape[1]
            in_step, first_gradient = full + chunks(gradient_count, chunk), full
            table += [_padded(training.inputs[chosen], chunk) for chosen in training.batches]
            targets += [_padded(training.targets[chosen, None], chunk) for chosen in training.batches]
        rows = np.concatenate(table)
        self._inputs = (
            *(self._on_device(a) for a in (training.w1, training.w2[:, None], rows.T, rows, np.concatenate(targets).T)),
            *(full, first_gradient, in_step),
        )
        gain = training.gain / np.sqrt(shape.width)
        self._numbers = (gain, float(count), float(gradient_count), training.radius)

    def losses(self, hyper: np.ndarray, nets: int) -> Any:
        """Train and return the losses, a Warp array of float64 [nets, step] on the device; nan after an escape.

        hyper: float64 [net, 4]: rate of the input layer, rate of the output layer, offset, mean of the initial weights.
        nets: rows of the result, as many or more; those beyond are nan.
        """
        with _launching:
            losses = wp.full((nets, self._steps), np.nan, dtype=wp.float64, device=self._device)
            wp.launch_tiled(
                kernel.build(self._shape),
                dim=[len(hyper)],
                inputs=[*self._inputs, self._on_device(hyper), *self._numbers],
                outputs=[losses],
                block_dim=self._shape.threads,
                device=self._device,
            )
        wp.synchronize_device(self._device)
        return losses

    def _on_device(self, array: np.ndarray) -> Any:
        return wp.array(np.ascontiguousarray(array), dtype=wp.float64, device=self._device)


@functools.cache
def _start() -> None:
    folder = places.cache_folder("warp")
    if folder is not None:
        wp.config.kernel_cache_dir = str(folder)
    wp.init()


def _padded(array: np.ndarray, chunk: int) -> np.ndarray:
    """Return an array [example, any] with as many zeros as fill the last chunk."""
    return np.concatenate([array, np.zeros((-len(array) % chunk, array.shape[1]))])
