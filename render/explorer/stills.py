"""The origin of a still: its metadata contain the scene, as it was filmed, and the number of the frame."""

from __future__ import annotations

import io

from render import encode, scene
from render.errors import RenderError
from render.geometry.camera import View
from render.scene import Scene


def origin(content: bytes) -> tuple[Scene, View]:
    """Return the scene of a still, with the still's output, and the view that it shows. content: the bytes of a PNG."""
    metadata = encode.read_png_metadata(io.BytesIO(content))
    try:
        text, name, frame = metadata["scene"], metadata["name"], int(metadata["frame"])
        loaded = scene.parse(text, "the still", name[:64])
        path = loaded.path(loaded.output)
        if not 0 <= frame < path.frame_count(loaded.output.fps):
            raise ValueError(frame)
        return loaded, path.view(path.s_of_frame(frame, loaded.output.fps))
    except (KeyError, ValueError):
        raise RenderError(
            "This picture does not say where it was made: drop a still made by `render frame` or `make frame`."
        ) from None
