"""`python -m render.cli`, which does the same as the console script."""

from render.cli import main

main()
