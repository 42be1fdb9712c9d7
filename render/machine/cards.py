"""What NVIDIA devices do in float64: most of them have few units for it, and a film is float64 throughout."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from typing import NamedTuple

# Compute capability -> multiply-adds in a clock cycle of one multiprocessor, in float64 and in float32, as NVIDIA's
# programming guide lists them. One that is missing here is not known.
_MULTIPLY_ADDS = {
    "6.0": (32, 64),
    "6.1": (4, 128),
    "7.0": (32, 64),
    "7.5": (2, 64),
    "8.0": (32, 64),
    "8.6": (2, 128),
    "8.9": (2, 128),
    "9.0": (64, 128),
    "10.0": (64, 128),
    "12.0": (2, 128),
}


class Card(NamedTuple):
    """An NVIDIA device. capability: of computing, such as "9.0"; "" if it is not known.

    multiprocessors: their number, 0 if it is not known. clock_mhz: the highest; None if it is not known.
    """

    name: str
    capability: str
    multiprocessors: int
    clock_mhz: float | None = None

    @property
    def float64_share(self) -> Fraction | None:
        """The rate of float64 as a share of that of float32; None if it is not known."""
        known = _MULTIPLY_ADDS.get(self.capability)
        return None if known is None else Fraction(*known)

    @property
    def float64_flop_per_s(self) -> float | None:
        """The most float64 operations a second, a multiply-add counting as two; None if it is not known."""
        known = _MULTIPLY_ADDS.get(self.capability)
        if known is None or not self.multiprocessors or self.clock_mhz is None:
            return None
        return 2.0 * known[0] * self.multiprocessors * self.clock_mhz * 1e6

    def words(self) -> str:
        """Return what a person should know of its float64, as a part of a sentence."""
        share, most = self.float64_share, self.float64_flop_per_s
        if share is None:
            return f"{self.name}: how fast its float64 is is not known here"
        rate = "" if most is None else f", {most / 1e12:.3g} TFLOP/s at most"
        few = " (a card for graphics: few units for it)" if share < Fraction(1, 4) else ""
        return f"{self.name}: float64 at 1/{share.denominator // share.numerator} of the rate of float32{few}{rate}"


def clock_mhz(name: str) -> float | None:
    """Return the highest clock of the devices of a name, as the driver reports it; None where it does not."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=name,clocks.max.sm", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
        clocks = {card: clock for card, _, clock in (line.rpartition(", ") for line in lines)}
        return float(clocks[name])
    except (OSError, subprocess.SubprocessError, KeyError, ValueError):
        return None
