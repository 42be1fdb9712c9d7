"""Scene files that are damaged by accident or on purpose: each must load, or be refused at once with its place."""

import random
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from render import scene
from render.errors import DepthError, RenderError, SceneError
from render.film.plan import Plan

SOURCES = [path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[2] / "scenes").glob("*.toml"))]

# Loading and planning one file may take this long, and the process this much memory.
MOST_S = 20.0
MOST_BYTES = 6 * 2**30

VALUES = [
    "0", "-1", "1", "2", "1e308", "-1e308", "1e-308", "nan", "inf", "-inf", "true", "false", '""', '"x"', '"tanh"',
    "9" * 30, "9" * 5000, '"' + "9" * 5000 + '"', '"1e999999"', '"1e-999999"', '"-0"', '"nan"', "[]", "{}", "[[[]]]",
    "[1, 2]", '["1", "2"]', "[1e9, 1e9]", "[100000, 100000]", "[-2, 2]", "1979-05-27", "12:00:00", '"\\u0000"',
    '"\\u202e"', "'" + "é" * 100 + "'", '"../../../etc/passwd"', '"viridis"', '["1e-300", "1e300"]', '["0", "0"]',
    '["1e3", "1e-3"]', "0.0000001", "1000000000", "1_000_000", "0x7fffffffffffffff", "[" * 500 + "]" * 500,
]  # fmt: skip


class Fuzz(NamedTuple):
    """How many files were refused and how many loaded; what went wrong, by kind; the slowest, in seconds."""

    refused: int
    loaded: int
    planned: int
    faults: Counter[str]
    slowest_s: float
    memory_mb: float

    def __str__(self) -> str:
        wrong = "; ".join(f"{count} x {kind}" for kind, count in self.faults.most_common()) or "none"
        return (
            f"{self.refused + self.loaded:,} files, {self.refused:,} refused with their place, {self.loaded:,} loaded, "
            f"{self.planned:,} of them planned; wrong: {wrong}; slowest {self.slowest_s:.2f} s, peak memory "
            f"{self.memory_mb:,.0f} MB"
        )


def _lines(text: str) -> list[str]:
    return text.split("\n")


def replace_value(text: str, chance: random.Random) -> str:
    lines = _lines(text)
    keys = [i for i, line in enumerate(lines) if "=" in line and not line.lstrip().startswith("#")]
    i = chance.choice(keys)
    lines[i] = lines[i].partition("=")[0] + "= " + chance.choice(VALUES)
    return "\n".join(lines)


def drop_line(text: str, chance: random.Random) -> str:
    lines = _lines(text)
    del lines[chance.randrange(len(lines))]
    return "\n".join(lines)


def double_line(text: str, chance: random.Random) -> str:
    lines = _lines(text)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    return "\n".join(lines)


def swap_lines(text: str, chance: random.Random) -> str:
    lines = _lines(text)
    i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return "\n".join(lines)


def change_character(text: str, chance: random.Random) -> str:
    i = chance.randrange(len(text))
    return text[:i] + chance.choice('"[]{}=#.\n\t\\0123456789eE+-_xé\x00\x1b\u202e') + text[i + chance.randrange(2) :]


def cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text))]


def misspell(text: str, chance: random.Random) -> str:
    lines = _lines(text)
    i = chance.choice([i for i, line in enumerate(lines) if "=" in line])
    j = chance.randrange(max(1, lines[i].index("=")))
    lines[i] = lines[i][:j] + chance.choice("abcxyz_") + lines[i][j + 1 :]
    return "\n".join(lines)


def change_digits(text: str, chance: random.Random) -> str:
    places = [i for i, c in enumerate(text) if c.isdigit()]
    for i in chance.sample(places, min(3, len(places))):
        text = text[:i] + chance.choice("0123456789") + text[i + 1 :]
    return text


def add_keyframes(text: str, chance: random.Random) -> str:
    one = '\n[[camera.keyframes]]\ncentre_log10 = ["{}", "{}"]\nwidth_decades = {}\nhold_s = {}\n'
    frames = [
        one.format(chance.uniform(-9, 9), chance.uniform(-9, 9), 10 ** chance.uniform(-20, 3), chance.uniform(0, 5))
        for _ in range(chance.choice([1, 2, 50]))
    ]
    return text + "".join(frames)


MUTATIONS: list[Callable[[str, random.Random], str]] = [
    replace_value, replace_value, replace_value, drop_line, double_line, swap_lines, change_character, cut, misspell,
    change_digits, change_digits, add_keyframes,
]  # fmt: skip


def scene_text(chance: random.Random) -> str:
    """Return a scene of the package, mutated one to four times."""
    text = chance.choice(SOURCES)
    for _ in range(chance.randint(1, 4)):
        if text.strip():
            try:
                text = chance.choice(MUTATIONS)(text, chance)
            except (IndexError, ValueError):  # nothing left to mutate in that way
                continue
    return text


class _Hang(Exception):
    pass


def _alarm(*_: object) -> None:
    raise _Hang


def examine(path: Path, *, plan: bool) -> str:
    """Load a file, and plan it; return "refused", "loaded" or "planned", or what went wrong."""
    try:
        loaded = scene.load(path)
    except SceneError as error:
        return "refused" if all(path.name in fault or path.stem in fault for fault in error.faults) else "unlocated"
    if not plan:
        return "loaded"
    try:
        Plan(loaded)
    except (DepthError, RenderError):
        return "refused"
    return "planned"


def run(count: int = 5000, *, plan: bool = True, seed: int = 0) -> Fuzz:
    """Examine that many files."""
    before = signal.signal(signal.SIGALRM, _alarm)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES if limits[1] == -1 else min(MOST_BYTES, limits[1]), limits[1]))
    outcomes: Counter[str] = Counter()
    slowest_s = 0.0
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fuzzed.toml"
            for number in range(count):
                chance = random.Random(f"{seed}-{number}")
                path.write_bytes(scene_text(chance).encode("utf-8", "surrogatepass"))
                started = time.perf_counter()
                signal.setitimer(signal.ITIMER_REAL, MOST_S)
                try:
                    outcome = examine(path, plan=plan)
                except _Hang:
                    outcome = f"more than {MOST_S:g} s (number {number})"
                except Exception as error:  # what this test is there to find
                    outcome = f"{type(error).__name__}: {str(error)[:80]} (number {number})"
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                slowest_s = max(slowest_s, time.perf_counter() - started)
                outcomes[outcome] += 1
    finally:
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    refused, planned = outcomes.pop("refused", 0), outcomes.pop("planned", 0)
    loaded = outcomes.pop("loaded", 0) + planned
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return Fuzz(refused, loaded, planned, outcomes, slowest_s, memory_mb)
