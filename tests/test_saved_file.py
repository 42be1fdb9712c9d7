"""Files that the explorer and `descend` write: editors find the schema that they name, and their form is the user's."""

from __future__ import annotations

import shlex
import sys
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from render import scene
from render.explorer import film_preview, keyframes
from render.scene import files
from render.scene.files import SCHEMA_NAME, shipped


def named_schema(text: str) -> str:
    """Return what the first line names."""
    first = text.removeprefix("\ufeff").splitlines()[0]
    assert first.startswith("#:schema ")
    return first.removeprefix("#:schema ")


def assert_leads_to_the_schema(named: str, folder: Path) -> None:
    url = urllib.parse.urlsplit(named)
    place = Path(urllib.request.url2pathname(url.path)) if url.scheme == "file" else folder / named
    assert place.read_bytes() == (shipped() / SCHEMA_NAME).read_bytes()


def test_a_saved_scene_names_a_schema_that_is_there(tmp_path: Path) -> None:
    tiny = scene.load("tiny")
    edit = keyframes.own_edit(tiny)
    saved = film_preview.save(tiny, edit, "mine", tmp_path, replacing=None)
    assert named_schema(saved.text).startswith("file://")
    assert_leads_to_the_schema(named_schema(saved.text), tmp_path)
    assert saved.text.split("\n")[1:] == tiny.text.split("\n")[1:]
    assert saved.path.read_text() == saved.text and scene.load(saved.path).problem == tiny.problem
    # Where the schema is beside the file, the line stays as it is.
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / SCHEMA_NAME).write_bytes((shipped() / SCHEMA_NAME).read_bytes())
    assert film_preview.save(tiny, edit, "mine", beside, replacing=None).text == tiny.text
    # A scene saved before is led back to it, too, when its folder or render itself has moved.
    gone = saved.text.replace(named_schema(saved.text), (tmp_path / "gone" / SCHEMA_NAME).as_uri())
    assert_leads_to_the_schema(named_schema(files.with_schema(gone, tmp_path)), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[problem]\n",
        "# no schema\n\n[problem]\n",
        "#:schema https://example.org/scene.schema.json\n[problem]\n",
        "#:schema ./another.json\n[problem]\n",
        "#:schema \n[problem]\n",
        # No comment of the file's beginning: a text.
        '[output]\ncaption = """\n#:schema ./scene.schema.json\n"""\n',
    ],
)
def test_another_schema_or_none_is_the_persons_choice(text: str, tmp_path: Path) -> None:
    assert files.with_schema(text, tmp_path) == text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_rest_of_the_text_stays(end: str, tmp_path: Path) -> None:
    text = f"# mine{end}{end}  # yours{end}#:schema  ./{SCHEMA_NAME} {end}[problem]{end}"
    saved = files.with_schema(text, tmp_path)
    uri = (shipped() / SCHEMA_NAME).resolve().as_uri()
    assert saved == text.replace(f"./{SCHEMA_NAME}", uri)


def test_a_file_that_begins_with_a_byte_order_mark_keeps_it(tmp_path: Path) -> None:
    tiny = scene.load("tiny")
    (tmp_path / SCHEMA_NAME).write_text("{}")
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + tiny.text.replace("\n", "\r\n").encode())
    loaded = scene.load(path)
    edit = keyframes.own_edit(loaded)
    longer = replace(edit, keyframes=(*edit.keyframes[:-1], replace(edit.keyframes[-1], hold_s=7.5)))
    for append in (False, True):
        with pytest.raises(film_preview.Clash) as clash:
            film_preview.save(loaded, longer, "mine", tmp_path, replacing=None)
        film_preview.save(loaded, longer, "mine", tmp_path, replacing=clash.value.seen, append=append)
        written = path.read_bytes()
        assert written.startswith(b"\xef\xbb\xbf#:schema") and written.count(b"\xef\xbb\xbf") == 1
        assert written.count(b"\r\n") == written.count(b"\n")
    assert [key.hold_s for key in scene.load(path).keyframes].count(7.5) == 2
    # Another file begins with none.
    assert film_preview.save(loaded, edit, "other", tmp_path, replacing=None).path.read_bytes().startswith(b"#:schema")


@pytest.mark.parametrize("store", ["store", "/data/my store"])
def test_the_command_for_a_saved_scene_films_it_from_the_same_store(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from render.cli.commands import app

    for called, program in [("/opt/x/bin/render", ["/opt/x/bin/render"]), ("-m", [sys.executable, "-m", "render"])]:
        monkeypatch.setattr(sys, "argv", [called, "explore"])
        words = shlex.split(film_preview.film_command(Path("my scenes/mine.toml"), Path(store)))
        assert words[: len(program)] == program
        function, bound, _ = app.parse_args(words[len(program) :], exit_on_error=False)
        assert function.__name__ == "video"
        assert "my scenes/mine.toml" in str(bound.arguments)
        assert store == "store" or store in str(bound.arguments)
