"""The options that commands share, and the scene that they result in."""

from __future__ import annotations

import contextlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token

from render.errors import RenderError
from render.files import path_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from render import scene as scenes
    from render.api import Listener
    from render.backends import Backend, Cluster
    from render.problem import Problem

# The words that shells complete for options that take a name. Other names are passed on, since they are checked later,
# by code that suggests similar names and may know more of them. The words are repeated here, and not read from their
# definitions, so that the command line starts without loading the tables of scenes (0.2 s). A test compares both.
_Preset = Literal["preview", "soft", "draft", "fine", "hd", "full", "uhd"]
QualityName = Literal["auto", "scene"] | _Preset | str
ShownName = Literal["scene"] | _Preset | str
ShapeName = Literal["wide", "square", "vertical", "portrait", "cinema"] | str
CodecName = Literal["h264", "upload", "hevc", "av1", "vp9", "prores", "prores4444", "ffv1", "png", "webp", "gif"] | str
BackendName = Literal["local", "dask"] | str
KernelName = Literal["xla", "fused"] | str

# The palettes of this package, and of the thousands of others those that messages recommend.
PaletteName = Literal["luma", "luma-dark", "even", "safe", "wheel", "Spectral", "vik", "RdBu"] | str

SystemName = (
    Literal["mlp", "network", "transformer", "backprop", "phases", "mandelbrot", "julia", "nonconvex", "product"]
    | Literal["committee", "cyclic", "deep_linear", "signal", "newton"]
    | str
)


def path_given(_: object, tokens: Sequence[Token]) -> Path:
    """Return the path that a person gave. Raises RenderError: see `path_argument.path_of`."""
    return path_argument.path_of(tokens[0].value, tokens[0].keyword or "A path")


GivenPath = Annotated[Path, Parameter(converter=path_given)]

Shown = Annotated[
    ShownName,
    Parameter(show_choices=False, metavar="NAME", help='"scene", or a preset whose size, rate and detail are shown.'),
]
OneSystem = Annotated[
    SystemName | None,
    Parameter(show_choices=False, metavar="NAME", help="A system, of which all settings are listed."),
]

# A Path in the union lets shells complete files; the value is a text in any case.
Scene = Annotated[
    str | Path, Parameter(help="A scene file, the name of one in scenes/, or a picture or film that render made.")
]
AnyScene = Annotated[
    str | Path, Parameter(help="A scene file, or the name of one; without it, one is chosen in the page.")
]
More = Annotated[str | Path, Parameter(help="More scene files, whose values replace earlier ones.")]
Each = Annotated[
    bool, Parameter(help="Make a film of every file, one after the other, instead of one of all together.", negative="")
]
Poster = Annotated[str, Parameter(help="The frame that poster and thumbnail show.")]
Store = Annotated[GivenPath, Parameter(help="Folder of trained samples, shared by all scenes and qualities.")]
Trust = Annotated[
    tuple[str, ...],
    Parameter(name="--trust", help="A Python file beside the scene whose code may be run, as it is now.", negative=""),
]
Force = Annotated[
    bool,
    Parameter(
        help="Replace files of the same name, even if another scene, other settings or another program made them.",
        negative="",
    ),
]
Debug = Annotated[bool, Parameter(help="Show the traceback of an error.", negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Effort:
    """The sharpness of a film."""

    quality: Annotated[
        QualityName,
        Parameter(
            show_choices=False,
            metavar="NAME",
            help='"auto" (the scene\'s own output if this machine can train it in the budget, else the best preset '
            'that fits), "scene", or a preset: preview, soft, draft, fine, hd, full, uhd.',
        ),
    ] = "auto"
    budget: Annotated[float, Parameter(help="Minutes of training that quality auto allows itself.")] = 15.0


AUTO = Effort()


@Parameter(name="*")
@dataclass(frozen=True)
class Folders:
    """The folders of outputs and samples."""

    out: Annotated[GivenPath, Parameter(help="Folder for films and other outputs.")] = Path("out")
    store: Store = Path("store")
    force: Force = False


HOME = Folders()


@Parameter(name="*")
@dataclass(frozen=True)
class Printing:
    """The form of messages. `main` looks for both options itself, before any command runs."""

    json: Annotated[
        bool, Parameter(help="Print JSON, one object a line: results on stdout, the rest on stderr.", negative="")
    ] = False
    debug: Debug = False


PLAIN = Printing()


@Parameter(name="*")
@dataclass(frozen=True)
class Changes:
    """The values that replace those of the scene files."""

    settings: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set", help="FIELD=VALUE instead of the scene's value, such as look.palette=vik.", negative=""
        ),
    ] = ()
    shape: Annotated[
        ShapeName | None,
        Parameter(
            show_choices=False,
            metavar="NAME",
            help="wide (16:9), square, vertical (9:16), portrait (4:5) or cinema (64:27).",
        ),
    ] = None
    name: Annotated[str | None, Parameter(help="The name of the output, instead of the scene's name.")] = None
    palette: Annotated[
        PaletteName | None,
        Parameter(
            show_choices=False,
            metavar="NAME",
            help="Short for --set look.palette=NAME, or colours from slow divergence to slow convergence: "
            "'#1a0633,#f7f7f7,#00441b'.",
        ),
    ] = None
    trust: Trust = ()

    def load(self, *files: str | Path) -> scenes.Scene:
        """Return the scene of some files with these changes."""
        from render import scene

        take_trust(self.trust)
        settings = (*self.settings, *([f"look.palette={json.dumps(self.palette)}"] if self.palette else []))
        return scene.load(*files, settings=settings, shape=self.shape, name=self.name)

    def and_set(self, *settings: str) -> Changes:
        """Return these changes with further FIELD=VALUE, which replace earlier ones."""
        return replace(self, settings=(*self.settings, *settings))


AS_WRITTEN = Changes()


@Parameter(name="*")
@dataclass(frozen=True)
class Watch:
    """The page on a film that is being made."""

    watch: Annotated[
        bool,
        Parameter(
            help="Open a page on this machine that shows the film while it is made: its progress, the frames so far, "
            "and the next ones coarse.",
            negative="",
        ),
    ] = False
    port: Annotated[
        int | None,
        Parameter(help="Port of that page on 127.0.0.1; by default 8640, or the next that is free."),
    ] = None
    open: Annotated[bool, Parameter(help="Open that page in a browser, where there is a screen.")] = True

    def over(self, listener: Listener) -> AbstractContextManager[Listener]:
        """Return a context that yields the listener for films; with --watch, it reports to the page too."""
        from render.cli import messages

        if not self.watch:
            if self.port is not None or not self.open:
                raise RenderError("--port and --no-open are for the page of --watch; add --watch.")
            return contextlib.nullcontext(listener)
        from render import api

        return api.watching(listener, port=self.port, browse=self.open, announce=messages.watched)


UNWATCHED = Watch()


def take_trust(files: tuple[str, ...]) -> None:
    """Remember that the user trusts these files as they are now."""
    from render.cli import messages
    from render.scene import own_files

    for file in files:
        if not own_files.trusted(file):
            messages.note(
                f"{file} is trusted for this command only: there is no configuration folder to remember it in."
            )


@Parameter(name="*")
@dataclass(frozen=True)
class ThisMachine:
    """How much of this machine a command may use."""

    cores: Annotated[
        int | None, Parameter(help="Cores of this machine to use; by default all that this process may use.")
    ] = None

    def __post_init__(self) -> None:
        """Limit the cores of the whole process, before any code asks how many there are."""
        from render.machine import cores

        cores.limit(self.cores)


ALL_OF_IT = ThisMachine()


@Parameter(name="*")
@dataclass(frozen=True)
class Machines(ThisMachine):
    """The machines that train."""

    backend: Annotated[
        BackendName,
        Parameter(
            show_choices=False,
            metavar="NAME",
            help="local (this process), or dask (worker processes, on this machine or on many).",
        ),
    ] = "local"
    workers: Annotated[
        int | None, Parameter(help="Worker processes of dask on this machine; by default one per core.")
    ] = None
    scheduler: Annotated[
        str | None, Parameter(help="A running dask scheduler to train with, such as tcp://login:8786.")
    ] = None
    slurm: Annotated[int, Parameter(help="Train in this many SLURM jobs, submitted from here.")] = 0
    job: Annotated[
        tuple[str, ...],
        Parameter(
            name="--job",
            help="NAME=VALUE of a SLURM job: cores, gpus, memory, walltime, queue, account, interface, constraint, "
            "logs.",
            negative="",
        ),
    ] = ()

    kernel: Annotated[
        KernelName,
        Parameter(
            show_choices=False,
            metavar="NAME",
            help="xla, or fused: a kernel for NVIDIA devices, which trains if it proves to be right and faster there "
            "(not measured yet).",
        ),
    ] = "xla"

    def make(self, problem: Problem) -> Backend:
        """Return the backend that trains a problem on these machines. Raises ClusterError."""
        from render import backends
        from render.cli import messages
        from render.errors import ClusterError

        elsewhere = bool(self.scheduler or self.slurm)
        if self.slurm < 0:
            raise ClusterError(f"--slurm must be the number of jobs, at least 1, not {self.slurm}.")
        if self.job and not self.slurm:
            raise ClusterError("--job describes the jobs of --slurm; say how many: --slurm 10.")
        if self.workers is not None and self.backend == "local" and not elsewhere:
            raise ClusterError("--workers is for --backend dask; with local, --cores says how many cores to use.")
        if self.slurm and self.workers is not None:
            raise ClusterError("--slurm starts a worker for each of a job's cores: --job cores=8, and not --workers.")
        name = "dask" if elsewhere and self.backend == "local" else self.backend
        return backends.make(name, problem, self.cluster(), messages.note, kernel=self.kernel)

    def cluster(self) -> Cluster:
        """Return the options of a cluster in the form that the backends take."""
        from render.backends import Cluster
        from render.errors import ClusterError

        if self.kernel != "xla" and (self.scheduler or self.slurm or self.job or self.backend == "dask"):
            raise ClusterError("--kernel is for --backend local; a cluster's workers train with XLA's kernel.")
        for text in self.job:
            if "=" not in text:
                raise ClusterError(f"--job must be NAME=VALUE, such as queue=long, not {text!r}.")
        pairs = tuple((name, value) for name, _, value in (text.partition("=") for text in self.job))
        return Cluster(self.workers, self.scheduler, self.slurm, pairs)


HERE = Machines()


def parted(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the further scene files, and the other words, among the arguments after a scene."""
    files = tuple(word for word in words if word.endswith(".toml"))
    return files, tuple(word for word in words if word not in files)
