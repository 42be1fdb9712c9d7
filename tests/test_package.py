"""The built package, installed in an environment of its own, elsewhere: it has its scenes, its schema and its data."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a wheel, and of a source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of an environment with the wheel, which shares the dependencies but not the checkout."""
    place = tmp_path_factory.mktemp("elsewhere") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (wheel,) = built.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "install", "-q", "--no-deps", "--no-index",
         "--disable-pip-version-check", str(wheel)],
        check=True,
    )  # fmt: skip
    (packages,) = place.glob("lib/python*/site-packages")
    # A folder that a .pth names has its packages found, but its own .pth, which leads to the checkout, is not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def run(folder: Path, *command: str | Path) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(tmp_path, installed / "python", "-c", "import render; print(render.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_installed_package_films(installed: Path, tmp_path: Path) -> None:
    out = run(tmp_path, installed / "render", "video", "tiny", "--quality", "scene")
    film = tmp_path / out.split("\n")[0]
    assert film.suffix == ".mp4" and film.stat().st_size > 1000
    assert "mean_lr" in run(tmp_path, installed / "render", "show", "mean_lr", "--json")
    assert run(tmp_path, installed / "python", "-m", "render", "--version") == run(
        tmp_path, installed / "render", "--version"
    )


def test_every_scene_and_every_data_file_is_in_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "render", "scenes"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("this is no git checkout")
    files = tracked.stdout.splitlines()
    assert len(files) > 100
    assert {f"render/{name}" if name.startswith("scenes/") else name for name in files} <= inside
    for name in inside:  # the schema that the first line of a scene names is beside it
        if name.startswith("render/scenes/") and name.endswith(".toml"):
            first = zipfile.ZipFile(wheel).read(name).decode().partition("\n")[0]
            assert first.startswith("#:schema ")
            assert os.path.normpath(os.path.join(os.path.dirname(name), first.split()[1])) in inside


def test_the_source_distribution_builds_the_same_package(built: Path, tmp_path: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (again,), (wheel,) = (tmp_path / "dist").glob("*.whl"), built.glob("*.whl")
    contents = [
        {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()} for path in (again, wheel)
    ]
    assert contents[0] == contents[1]
