"""Code is not data: nothing but a person's word lets a scene run code, and that for one content alone."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import render
from render import api, backends, scene
from render.cli import app
from render.errors import RenderError, SceneError
from render.explorer import film_preview, keyframes, stills
from render.explorer.planes import Planes
from render.explorer.trainer import Trainer
from render.geometry.tiles import Tile
from render.scene import own_files
from render.storage import trust
from render.storage.trust import Untrusted
from tests.helpers.own import NET, SCENE
from tests.helpers.waiting import until

RUNS = NET + '\nopen("ran", "a").close()\n'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a scene and its file, and a user who trusts nothing yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(RUNS)
    Path("net.toml").write_text(SCENE)
    return tmp_path


def command(*words: str) -> None:
    app(list(words), exit_on_error=False)


REFUSED = [
    ("plan", "net.toml"),
    ("frame", "net.toml", "last"),
    ("video", "net.toml"),
    ("sheet", "net.toml"),
    ("preview", "net.toml"),
    ("probe", "net.toml", "--points", "p.csv", "--out", "v.csv"),
    ("analyse", "dimension", "net.toml"),
    ("analyse", "precision", "net.toml"),
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_no_command_runs_code_that_the_person_does_not_trust(words: tuple[str, ...]) -> None:
    Path("p.csv").write_text("x,y\n0.1,0.1\n")
    with pytest.raises(Untrusted, match=r"net.py is code.*--trust net.py"):
        command(*words)
    assert not Path("ran").exists()


def test_looking_at_a_scene_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["show", "net.toml"], ["systems", "./net.py"], ["systems"]):
        command(*words)
    assert "learning rate" in capsys.readouterr().out
    assert not Path("ran").exists()


def test_trust_is_remembered_for_one_content(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    def try_it(*more: str) -> None:
        monkeypatch.setattr(trust, "_accepted", set())  # as another process
        command("frame", "net.toml", "last", "--quality", "scene", "--force", *more)

    try_it("--trust", "net.py")
    assert Path("ran").exists()
    try_it()
    Path("net.py").write_text(RUNS + "# one more comment\n")
    with pytest.raises(Untrusted):
        try_it()
    try_it("--trust", "net.py")
    Path("helper.py").write_text("a = 1\n")
    Path("net.py").write_text("import helper\n" + RUNS)
    with pytest.raises(Untrusted, match="net.py, with helper beside it, is code"):
        try_it()
    try_it("--trust", "net.py")
    Path("helper.py").write_text("a = 2\n")
    with pytest.raises(Untrusted):
        try_it()
    Path("net.py").write_text(RUNS)
    try_it()  # the first content is still trusted
    records = list((place / "config/render/trusted").iterdir())
    assert len(records) == 3
    assert (place / "config/render/trusted").stat().st_mode & 0o077 == 0


def test_trusting_another_file_does_not_help() -> None:
    Path("other.py").write_text(NET)
    with pytest.raises(Untrusted):
        command("frame", "net.toml", "last", "--trust", "other.py")
    with pytest.raises(SceneError, match='There is no file "gone.py" to trust'):
        command("frame", "net.toml", "last", "--trust", "gone.py")
    assert not Path("ran").exists()


HOSTILE = [
    'code = "{code}"',
    'trust = ["net.py"]',
    "trust = true",
    'system = "./net.py#{digest}"',
    'system = "net.py#{digest}"',
]


@pytest.mark.parametrize("line", HOSTILE)
def test_no_scene_can_speak_for_the_person(line: str) -> None:
    code = scene.load("net.toml").problem.system.partition("#")[2]
    line = line.format(code=code, digest=code)
    old = 'system = "./net.py"'
    Path("net.toml").write_text(SCENE.replace(old, line if line.startswith("system") else f"{old}\n{line}"))
    with pytest.raises(RenderError):
        api.frame(scene.load("net.toml"), "last", quality="scene")
    assert not Path("ran").exists()


def test_a_picture_of_trusted_code_does_not_carry_the_trust(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    api.trust("net.py")
    (picture,) = api.frame(scene.load("net.toml"), "last", quality="scene")
    Path("ran").unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "other user"))
    monkeypatch.setattr(trust, "_accepted", set())
    for carrier in (picture, picture.with_name(picture.name + ".json")):
        if carrier.exists():
            with pytest.raises(Untrusted):
                api.frame(scene.load(carrier), quality="scene", store="another store")
    assert not Path("ran").exists()


def test_a_still_that_is_dropped_on_the_page_names_no_code() -> None:
    api.trust("net.py")
    (picture,) = api.frame(scene.load("net.toml"), "last", quality="scene")
    Path("ran").unlink()
    with pytest.raises(SceneError, match="cannot name code"):
        stills.origin(picture.read_bytes())
    assert not Path("ran").exists()


def test_the_explorer_trains_only_what_the_command_line_trusts() -> None:
    plane = Planes(Path("store"), Path("net.toml")).open("net")
    trainer = Trainer(lambda: None)
    trainer.start()
    try:
        trainer.wish("page", plane, [Tile(0, 0, 0)])
        until(lambda: trainer.activity().state == "failed")
        assert "--trust net.py" in trainer.activity().error
    finally:
        trainer.stop(60)
    assert not Path("ran").exists()


def test_a_scene_saved_elsewhere_still_finds_its_file(place: Path) -> None:
    (place / "saved").mkdir()
    loaded = scene.load("net.toml")
    film_preview.save(loaded, keyframes.own_edit(loaded), "zoom", place / "saved", replacing=None)
    again = scene.load("saved/zoom.toml")
    assert again.problem == loaded.problem
    assert 'system = "../net.py"' in Path("saved/zoom.toml").read_text()


def test_a_process_without_the_user_s_trust_trains_nothing(place: Path) -> None:
    """A problem travels as data: a worker that is handed it alone neither has the code, nor would run it."""
    problem = scene.load("net.toml").problem
    api.trust("net.py")
    code = (
        "import pickle, sys; from render.train import systems\n"
        "problem = pickle.load(open('problem', 'rb'))\n"
        "try: systems.make(problem)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "from render.scene import own_files; own_files.read(__import__('pathlib').Path('net.py'))\n"
        "try: systems.make(problem)\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    Path("problem").write_bytes(pickle.dumps(problem))
    environment = os.environ | {
        "XDG_CONFIG_HOME": str(place / "worker"),
        "PYTHONPATH": str(Path(render.__file__).parents[1]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("Untrusted This process was not given the code of net.py")
    assert done.stdout.splitlines()[1] == "Untrusted"
    assert not Path("ran").exists()


def test_only_one_module_runs_code_of_others() -> None:
    """And it asks for trust first: whoever adds another way to run text has to come by here."""
    package = Path(render.__file__).parent
    ways = re.compile(r"(?<![\w.])(?:exec|eval)\(|\brunpy\b|exec_module\(|spec_from_file_location")
    modules = {str(path.relative_to(package)) for path in package.rglob("*.py") if ways.search(path.read_text())}
    assert modules == {"train/own_code.py"}
    text = (package / "train/own_code.py").read_text()
    assert text.index("trust.require(problem)") < text.index("importlib.import_module(package)")


def test_backends_are_not_even_made_for_untrusted_code() -> None:
    with pytest.raises(Untrusted):
        backends.make("local", scene.load("net.toml").problem)
    backends.make("refuse", scene.load("net.toml").problem)  # stored samples are shown without running anything


def test_stored_samples_are_shown_without_running_anything(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    command("video", "net.toml", "--quality", "scene", "--trust", "net.py")
    Path("ran").unlink()
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "other user"))
    command("recolour", "net.toml", "--palette", "viridis", "--quality", "scene")
    assert not Path("ran").exists()


def test_a_trusted_file_is_shown_in_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    command("plan", "net.toml", "--quality", "scene", "--trust", "net.py")
    printed = re.sub(r"\s+", "", capsys.readouterr().out)
    assert "net.py,whichyoutrust;jax" in printed


def test_the_record_of_trust_cannot_be_made_by_an_output(place: Path) -> None:
    """What render writes for a scene goes to out/ and store/, whatever the scene says."""
    api.trust("net.py")
    before = sorted((place / "config").rglob("*"))
    api.frame(scene.load("net.toml"), "last", quality="scene")
    assert sorted((place / "config").rglob("*")) == before


def test_own_files_reads_no_code_out_of_a_stream() -> None:
    with pytest.raises(SceneError):
        scene.parse(SCENE, "a page", "page")
    assert own_files.taken_up({"problem": {"system": "mlp"}}, None) == {"problem": {"system": "mlp"}}
