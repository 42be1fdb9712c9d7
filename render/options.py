"""The options that commands share, and what scene they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from render import scene as scenes

Scene = Annotated[
    str, Parameter(help="A scene file, the name of one in scenes/, or a picture or film that render made.")
]
More = Annotated[str, Parameter(help="More scene files, each laid over those before it.")]
Quality = Annotated[
    str,
    Parameter(
        help='"auto" (the scene\'s own output if this machine can train it in the budget, else the best preset that '
        'fits), "scene", or a preset: preview, soft, draft, fine, hd, full, uhd.'
    ),
]
Out = Annotated[Path, Parameter(help="Folder for what is made.")]
Store = Annotated[Path, Parameter(help="Folder of trained samples, shared by all scenes and qualities.")]
Budget = Annotated[float, Parameter(help="Minutes of training that quality auto allows itself.")]
Poster = Annotated[str, Parameter(help="The frame that poster and thumbnail show.")]
Json = Annotated[
    bool, Parameter(help="Print JSON, one object a line: results on stdout, the rest on stderr.", negative="")
]
Debug = Annotated[bool, Parameter(help="Show a traceback with an error.", negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Changes:
    """What is laid over the scene files."""

    settings: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="FIELD=VALUE over the scene's own, such as look.palette=viridis.", negative=""),
    ] = ()
    shape: Annotated[
        str | None, Parameter(help="wide (16:9), square, vertical (9:16), portrait (4:5) or cinema (64:27).")
    ] = None
    name: Annotated[str | None, Parameter(help="What to call the output, instead of the scene's name.")] = None

    def load(self, *files: str) -> scenes.Scene:
        """Return the scene of some files with these changes."""
        from render import scene

        return scene.load(*files, settings=self.settings, shape=self.shape, name=self.name)


AS_WRITTEN = Changes()


def parted(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return further scene files, and the rest, of what stands behind a scene."""
    files = tuple(word for word in words if word.endswith(".toml"))
    return files, tuple(word for word in words if word not in files)
