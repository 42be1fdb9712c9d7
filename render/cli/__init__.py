"""The command line: `render` of the console. Everything it does is in the rooms beside it, in Python too."""

from render.cli.commands import app, main

__all__ = ["app", "main"]
