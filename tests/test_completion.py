"""The Tab key: what shells complete, by the scripts that `render --install-completion` leaves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from render.cli import app
from tests.helpers import ROOT

SHELLS = {"bash": ["-n"], "zsh": ["-n"], "fish": ["-n"]}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is installed for bash, and a shell that reads it at its start."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        return Path(app.install_completion(shell="bash", output=home / "render", add_to_startup=False))


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_its_script(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text(app.generate_completion(prog_name="render", shell=shell))  # type: ignore[arg-type]
    assert "recolour" in file.read_text()
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not here")
    done = subprocess.run([program, *SHELLS[shell], str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("reco", {"recolour"}),
        ("analyse dim", {"dimension"}),
        ("video tiny.toml --qual", {"--quality"}),
        ("recolour tiny --pal", {"--palette"}),
        ("frame scenes/tan", {"scenes/tanh.toml"}),
        ("plan scenes/mean_lr.toml scenes/tin", {"scenes/tiny.toml"}),
        ("explore scenes/juli", {"scenes/julia.toml"}),
        ("probe tiny --points tests/helpers/trap", {"tests/helpers/traps.py"}),
    ],
)
def test_bash_completes_commands_options_and_files(script: Path, typed: str, offered: set[str]) -> None:
    words = ["render", *typed.split()]
    asked = f'COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _render; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f'source "{script}"; {asked}'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {*done.stdout.split()} == offered, done.stderr


def test_the_production_page_says_how_to_install_it() -> None:
    assert "render --install-completion" in (ROOT / "assets/docs/production.md").read_text()
