"""`python -m render`, the same as the console script."""

from render.cli import main

main()
