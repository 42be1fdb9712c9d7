"""The explorer: find a target with the mouse, leave with a scene. A small server on this machine, and one page.

The page shows the samples of the film itself: `planes` opens a scene with its store and backend, `wanted_tiles` lists
the tiles that a view needs in the order of training, `trainer` trains them, and `live` receives views and sends tiles.
`keyframes` turns the keyframes of a page into a scene file, and `guard` refuses requests of other pages and users.
"""
