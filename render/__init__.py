"""Films that zoom through the landscape of neural-network training.

The Python API is in render.scene (load), render.film.rendering (video, stills, probe) and render.film.plan; importing
this package alone loads nothing, so that `render --help` starts in a blink.
"""

__version__ = "0.1.0"
