"""A published page in a real browser, off a plain static server. Skipped, with a reason, where there is no Chromium."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import render
from render.explorer import colouring, published_site
from render.film import qualities
from render.geometry.tiles import SAMPLES, Tile
from render.picture import colour
from render.samples import Field
from render.scene import Scene
from render.storage.store import DirectoryStore
from tests.helpers import axe, browser, static

CHROMIUM = browser.find()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium or Chrome on this machine: the published page was not tested (install chromium, or set "
    "RENDER_BROWSER to one)",
)

LAPTOP, PHONE = (1366, 768), (390, 844)

# Thirty-four doublings to the fixed point of the rabbit, a border at any depth, with few samples.
JULIA = ["output.size=[128,72]", "output.detail=0.25", "output.rest_detail=0.25"]

IDLE = "document.getElementById('activity').textContent === 'all samples of this view are here'"
PIXELS = (
    "[...document.querySelectorAll('.plane-tile')].map(c => new Uint32Array(c.getContext('2d')"
    ".getImageData(128, 128, 1, 1).data.buffer)[0] & 0xffffff)"
)


class Visit(NamedTuple):
    page: browser.Page
    site: Path
    url: str
    scene: Scene
    store: Path


def deep_julia(tmp: Path) -> Scene:
    loaded = render.load("julia")
    x, y = (
        str(axis.value_from_unit(unit))
        for axis, unit in zip(
            (loaded.problem.x, loaded.problem.y),
            (loaded.keyframes[-1].view.x, loaded.keyframes[-1].view.y),
            strict=True,
        )
    )
    width = float(loaded.problem.x.span)
    file = tmp / "rabbit.toml"
    text = loaded.text[: loaded.text.index("[camera]")]
    file.write_text(
        f'{text}[camera]\noctaves_per_s = 8\n[[camera.keyframes]]\ncentre = ["{x}", "{y}"]\nwidth = {width}\n'
        f'[[camera.keyframes]]\ncentre = ["{x}", "{y}"]\nwidth = {width * 2.0**-34:.17g}\n'
    )
    return render.load(file, settings=JULIA)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """One tab of one browser on one site; the tests go on where the one before left off."""
    folder = tmp_path_factory.mktemp("published")
    scene = deep_julia(folder)
    site = render.publish(scene, folder / "site", quality="scene", store=folder / "store", channels=["escape_time"])
    assert CHROMIUM is not None
    try:
        with static.serving(site.folder) as url, browser.running(CHROMIUM, folder / "profile") as chromium:
            page = chromium.page()
            page.size(*LAPTOP)
            page.open(url)
            page.until(f"globalThis.explorer?.ready && {IDLE}")
            yield Visit(page, site.folder, url, scene, folder / "store")
    finally:
        shutil.rmtree(folder / "profile", ignore_errors=True)


def shot(page: browser.Page, name: str) -> None:
    """Keep a picture for a person to look at, if $RENDER_SHOTS names a folder."""
    if os.environ.get("RENDER_SHOTS"):
        page.picture(Path(os.environ["RENDER_SHOTS"]) / f"published-{name}.png")


def test_thirty_levels_by_the_wheel_and_samples_at_every_one(visit: Visit) -> None:
    page = visit.page
    target = visit.scene.keyframes[-1].view
    before = page.js("explorer.view.zoom")
    page.js(f"explorer.go({{x: '{float(target.x)!r}', y: '{float(target.y)!r}', width: 1}})")
    levels = set()
    for _ in range(60):
        x, y = page.js(
            "(() => { const b = document.getElementById('map').getBoundingClientRect(), r = explorer.ground.root;"
            f"const at = r.local({{x: '{decimal(target.x)}', y: '{decimal(target.y)}', width: 1}});"
            "const p = explorer.map.latLngToContainerPoint([at.y, at.x]); return [b.x + p.x, b.y + p.y]; })()"
        )
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
        page.until("!explorer.map._animatingZoom")
        page.until(IDLE)
        levels.add(page.js("explorer.cache.deepest"))
        if page.js("explorer.view.zoom") >= before + 30:
            break
    page.settled("explorer.view.zoom", 0.5)
    page.until(IDLE)
    assert page.js("explorer.view.zoom") >= before + 30
    assert page.js("explorer.ground.root.level") > 0, "past thirty doublings the map has another root"
    local = page.js("explorer.ground.root.local(explorer.framed())")
    answer = page.js(
        f"explorer.ground.sample({local['x']}, {local['y']}, explorer.finest).level + explorer.ground.root.level"
    )
    assert answer >= page.js("explorer.finest") - 4  # the film has a quarter of a sample per pixel of a small frame
    assert len(set(page.js(PIXELS))) > 3
    assert page.errors == []
    shot(page, "deep")


def test_an_address_names_the_view_and_is_reloaded(visit: Visit) -> None:
    page = visit.page
    page.until("location.search.includes('level=')")
    page.settled("location.search", 1.2)
    address, framed = page.js("location.href"), page.js("explorer.framed()")
    assert {"x", "y", "level"} <= page.js("Object.fromEntries(new URLSearchParams(location.search))").keys()
    assert page.js("location.hash") == ""
    page.open(address)
    page.until(f"globalThis.explorer?.ready && {IDLE} && explorer.view.zoom > 25")
    again = page.js("explorer.framed()")
    assert again["width"] == pytest.approx(framed["width"], rel=1e-6)
    for axis in "xy":
        assert abs(Fraction(again[axis]) - Fraction(framed[axis])) < Fraction(framed["width"]) / 10**6
    page.js("explorer.showPlane()")
    page.until("explorer.view.zoom < 2")
    page.settled("location.search", 1.2)
    page.click("#back")
    page.until("explorer.view.zoom > 25")
    page.open(f"{visit.url}?x=nonsense&y=0.5&level=3")
    page.until(f"globalThis.explorer?.ready && {IDLE}")
    assert page.js("explorer.view.zoom") < 3, "an address that names no view shows the whole plane"


def test_a_palette_changes_in_the_page_alone(visit: Visit) -> None:
    page = visit.page
    page.js("explorer.showPlane()")
    page.until(f"explorer.view.zoom < 2 && {IDLE}")
    page.click("#tab-look")
    page.until(f"document.querySelectorAll('#swatches button').length === {len(colouring.PALETTES)}")
    before, asked = page.settled(PIXELS, 0.3), len(page.requests)
    page.js("(() => { const f = document.getElementById('palette'); f.value = 'viridis'; f.onchange(); })()")
    page.until(f"JSON.stringify({PIXELS}) !== {json.dumps(json.dumps(before, separators=(',', ':')))}")
    assert "palette=viridis" in page.js("location.search")
    assert len(page.requests) == asked
    page.js("(() => { const f = document.getElementById('palette'); f.value = 'heat'; f.onchange(); })()")
    page.until("!document.getElementById('palette-fault').hidden")
    assert "heat is not among them" in page.js("document.getElementById('palette-fault').textContent")
    assert page.js("[...document.getElementById('channel').options].map(o => o.value)") == ["value", "escape_time"]
    shown = page.settled(PIXELS, 0.3)
    page.js("(() => { const f = document.getElementById('channel'); f.value = 'escape_time'; f.onchange(); })()")
    page.until(f"JSON.stringify({PIXELS}) !== {json.dumps(json.dumps(shown, separators=(',', ':')))} && {IDLE}")
    page.js("(() => { const f = document.getElementById('channel'); f.value = 'value'; f.onchange(); })()")
    page.until(f"explorer.look.channel === 'value' && {IDLE}")
    shot(page, "palette")


def test_the_film_s_path_is_a_ride(visit: Visit) -> None:
    page = visit.page
    page.click("#tab-film")
    page.until("!document.getElementById('ride').ariaDisabled")
    page.click("#ride")
    page.until("document.body.classList.contains('riding') && explorer.film.preview.playing")
    width = page.js("document.getElementById('preview').getBoundingClientRect().width")
    assert width > 0.9 * page.js("document.getElementById('map').clientWidth")
    page.until("Number(document.getElementById('time').value) > 200")
    shot(page, "ride")
    page.until("Number(document.getElementById('time').value) >= 1000")
    page.until(IDLE)
    picture = (
        "new Set(new Uint32Array(document.getElementById('preview').getContext('2d')"
        ".getImageData(0, 0, 600, 400).data.buffer)).size"
    )
    page.until(f"{picture} > 20")
    page.click("#ride")
    page.until(f"!document.body.classList.contains('riding') && explorer.view.zoom > 30 && {IDLE}")
    assert page.js("document.getElementById('preview').closest('#film') !== null")
    assert page.errors == []


def test_what_needs_a_server_is_not_there(visit: Visit) -> None:
    page = visit.page
    for name in ("surprise", "add", "save", "costs", "training"):
        assert page.js(f"document.getElementById('{name}').checkVisibility()") is False, name
    page.js("document.getElementById('map').focus()")
    before = page.js("document.querySelectorAll('#keyframes li').length")
    page.key("k")
    page.key("s")
    assert page.js("document.querySelectorAll('#keyframes li').length") == before
    page.js("explorer.sample.show(explorer.view.local.x, explorer.view.local.y)")
    page.until("document.getElementById('sample-facts').textContent.includes('ended')")
    assert "trains nothing" in page.js("document.getElementById('sample-hint').textContent")


def test_every_request_goes_to_the_page_s_own_server(visit: Visit) -> None:
    assert visit.page.requests
    assert [url for url in visit.page.requests if not url.startswith((visit.url, "data:", "blob:"))] == []
    assert visit.page.errors == []


def test_the_page_s_numbers_are_the_store_s(visit: Visit) -> None:
    page = visit.page
    page.js("explorer.showPlane()")
    page.until(f"explorer.view.zoom < 2 && {IDLE}")
    (store,) = DirectoryStore.existing(visit.store, visit.scene.problem)
    for tile in (Tile(0, 0, 0), Tile(2, 1, 3), Tile(2, 2, 0)):
        answer = page.js(
            f"(() => {{ const t = explorer.cache.get({tile.level}, {tile.ix}, {tile.iy});"
            "return [[...t.signed], [...t.escape], [...t.status]]; })()"
        )
        field = store.get(tile)
        signed = np.array(answer[0]).reshape(SAMPLES, SAMPLES)
        assert np.array_equal(signed < 0, field.value < 0)
        assert np.abs(signed / field.value - 1).max() <= 2.0**-12
        assert np.array_equal(np.array(answer[1]), field.escape_step.ravel())
        assert np.array_equal(np.array(answer[2]), field.status.ravel())


def test_the_page_ranks_as_films_do(visit: Visit) -> None:
    random = np.random.default_rng(0)
    cases = [
        random.normal(size=1000),
        np.abs(random.normal(size=300)),
        -np.abs(random.normal(size=77)),
        random.integers(-4, 4, 500).astype(float),
        np.array([3.0]),
        np.array([0.0, -1.0, -1.0]),
    ]
    for values in cases:
        for gap in (0.0, 0.25):
            wanted = colour.curve_from_values(values, gap)
            answer = visit.page.js(
                "import('./page/js/ranks.js').then(({ curveOf }) => "
                f"curveOf(Float64Array.from({json.dumps(values.tolist())}), {gap}))"
            )
            assert answer["knots"] == pytest.approx(wanted.knots.tolist())
            assert answer["tones"] == pytest.approx(wanted.tones.tolist())


def test_a_file_that_cannot_be_loaded_is_reported_and_tried_again(visit: Visit) -> None:
    page = visit.page
    lost = "document.getElementById('lost')"
    pack = visit.site / "tiles/2/0/0.tiles"
    content = pack.read_bytes()
    pack.unlink()
    page.errors.clear()
    page.open(visit.url + "?again=1")
    page.until(f"globalThis.explorer?.ready && !{lost}.hidden")
    assert page.js(f"{lost}.textContent") == "tiles/2/0/0.tiles cannot be loaded: the server of this page answered 404."
    shot(page, "lost")
    pack.write_bytes(content[: len(content) // 2])
    page.until(f"{lost}.textContent.includes('it is damaged')")
    pack.write_bytes(content)
    page.until(f"{lost}.hidden && {IDLE} && explorer.cache.get(2, 1, 1)")
    site = visit.site / "site.json"
    text = site.read_bytes()
    broken: list[tuple[bytes | None, str]] = [(b"{", "site.json cannot be read"), (None, "site.json cannot be loaded")]
    for instead, message in broken:
        site.unlink()
        if instead is not None:
            site.write_bytes(instead)
        page.open(visit.url + f"?again={message[-4:]}")
        page.until(f"document.readyState === 'complete' && !{lost}.hidden")
        assert message in page.js(f"{lost}.textContent")
    site.write_bytes(text)
    page.errors.clear()


@pytest.mark.skipif(axe.find() is None, reason="axe-core is not here: `make axe` fetches it")
def test_axe_core_finds_no_violation(visit: Visit) -> None:
    page, source = visit.page, axe.find()
    assert source is not None
    page.open(visit.url)
    page.until(f"globalThis.explorer?.ready && {IDLE} && explorer.film.preview.path")
    for size in (LAPTOP, PHONE):
        page.size(*size, phone=size == PHONE)
        for state in ("showTab('film')", "showTab('look')", "sample.show(0.5, 0.5)", "fold(true)", "fold(false)"):
            page.js(f"explorer.{state}, 0")
            assert axe.violations(page, source) == [], state
        page.js("document.getElementById('help').click()")
        assert axe.violations(page, source) == []
        page.js("document.getElementById('keys').close()")
        page.js("explorer.film.preview.ride(true)")
        assert axe.violations(page, source) == []
        page.js("explorer.film.preview.ride(false)")
    page.size(*LAPTOP)


def test_it_works_on_a_phone(visit: Visit) -> None:
    page = visit.page
    page.size(*PHONE, phone=True)
    page.open(visit.url)
    page.until(f"globalThis.explorer?.ready && {IDLE}")
    assert page.js("document.documentElement.scrollWidth") <= 390
    assert page.js("document.getElementById('map').getBoundingClientRect().height") > 250
    page.until("!document.getElementById('ride').ariaDisabled")
    page.click("#ride")
    page.until("explorer.film.preview.playing")
    shot(page, "phone")
    page.js("explorer.film.preview.ride(false)")
    page.size(*LAPTOP)


def test_a_site_past_level_105_has_the_same_numbers_there(visit: Visit, tmp_path: Path) -> None:
    """The plan of a film of forty decades, with numbers that say where they are instead of those of training runs."""
    scene = render.load("deep_small")
    plan = qualities.named(scene, "preview").plan

    def numbered(tile: Tile) -> Field:
        here = (hash((tile.level, tile.ix % 10_007, tile.iy % 10_007)) % 1000 + 1) / 8.0
        values = np.full((SAMPLES, SAMPLES), here)
        values[::2] *= -1
        values[0, 0] = tile.level + 1
        blank = np.zeros((SAMPLES, SAMPLES))
        return Field(values, blank, blank.astype(np.int32), blank.astype(np.uint8))

    shown = published_site.shown_channels(scene, [])
    site = published_site.write(scene, plan.order, numbered, shown, tmp_path / "deep", most_bytes=10**9, made_of={})
    deepest = max(plan.levels)
    assert deepest > 105
    page = visit.page
    target = scene.keyframes[-1].view
    with static.serving(site.folder) as url:
        level = -np.log2(target.width)
        page.open(f"{url}?x={decimal(target.x)}&y={decimal(target.y)}&level={level}")
        # The page may be idle for a moment before it goes to its address.
        page.until(
            f"globalThis.explorer?.ready && {IDLE} && [...explorer.cache.tiles.values()].some(t => t.level > 105)"
        )
        answer = page.js(
            "[...explorer.cache.tiles.values()].map(t => [t.level, t.ix, t.iy, t.signed[0], t.signed[1], t.signed[32]])"
        )
    assert max(row[0] for row in answer) > 105
    for level, ix, iy, corner, first, second in answer:
        wanted = numbered(Tile(level, int(ix), int(iy))).value
        assert corner == level + 1
        assert (first, second) == (wanted[0, 1], wanted[1, 0])
    assert page.errors == []


def decimal(unit: Fraction) -> str:
    """Return a unit coordinate as decimal text, to 150 places."""
    return f"0.{unit.numerator * 10**150 // unit.denominator:0150d}"
