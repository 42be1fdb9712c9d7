"""The explorer's page in a real browser. Skipped, with a reason, where there is no Chromium; CI has one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from explorer import Server

from render import scene

CHROMIUM = browser.find()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium or Chrome on this machine: the explorer's page was not tested (install chromium, or set "
    "RENDER_BROWSER to one)",
)

LAPTOP, PHONE = (1366, 768), (390, 844)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[browser.Page, Server]]:
    """One tab of one browser on one explorer; the tests go on where the one before left off."""
    folder = tmp_path_factory.mktemp("page")
    server = Server(folder, "tiny")
    assert CHROMIUM is not None
    try:
        with browser.running(CHROMIUM, folder / "profile") as chromium:
            page = chromium.page()
            page.size(*LAPTOP)
            page.open(server.url)
            page.until("globalThis.explorer?.ready && explorer.cache.tiles.size > 0", 60)
            yield page, server
    finally:
        if server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder / "profile", ignore_errors=True)


def shot(page: browser.Page, name: str) -> None:
    """Keep a picture for a person to look at, if $RENDER_SHOTS names a folder."""
    if os.environ.get("RENDER_SHOTS"):
        page.picture(Path(os.environ["RENDER_SHOTS"]) / f"{name}.png")


def colours(page: browser.Page) -> int:
    """Return how many colours the map shows."""
    return int(
        page.js(
            "new Set([...document.querySelectorAll('.plane-tile')].flatMap(c => [...new Uint32Array(c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.buffer)])).size"
        )
    )


def test_twenty_levels_two_keyframes_and_a_scene_that_plan_accepts(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    page.until("document.getElementById('activity').dataset.state !== 'failed'")
    assert "token" not in page.js("location.href")
    page.click("#clear")
    page.click("#add")
    assert page.js("document.querySelectorAll('#keyframes li').length") == 1
    # Down by the wheel over a place on the boundary, twenty levels.
    spot = json.loads(page.js("JSON.stringify(explorer.map.latLngToContainerPoint([0.3745, 0.9]))"))
    box = json.loads(page.js("JSON.stringify(document.getElementById('map').getBoundingClientRect())"))
    before = page.js("explorer.view.zoom")
    for _ in range(80):
        if page.js("explorer.view.zoom") >= before + 20:
            break
        page.mouse("mouseWheel", box["x"] + spot["x"], box["y"] + spot["y"], deltaX=0, deltaY=-400)
        page.until("!explorer.map._animatingZoom", 10)
    assert page.js("explorer.view.zoom") >= before + 20
    centre = "explorer.cache.sample(explorer.view.x, explorer.view.y, explorer.finest)"
    page.until(f"{centre}?.level >= explorer.finest - 2", 60)
    shot(page, "deep")
    page.key("k")
    page.until("document.querySelectorAll('#keyframes li').length === 2")
    page.until("document.getElementById('film-facts').textContent.includes('doublings')")
    page.click("#save")
    page.js("document.getElementById('save-name').select()")
    page.write("from-the-page")
    shot(page, "saving")
    page.click("#save-go")
    page.until("!document.getElementById('saving').open")
    saved = server.folder / "scenes/from-the-page.toml"
    first, last = scene.load(saved).keyframes
    assert first.view.width / last.view.width == pytest.approx(
        2.0 ** (page.js("explorer.view.zoom") - before), rel=1e-3
    )
    planned = subprocess.run(
        [sys.executable, "-m", "render.cli", "plan", str(saved), "--quality", "preview"],
        capture_output=True, text=True, cwd=server.folder, timeout=120, check=False,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert page.errors == []


def test_saving_over_a_file_asks_first(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    saved = server.folder / "scenes/from-the-page.toml"
    mine = saved.read_text() + "# mine\n"
    saved.write_text(mine)
    page.click("#save")
    page.js("document.getElementById('save-name').select()")
    page.write("from-the-page")
    page.click("#save-go")
    page.until("!document.getElementById('save-append').hidden")
    assert saved.read_text() == mine
    shot(page, "clash")
    page.click("#save-append")
    page.until("!document.getElementById('saving').open")
    assert "# mine" in saved.read_text()
    assert len(scene.load(saved).keyframes) == 4
    assert [e for e in page.errors if "409" not in e] == []
    page.errors.clear()  # the browser notes every answer that is a refusal


def test_a_click_draws_the_loss_of_that_run(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    x, y = page.middle("#map")
    page.click_at(x - 100, y + 150)
    page.until("document.querySelector('#curve path') && document.getElementById('sample-hint').hidden", 30)
    assert page.js("document.querySelector('#curve path').getAttribute('d').split('L').length") > 5
    assert "neighbours part by" in page.js("document.getElementById('sample-facts').textContent")
    shot(page, "sample")


def test_back_and_an_address_lead_to_the_same_view(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    page.js("explorer.go({x: 0.4, y: 0.4, width: 0.01})")
    page.until("location.hash.includes('@0.4,0.4,')")
    page.js("explorer.go({x: 0.7, y: 0.3, width: 0.001})")
    page.until("location.hash.includes('@0.7,0.3,')")
    page.click("#back")
    page.until("Math.abs(explorer.view.x - 0.4) < 1e-6 && Math.abs(explorer.framed().width / 0.01 - 1) < 0.01")
    page.click("#forward")
    page.until("Math.abs(explorer.view.x - 0.7) < 1e-6")


def test_the_deepest_view_is_where_float64_ends(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    page.js("explorer.go({x: 0.5 + 2 ** -40, y: 0.3, width: 1e-17})")
    page.until("explorer.view.zoom === 45")
    assert page.js("explorer.finest") == 47
    page.until("explorer.cache.sample(explorer.view.x, explorer.view.y, 47)?.level >= 42", 60)
    assert "0.0 left in float64" in page.js("document.getElementById('readout').textContent")


def test_it_works_on_a_phone(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    page.size(*PHONE, phone=True)
    page.key("0")
    page.until("explorer.map.getSize().x === 390")
    assert page.js("document.documentElement.scrollWidth") <= 390
    assert page.js("document.getElementById('map').getBoundingClientRect().height") > 250
    for name in ("look", "sample", "film"):
        page.click(f"#tab-{name}")
        shot(page, f"phone-{name}")
    page.size(*LAPTOP)


def test_nothing_came_from_elsewhere_and_a_lost_server_is_said(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    assert {url.split("/")[2] for url in page.requests if url.startswith(("http", "ws"))} == {
        f"127.0.0.1:{server.port}"
    }
    assert page.errors == []
    said = server.stop()
    assert "Traceback" not in said
    page.until("!document.getElementById('lost').hidden")
    assert "gone" in page.js("document.getElementById('lost').textContent")
    assert colours(page) > 20  # what is here stays
    shot(page, "lost")
