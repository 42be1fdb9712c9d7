"""The parts of pictures: palettes, colours, filters, tiles laid side by side, shading, axes, flashes.

No scene, plan or store is known here: arrays and looks in, arrays out. `render.film.compose` makes frames of it.
"""
