"""The Tab key: what shells complete, by the scripts that `render --install-completion` leaves."""

import contextlib
import functools
import os
import pty
import re
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


@functools.cache
def generated(shell: str) -> str:
    """Return the script for a shell."""
    return app.generate_completion(prog_name="render", shell=shell)  # type: ignore[arg-type]


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
    file.write_text(generated(shell))
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
        ("frame mean_", {"mean_lr"}),
        ("frame mean_lr.t", {"mean_lr.toml"}),
        ("plan tiny momentum", {"momentum", "momentum_rise"}),
        ("analyse dimension mandel", {"mandelbrot"}),
        ("store ls mandel", {"mandelbrot"}),
        ("explore README", set()),
        ("publish tiny mandel", set()),
        ("frame tiny --out mandel", set()),
    ],
)
def test_bash_completes_commands_options_and_files(script: Path, typed: str, offered: set[str]) -> None:
    line = ["render", *typed.split()]
    asked = f'COMP_WORDS=({" ".join(line)}); COMP_CWORD={len(line) - 1}; _render; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f'source "{script}"; {asked}'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {*done.stdout.split()} == offered, done.stderr


# Typed in a folder with films/deep/, "my films"/, here.toml, notes.md, still.png and scenes/zebra.toml, up to the Tab
# key: what a command gets if X is typed after it. A blank before X shows that the word was complete.
TYPED = {
    "video fil": ["video", "films/X"],
    "video films/d": ["video", "films/deep/X"],
    "video tiny --out fil": ["video", "tiny", "--out", "films/X"],
    "video tiny --store=fil": ["video", "tiny", "--store=films/X"],
    "video my": ["video", "my films/X"],
    "publish tiny fil": ["publish", "tiny", "films/X"],
    "video zeb": ["video", "zebra", "X"],
    "video newt": ["video", "newton", "X"],
    "analyse tuning zeb": ["analyse", "tuning", "zebra", "X"],
    "store verify zeb": ["store", "verify", "zebra", "X"],
    "plan tiny zeb": ["plan", "tiny", "zebra", "X"],
    "publish tiny zeb": ["publish", "tiny", "zebX"],
    "frame her": ["frame", "here.toml", "X"],
    "frame sti": ["frame", "still.png", "X"],
    "check not": ["check", "notes.md", "X"],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to complete in, and beside it one of the scripts."""
    here = tmp_path / "here"
    for folder in ("films/deep", "my films", "scenes"):
        (here / folder).mkdir(parents=True)
    for file in ("here.toml", "notes.md", "still.png", "scenes/zebra.toml"):
        (here / file).touch()
    for shell in SHELLS:
        (tmp_path / shell).mkdir()
        (tmp_path / shell / "_cyclopts_render").write_text(generated(shell))
    return here


def typed_in(arguments: list[str], lines: list[str], cwd: Path) -> str:
    """Type lines into a shell on a terminal of its own; return all that it showed until it ended."""
    terminal, inside = pty.openpty()
    shell = subprocess.Popen(
        arguments, stdin=inside, stdout=inside, stderr=inside, cwd=cwd, start_new_session=True,
        env=os.environ | {"TERM": "xterm", "HOME": str(cwd), "INPUTRC": "/dev/null"},
    )  # fmt: skip
    os.close(inside)
    shown = b""
    with contextlib.suppress(OSError):  # the shell has ended
        for line in [*lines, "exit"]:
            os.write(terminal, line.encode() + b"\n")
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    shell.wait()
    return shown.decode(errors="replace")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_folder_can_be_gone_on_from_and_scenes_have_names(place: Path, shell: str) -> None:
    """In the shell itself, on a terminal: only there is it seen whether a blank follows."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    script = place.parent / shell
    begin = {
        "bash": [f'source "{script}/_cyclopts_render"', """render() { local IFS='|'; printf '\\n@@%s@@\\n' "$*"; }"""],
        "zsh": [f'fpath=("{script}" $fpath); autoload -U compinit; compinit -u -D',
                """render() { print -r -- $'\\n'"@@${(j:|:)@}@@"; }"""],
    }[shell]  # fmt: skip
    arguments = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    shown = typed_in(arguments, [*begin, *(f"render {line}\tX" for line in TYPED)], place)
    received = [line.split("|") for line in re.findall(r"^@@(.*)@@\r?$", shown, re.MULTILINE)]
    assert dict(zip(TYPED, received, strict=True)) == TYPED, shown


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
def test_fish_completes_scenes_by_name(place: Path) -> None:
    asked = [line for line, words in TYPED.items() if "zebra" in words or "newton" in words]
    questions = "; ".join(f"complete -C 'render {line}'; echo END" for line in [*asked, "publish tiny zeb"])
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {place.parent}/fish/_cyclopts_render; {questions}"],
        cwd=place, capture_output=True, text=True, check=True, env=os.environ | {"HOME": str(place)},
    )  # fmt: skip
    answers = [answer.split() for answer in done.stdout.split("END\n")[:-1]]
    assert answers == [*([TYPED[line][-2], "scene"] for line in asked), []], done.stderr


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
