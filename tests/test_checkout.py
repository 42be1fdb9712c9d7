"""A checkout sets up its environment, in any folder, whatever other programs have set, and again once it has moved.

What is installed is small: the real Makefile and linking, a package of two lines, and no dependencies.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Other programs' settings, each of which would send packages elsewhere or put others first.
STRANGE = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "UV_PROJECT_ENVIRONMENT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONHOME",
)


def checkout_in(parent: Path) -> Path:
    """Return a checkout in a folder whose name has what shells and make read as signs."""
    folder = parent / "a $b 'c\" d"
    (folder / "render").mkdir(parents=True)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / ".ci/link.py", folder / ".ci")
    (folder / "requirements").mkdir()
    (folder / "requirements" / "lock.txt").write_text("")
    (folder / "pyproject.toml").write_text('[project]\nname = "render"\ndependencies = []\n')
    (folder / "render/__init__.py").write_text("")
    (folder / "render/__main__.py").write_text(
        "import sys\nfrom pathlib import Path\nprint(Path(__file__).parents[1])\nprint(sys.argv[1:])\n"
    )
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout that was never set up."""
    return checkout_in(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout that is set up, which takes four seconds; a test that breaks it leaves it set up again."""
    folder = checkout_in(tmp_path_factory.mktemp("ready"))
    failed = make(folder, "PYTHON=false")
    assert failed.returncode != 0
    assert ran(make(folder))[:2] == (True, str(folder))
    return folder


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make plan` there; pip alone, so that an empty lock needs no network."""
    set_aside = "PIP_", "UV_", "PYTHON", "MAKE", "GPU"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(set_aside)}
    return subprocess.run(
        ["make", "plan", "PIP=1", f"PYTHON={sys.executable}", *words],
        cwd=folder, env=plain | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def ran(done: subprocess.CompletedProcess[str]) -> tuple[bool, str, str]:
    """Return whether it was set up, whose code ran, and with which words."""
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, where, words = done.stdout.splitlines()
    return any("Setting up" in line for line in lines), where, words


def test_a_checkout_that_was_copied_or_moved_runs_its_own_code(ready: Path, tmp_path: Path) -> None:
    assert ran(make(ready))[:2] == (False, str(ready))
    copied = tmp_path / "copied"
    shutil.copytree(ready, copied, symlinks=True)
    command = subprocess.run([copied / ".venv/bin/render"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert command.stdout.splitlines()[0] == str(copied)
    assert ran(make(copied))[:2] == (True, str(copied))
    moved = tmp_path / "moved"
    copied.rename(moved)
    assert ran(make(moved))[:2] == (True, str(moved))
    assert ran(make(ready))[:2] == (False, str(ready))


def test_an_environment_without_its_python_or_stopped_half_way_is_made_again(ready: Path) -> None:
    for python in (ready / ".venv/bin").glob("python*"):
        python.unlink()
    assert ran(make(ready))[0]
    for stamp in (ready / ".venv").glob("installed-*"):
        stamp.unlink()
    assert ran(make(ready))[0]
    assert not ran(make(ready))[0]


def test_settings_of_other_programs_change_nothing(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "modules"
    (other / "render").mkdir(parents=True)
    (other / "render/__init__.py").write_text("raise SystemExit('another package of this name')\n")
    strange = {name: str(tmp_path / name) for name in STRANGE} | {"PYTHONPATH": str(other)}
    strange |= {"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "UV_SYSTEM_PYTHON": "1", "PYTHONSTARTUP": "/nowhere"}
    assert ran(make(checkout, **strange))[:2] == (True, str(checkout))
    assert not [name for name in STRANGE if (tmp_path / name).exists()]
    command = subprocess.run(
        [checkout / ".venv/bin/render"], capture_output=True, text=True, check=True, cwd=other,
        env=os.environ | strange,
    )  # fmt: skip
    assert command.stdout.splitlines()[0] == str(checkout)


def test_packages_that_went_elsewhere_are_noticed(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text('[project]\nname = "render"\ndependencies = ["numpy>=2"]\n')
    done = make(checkout)
    assert done.returncode != 0 and ".venv lacks numpy" in done.stderr
    assert make(checkout).returncode != 0  # and are not taken for installed


@pytest.mark.parametrize("scene", ['/a $b/it\'s "x".toml', "$(HOME)", "`id`"])
def test_the_name_of_a_scene_reaches_the_command_as_it_is(ready: Path, scene: str) -> None:
    _, _, words = ran(make(ready, f"SCENE={scene}"))
    assert words == repr(["plan", scene, "--quality", "auto"])
