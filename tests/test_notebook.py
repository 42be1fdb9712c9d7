"""The notebook runs from its first cell to its last, in a process that used JAX before, and shows what it made."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from render.api import display
from render.api.films import Film
from tests.helpers import ROOT

NOTEBOOK = ROOT / "assets" / "own_model.ipynb"

# What Jupyter does with a cell, as far as this notebook asks for it: files that are written, and the value of the last
# line, which shows itself as HTML where it can.
_RUN = """
import ast, json, sys
space = {}
for cell in json.load(open(sys.argv[1]))["cells"]:
    text = "".join(cell["source"])
    if cell["cell_type"] != "code":
        continue
    if text.startswith("%%writefile "):
        first, _, rest = text.partition("\\n")
        open(first.split()[1], "w").write(rest)
        continue
    tree = ast.parse(text)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), space)
        shown = getattr(value, "_repr_html_", None)
        if value is not None:
            print("SHOWN", json.dumps([type(value).__name__, shown() if shown else repr(value)]))
"""


def test_the_notebook_goes_from_a_loop_to_a_film(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert sum(cell["cell_type"] == "code" for cell in cells) == 10
    assert all(not cell.get("outputs") for cell in cells)
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(NOTEBOOK)], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (loop,) = [float(line.split()[1]) for line in lines if line.startswith("loss ")]
    shown = [json.loads(line.partition(" ")[2]) for line in lines if line.startswith("SHOWN ")]
    kinds = [kind for kind, _ in shown]
    assert kinds == ["tuple", "tuple", "Window", "tuple", "Stills", "dict", "Film"]
    # The run at the numbers of the loop ends as the loop did, up to its float32.
    first_final_loss = float(re.findall(r"array\(\[([^,]+)", shown[1][1])[1])
    assert first_final_loss == pytest.approx(loop, rel=0.1)
    assert '<img src="data:image/png;base64,' in shown[2][1] and "values from" in shown[2][1]
    assert shown[4][1].count("<img ") == 1
    assert "<video controls" in shown[6][1]
    (film,) = (tmp_path / "out").rglob("*.mp4")
    inside = base64.b64decode(shown[6][1].partition("base64,")[2].partition('"')[0])
    assert inside == film.read_bytes()


def test_what_is_gone_or_too_large_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a & b.mp4"
    assert "a &amp; b.mp4" in Film(path, (path,))._repr_html_()
    path.write_bytes(b"film")
    assert "<video" in display.player(path)
    monkeypatch.setattr(display, "_MOST_BYTES", 3)
    assert "<video" not in display.player(path) and "a &amp; b.mp4" in display.player(path)
    assert "<img" not in display.player(tmp_path / "sequence")
    assert "<img" not in display.Stills([tmp_path / "gone.png"])._repr_html_()


def test_a_window_shows_its_rows_upwards() -> None:
    """The picture has the first row of the arrays, the lowest value of y, at its bottom."""
    import io

    from PIL import Image

    from render.api.arrays import Window
    from render.samples import Field, Status

    value = np.array([[-1.0, -1.0], [2.0, 3.0]])
    status = np.where(value < 0, Status.CONVERGED, Status.DIVERGED).astype(np.uint8)
    field = Field(value, np.abs(value), np.full((2, 2), -1, np.int32), status, {})
    shown = Window(np.array([1.0, 2.0]), np.array([5.0, 6.0]), 0, field, range(2), range(2))._repr_html_()
    png = base64.b64decode(shown.partition("base64,")[2].partition('"')[0])
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red_minus_blue = picture[..., 0] - picture[..., 2]
    assert red_minus_blue[0, 0] > 0 > red_minus_blue[-1, 0]
    assert "2 values from 5 to 6" in shown and "50.0% of 4" in shown
