"""The Tab key: what shells complete, by the scripts that `render --install-completion` leaves."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from render import backends, encode
from render.backends import kernels
from render.cli import app, options
from render.picture import palettes
from render.problem.catalogue import SYSTEMS
from render.scene.values import QUALITY, SHAPES
from tests.helpers import ROOT
from tests.helpers.command import refused

SHELLS = {"bash": ["-n"], "zsh": ["-n"], "fish": ["-n"]}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that are installed for bash, and a shell that reads them when it starts."""
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
        ("video tiny.toml --quality f", {"fine", "full"}),
        ("show tiny.toml --quality s", {"scene", "soft"}),
        ("recolour tiny.toml --quality u", {"uhd"}),
        ("plan tiny --shape v", {"vertical"}),
        ("frame tiny --palette luma", {"luma", "luma-dark"}),
        ("encode tiny --codec prores4", {"prores4444"}),
        ("preview tiny --backend d", {"dask"}),
        ("preview tiny --kernel f", {"fused"}),
        ("systems mand", {"mandelbrot"}),
        ("probe tiny --precision ex", {"exact"}),
        ("recolour tiny --pal", {"--palette"}),
        ("frame scenes/tan", {"scenes/tanh.toml"}),
        ("plan scenes/mean_lr.toml scenes/tin", {"scenes/tiny.toml"}),
        ("explore scenes/juli", {"scenes/julia.toml"}),
        ("probe tiny --points tests/helpers/trap", {"tests/helpers/traps.py"}),
    ],
)
def test_bash_completes_commands_options_and_files(script: Path, typed: str, offered: set[str]) -> None:
    line = ["render", *typed.split()]
    asked = f'COMP_WORDS=({" ".join(line)}); COMP_CWORD={len(line) - 1}; _render; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f'source "{script}"; {asked}'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {*done.stdout.split()} == offered, done.stderr


def words(choice: Any) -> set[str]:
    """Return the words of a type made of Literals."""
    if get_origin(choice) is Literal:
        return {*get_args(choice)}
    return set().union(*(words(part) for part in get_args(choice)))


def test_completed_words_are_the_names_that_there_are() -> None:
    assert words(options.QualityName) == {"auto", "scene", *QUALITY}
    assert words(options.ShownName) == {"scene", *QUALITY}
    assert words(options.ShapeName) == {*SHAPES}
    assert words(options.CodecName) == {*encode.CODECS, encode.SEQUENCE}
    assert words(options.BackendName) == {name for name, row in backends.BACKENDS.items() if row.trains}
    assert words(options.KernelName) == {*kernels.NAMES}
    assert words(options.SystemName) == {*SYSTEMS}
    assert {*palettes.PALETTES} <= words(options.PaletteName)
    for name in words(options.PaletteName):
        palettes.check(name)


def test_a_name_that_is_not_completed_is_answered_by_what_knows_the_names() -> None:
    assert 'did you mean "draft"?' in refused("plan", "tiny", "--quality", "darft")
    assert 'did you mean "square"?' in refused("plan", "tiny", "--shape", "sqare")
    assert "did you mean dask?" in refused("plan", "tiny", "--backend", "dsk")
    assert 'did you mean "network"?' in refused("systems", "netwrk")


def test_the_production_page_says_how_to_install_it() -> None:
    assert "render --install-completion" in (ROOT / "assets/docs/production.md").read_text()
