"""Renders of one film in two containers at once, some of them killed, while a third cleans up."""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from render.encode.ffmpeg import count_frames
from render.tools import inventory

ROOT = Path(__file__).parents[2]
_BOX = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc", "sh", "-c", 'hostname box && exec "$@"']


def run(count: int = 20) -> str:
    """Make that many pairs; every film must open, and be the one of its record."""
    chance, killed, films = random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        places = ["--out", f"{folder}/out", "--store", f"{folder}/store"]
        cli = [*_BOX, "sh", sys.executable, "-m", "render.cli"]
        if subprocess.run([*_BOX, "sh", "true"], capture_output=True, check=False).returncode:
            return "this machine makes no containers (unshare)"
        # Of two scenes of one name, both of which may replace the other's film.
        scenes = [folder / palette / "tiny.toml" for palette in ("viridis", "vik")]
        for file in scenes:
            file.parent.mkdir()
            file.write_text((ROOT / "scenes/tiny.toml").read_text().replace('"Spectral"', f'"{file.parent.name}"'))
        for _ in range(count):
            pair = [
                subprocess.Popen(
                    [*cli, "video", str(file), "--quality", "scene", "--force", *places],
                    cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
                for file in scenes
            ]  # fmt: skip
            if chance.random() < 0.5:
                try:
                    pair[0].wait(chance.uniform(1, 6))
                except subprocess.TimeoutExpired:
                    pair[0].kill()
                    killed += 1
            subprocess.run([*cli, "clean", *places], cwd=ROOT, capture_output=True, check=True)
            codes = [process.wait() for process in pair]
            assert codes[1] == 0, codes
            film = folder / "out/tiny/tiny-scene.mp4"
            record = json.loads(film.with_name("tiny-scene.mp4.json").read_text())
            assert count_frames(film) == record["frames"]
            assert hashlib.sha256(film.read_bytes()).hexdigest() == record["sha256"]
            films += 1
        left = inventory.left_behind(folder / "out", folder / "store")
        inventory.delete(left)
        assert inventory.left_behind(folder / "out", folder / "store") == []
    return f"{films} pairs of renders, {killed} renders killed: every film opens and is that of its record"
