"""Published sites as files: their contents, their size, and what is refused. For the page see
test_publish_page.py."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import render
from render import api
from render.errors import RenderError, WriteError
from render.explorer import packs, pagefiles, published_site
from render.geometry.tiles import SAMPLES, Tile
from render.picture.channels import channel
from render.samples import Field
from tests.helpers.command import refused, run_here


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("publish") / "store"


class Notes(api.Listener):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_a_site_holds_every_tile_of_the_film_and_of_the_plane_and_says_its_size_before(
    store: Path, tmp_path: Path
) -> None:
    scene, heard = render.load("tiny"), Notes()
    site = render.publish(scene, tmp_path / "site", quality="scene", store=store, listener=heard, plane_level=1)
    site_files = files(tmp_path / "site")
    assert site.size_bytes == sum(map(len, site_files.values()))
    assert site.files == len(site_files)
    match = re.search(
        r"a site of (\d+) tiles, levels 0 to 7, about ([\d.]+) (kB|MB) of at most 200 MB", " ".join(heard.notes)
    )
    assert match is not None
    assert int(match[1]) == site.tiles
    job = api.preparation.prepare(scene, "scene", 15, store, api.preparation.local_backend, api.SILENT)[0]
    wanted = {*job.plan.order, *published_site.plane_tiles(1)}
    contents: dict[Tile, bytes] = {}
    for name, content in site_files.items():
        if name.startswith("tiles/"):
            level, x, y = (int(part) for part in name.removesuffix(".tiles").split("/")[1:])
            bytes_ = gzip.decompress(content)
            for i in range(bytes_[0]):
                column, row = bytes_[1 + 2 * i], bytes_[2 + 2 * i]
                contents[Tile(level, x * packs.SIDE + column, y * packs.SIDE + row)] = content
    assert contents.keys() == wanted


def test_the_same_samples_give_the_same_site(store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    for name in ("one", "two"):
        render.publish(scene, tmp_path / name, quality="scene", store=store)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_an_earlier_site_is_replaced_and_anything_else_stays(store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    render.publish(scene, tmp_path / "site", quality="scene", store=store)
    before = files(tmp_path / "site")
    render.publish(scene, tmp_path / "site", quality="scene", store=store)
    assert files(tmp_path / "site") == before
    with pytest.raises(RenderError, match=r"was made of another scene: .* in problem\.seed\. .*name another folder"):
        other = render.load("tiny", settings=["problem.seed=7"])
        render.publish(other, tmp_path / "site", quality="scene", store=tmp_path / "empty")
    assert files(tmp_path / "site") == before
    (tmp_path / "site" / "CNAME").write_text("mine.example")
    with pytest.raises(WriteError, match="holds a file of another origin, CNAME"):
        render.publish(scene, tmp_path / "site", quality="scene", store=store)
    assert files(tmp_path / "site") == before | {"CNAME": b"mine.example"}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "index.html").write_text("mine")
    with pytest.raises(WriteError, match=r"holds something else \(it has no site\.json of render"):
        render.publish(scene, tmp_path / "home", store=tmp_path / "empty")
    assert files(tmp_path / "home") == {"index.html": b"mine"}
    assert not (tmp_path / "empty").exists(), "nothing may be trained for it"


def test_a_site_that_would_be_too_large_is_refused_before_training_and_stopped_while_it_grows(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = render.load("tiny")
    with pytest.raises(RenderError, match=r"about [\d.]+ MB, more than --max allows \(3 MB\).*quality that fits is"):
        render.publish(scene, tmp_path / "site", quality="hd", most_bytes=3_000_000, store=tmp_path / "empty")
    assert not list((tmp_path / "empty").rglob("*.npz"))
    with monkeypatch.context() as patch:
        patch.setattr(packs, "estimated_bytes", lambda *_: 0)
        patch.setattr(published_site, "page_bytes", lambda: 0)
        with pytest.raises(RenderError, match="would have more than 400 kB, and was not written"):
            render.publish(scene, tmp_path / "site", quality="scene", most_bytes=400_000, store=store)
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


def test_the_estimate_is_near_the_truth(store: Path, tmp_path: Path) -> None:
    for more in ([], ["final_loss", "escape_time"]):
        site = render.publish(render.load("tiny"), tmp_path / "site", quality="scene", channels=more, store=store)
        tiles = sum(len(content) for name, content in files(site.folder).items() if name.startswith("tiles/"))
        assert 0.4 < tiles / packs.estimated_bytes(site.tiles, 1 + len(more)) < 1.3


def test_a_page_asks_for_nothing_elsewhere_and_allows_nothing_else() -> None:
    for name, content in pagefiles.published_files("a <scene>", 'about "it"'):
        text = content.decode()
        if name == "index.html":
            assert "default-src 'none'" in text
            assert "a &lt;scene&gt;" in text and "about &quot;it&quot;" in text
            assert "{{" not in text and 'href="/' not in text and 'src="/' not in text
            assert not re.search(r"<script(?![^>]* src=)|\son\w+=|<style|\sstyle=", text), "the policy forbids these"
        if not name.startswith("page/leaflet"):
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
    names = {name for name, _ in pagefiles.published_files("", "")}
    assert {"page/js/api.js", "page/js/live.js", "page/js/packs.js", "page/js/ranks.js", "index.html"} <= names


def test_modules_of_a_published_page_import_what_the_others_export() -> None:
    modules = {
        name: content.decode() for name, content in pagefiles.published_files("", "") if name.startswith("page/js/")
    }
    for name, text in modules.items():
        for imported, path in re.findall(r'import (\{[^}]*\}|\* as \w+) from "\./([\w.]+)"', text):
            other = modules[f"page/js/{path}"]
            if imported.startswith("{"):
                wanted = [part.strip() for part in imported.strip("{} \n").split(",") if part.strip()]
            else:
                wanted = re.findall(rf"(?<![/\w]){imported.split()[-1]}\.(\w+)", text)
            for export in wanted:
                assert re.search(rf"export (async )?(class|function\*?|const|let) {re.escape(export)}(?!\w)", other), (
                    name,
                    export,
                )


def tiles_of(draw: st.DrawFn) -> list[Tile]:
    level = draw(st.integers(0, 6))
    index = st.integers(0, (1 << level) - 1)
    return draw(st.lists(st.builds(Tile, st.just(level), index, index), max_size=40))


@given(st.composite(tiles_of)())
def test_areas_hold_exactly_the_packs_that_there_are(tiles: list[Tile]) -> None:
    squares = packs.by_pack(tiles)
    assert sorted(tile for inside in squares.values() for tile in inside) == sorted({*tiles}) or len(tiles) != len(
        {*tiles}
    )
    listed = [pack for areas in packs.areas(squares).values() for area in areas for pack in area.tiles()]
    assert sorted(listed) == sorted(squares)


def numbers() -> Iterator[np.ndarray]:
    random = np.random.default_rng(3)
    yield random.normal(size=(SAMPLES, SAMPLES)) * 10.0 ** random.integers(-300, 300, (SAMPLES, SAMPLES))
    yield random.normal(size=(SAMPLES, SAMPLES))


def test_numbers_in_packs_have_four_digits_and_their_sign() -> None:
    for values in numbers():
        blank = np.zeros((SAMPLES, SAMPLES))
        field = Field(values, blank, blank.astype(np.int32), blank.astype(np.uint8))
        content = gzip.decompress(packs.packed([(Tile(3, 5, 6), field)], [channel("value")]))
        assert list(content[:3]) == [1, 1, 2]
        n = SAMPLES * SAMPLES
        planes = np.frombuffer(content, np.uint8, 4 * n, 3 + n + 8 * n).reshape(4, n)
        unpacked = np.ascontiguousarray(planes.T).view("<f4").ravel().astype(float)
        flat = values.ravel()
        assert np.array_equal(np.sign(unpacked), np.sign(flat))
        fits = (np.abs(flat) > 1e-37) & (np.abs(flat) < 1e38)
        assert np.abs(unpacked[fits] / flat[fits] - 1).max() <= 2.0**-12


def test_the_command_publishes_and_refuses(store: Path, tmp_path: Path) -> None:
    done = run_here(
        "publish", "tiny", tmp_path / "site", "--quality", "scene", "--store", store, "--max", "5MB",
        "--channels", "final_loss,escape_time", "--channels", "value",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/site/index.html\n"
    assert "python -m http.server --directory" in done.stderr
    site = json.loads((tmp_path / "site/site.json").read_text())
    assert site["start"]["scenes"] == ["tiny"]
    assert site["packs"]["channels"] == ["value", "final_loss", "escape_time"]
    assert site["scene"]["dials"] == [], "nothing can be set that would need other samples"
    place = (tmp_path / "other", "--store", store)
    assert "--max must be a size such as 200MB" in refused("publish", "tiny", *place, "--max", "lots")
    assert "--max must be a size" in refused("publish", "tiny", *place, "--max", "0MB")
    assert "--plane-level must be from 0 to 8" in refused("publish", "tiny", *place, "--plane-level", 9)
    assert "--channels must be some of value, final_loss" in refused("publish", "tiny", *place, "--channels", "x")
