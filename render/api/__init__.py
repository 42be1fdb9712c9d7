"""The public face: what the command line is written on, and what `import render` offers.

`render.plan`, `render.video` and the others take a `Scene` from `render.load`. Importing `render` alone loads none of
this.
"""

from render.api.arrays import Window, field, probe
from render.api.exports import export, export_frames
from render.api.films import Film, contact_sheet, convert, frame, pictures, plan, recolour, video
from render.api.listener import SILENT, Listener
from render.api.own_model import trust
from render.api.pages import explore
from render.api.posters import PosterPlan, plan_poster, poster
from render.api.preparation import Outlook
from render.api.progress import Progress
from render.api.publishing import publish
from render.api.targets import descend
from render.api.watch_page import watching
from render.errors import RenderError
from render.explorer.published_site import Published
from render.scene import Scene, load

__all__ = [
    "SILENT",
    "Film",
    "Listener",
    "Outlook",
    "PosterPlan",
    "Progress",
    "Published",
    "RenderError",
    "Scene",
    "Window",
    "contact_sheet",
    "convert",
    "descend",
    "explore",
    "export",
    "export_frames",
    "field",
    "frame",
    "load",
    "pictures",
    "plan",
    "plan_poster",
    "poster",
    "probe",
    "publish",
    "recolour",
    "trust",
    "video",
    "watching",
]
