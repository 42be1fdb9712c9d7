"""Laws of names: the name of a scene can be that of a file, is in the record, and makes the output again."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import scene
from render.encode import CODECS, SEQUENCE
from render.errors import SceneError
from render.film import deliver, qualities, rendering
from render.film.job import Job
from render.scene import QUALITY, name_of
from render.scene.naming import MOST_BYTES, checked, checked_chosen_name
from render.scene.variants import MOST_TAG_BYTES

TINY = (Path(__file__).parents[1] / "scenes/tiny.toml").read_text()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names")


@pytest.fixture(scope="module")
def longest(root: Path) -> Job:
    """A job whose samples are in root/store, with the longest name there may be."""
    job = rendering.prepare(qualities.named(scene.load("tiny", name="n" * MOST_BYTES), "scene"), root / "store")
    for _ in rendering.frames(job, range(job.frame_count)):
        pass
    return job


@given(st.binary(min_size=1, max_size=40).filter(lambda stem: not {0, 10, 47} & {*stem}))
def test_every_stem_of_a_file_has_a_name_that_is_printable_text(stem: bytes) -> None:
    name = name_of(stem.decode("utf-8", "surrogateescape"))
    assert name.isprintable()
    assert name.encode().decode() == name
    try:
        text = stem.decode()
    except UnicodeDecodeError:
        assert "%" in name
    else:
        assert name == text or not text.isprintable()


@pytest.mark.skipif(os.fsencode("é") != b"\xc3\xa9", reason="names of files are not UTF-8 here")
@pytest.mark.parametrize(
    ("stem", "name"), [(b"caf\xe9", "caf%E9"), (b"a\tb", "a%09b"), (b"\xe2\x80\xa8z", "%E2%80%A8z"), (b"-x y", "-x y")]
)
def test_a_file_whose_name_is_no_printable_text_is_filmed_and_its_record_makes_the_film_again(
    tmp_path: Path, root: Path, longest: Job, stem: bytes, name: str
) -> None:
    file = tmp_path / os.fsdecode(stem + b".toml")
    try:
        file.write_text(TINY)
    except OSError:
        pytest.skip("this file system has no such names")
    job = rendering.prepare_stored(scene.load(file), "scene", root / "store")
    written = deliver.whole_film(job, deliver.film_path(tmp_path / "out", job))
    assert [path.parent.name for path in written] == [name] * 6
    assert written[0].name == f"{name}-scene.mp4"
    record = json.loads(written[1].read_bytes().decode())
    assert (record["name"], record["file"]) == (name, f"{name}-scene.mp4")
    for source in (written[0], written[1], written[3]):  # film, record, poster
        again = scene.load(source)
        assert again.name == name
        assert again.problem.key == job.scene.problem.key


def test_the_longest_name_leaves_room_for_everything_that_is_named_by_it(
    tmp_path: Path, root: Path, longest: Job
) -> None:
    # What the settings changed takes as much of the names as it may.
    settings = ["look.palette=colorbrewer:Spectral_11", "look.gap=0.125", "output.crf=20"]
    loaded = scene.load("tiny", name=longest.scene.name, settings=settings)
    assert len(scene.tag(loaded)) == MOST_TAG_BYTES
    job = rendering.prepare_stored(loaded, "scene", root / "store")
    written = deliver.whole_film(job, deliver.film_path(tmp_path, job))
    written += deliver.part_of_film(job, [0, 2, 29], tmp_path) + deliver.stills(job, [29], tmp_path)
    assert all(path.stat().st_size for path in written)
    # With what a film in the making has beside it: a hidden folder of parts.
    for quality, codec in itertools.product([*QUALITY, "scene"], [*CODECS, SEQUENCE]):
        tag = f"00000-99999-abcdef-{'x' * MOST_TAG_BYTES}"
        name = f".{job.scene.name}-{quality}-{tag}-{codec}.mov.segments"
        assert len(name.encode()) <= 255
        assert len(f"{job.scene.name}-{quality}-{tag}-{codec}.poster.png.json".encode()) <= 255


@pytest.mark.parametrize("name", ["n" * (MOST_BYTES + 1), "n" * 225, "α" * (MOST_BYTES // 2 + 1)])
def test_a_name_that_is_too_long_is_refused_before_any_work_wherever_it_comes_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(SceneError, match=r"--name must have at most 180 bytes, .* has \d+\. Give a shorter one"):
        scene.load("tiny", name=name)
    if len(name.encode()) <= 250:
        (tmp_path / f"{name}.toml").write_text(TINY)
        with pytest.raises(SceneError, match="the name must have at most 180 bytes"):
            scene.load(tmp_path / f"{name}.toml")
        assert scene.load(tmp_path / f"{name}.toml", name="short").name == "short"
    # Names of several files, and of a shape, are joined.
    (tmp_path / f"{'m' * 100}.toml").write_text(TINY)
    with pytest.raises(SceneError, match="the name must have at most 180 bytes"):
        scene.load(tmp_path / f"{'m' * 100}.toml", tmp_path / f"{'m' * 100}.toml")


REFUSED = [
    "",
    "a/b",
    "a\\b",
    ".hidden",
    "..",
    "-x",
    "a\nb",
    "a\x1bb",
    "\udce9",
    "a:b",
    "a?",
    'a"',
    "a|b",
    "a ",
    " a",
    "a.",
]
REFUSED += ["CON", "con", "PRN.txt", "aux", "NUL", "com1", "COM9.mp4", "lpt¹", "\u2028"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_some_system_cannot_have_is_refused_with_the_name_in_plain_text(name: str) -> None:
    with pytest.raises(SceneError, match="--name must ") as caught:
        scene.load("tiny", name=name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["control", "nulls", "com10", "console.log", "a.b", "a b", "λ", "日本", "50%", "a+b"])
def test_other_names_are_taken(name: str) -> None:
    assert checked_chosen_name(name) == name == scene.load("tiny", name=name).name


def test_a_name_that_names_of_files_cannot_spell_here_is_refused_with_the_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fsencode(name: str) -> bytes:
        return name.encode("ascii")  # as Python does where the locale is C

    monkeypatch.setattr(os, "fsencode", fsencode)
    assert checked("plain") == "plain"
    with pytest.raises(SceneError, match=r"may have here \(ascii\), and \"σκηνή\" is not\. .*LC_ALL=C\.UTF-8"):
        checked("σκηνή")


def test_names_without_a_path_are_printable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scenes").mkdir()
    monkeypatch.chdir(tmp_path)
    for stem in (b"plain", b"caf\xe9"):
        try:
            (tmp_path / "scenes" / os.fsdecode(stem + b".toml")).write_text(TINY)
        except OSError:
            pytest.skip("this file system has no such names")
    assert "plain" in scene.names()
    assert all(name.isprintable() for name in scene.names())
    with pytest.raises(SceneError, match="There is no scene"):
        scene.load("nothing")
    assert scene.load("caf\udce9").name == "caf%E9"
