"""The explorer: find a target with the mouse, leave with a scene. A small server on this machine, and one page.

The page looks at the film's own samples: `planes` opens a scene with its store and backend, `wishes` says which tiles a
view wants and in what order, `trainer` trains them, `live` carries views one way and tiles the other. `keyframes` turns
what was found into a scene file, and `guard` keeps everybody else out.
"""
