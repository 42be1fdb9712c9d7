"""Helpers that several test files share: oracles, published data, scenes, and ways to run commands.

Test modules import from here and never from each other. Nothing here is collected as a test.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
