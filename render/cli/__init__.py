"""The command line, `render` in a console. Everything it does can be done in Python too, with `render.api`."""

from render.cli.commands import app, main

__all__ = ["app", "main"]
