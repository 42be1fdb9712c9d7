"""The explorer's page in a real browser. Skipped, with a reason, where there is no Chromium; CI has one."""

import html
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render import encode, scene
from render.explorer import keyframes
from tests.helpers import browser
from tests.helpers.explorer import Server, in_browser
from tests.helpers.waiting import until

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
    assert CHROMIUM is not None
    with in_browser(CHROMIUM, tmp_path_factory.mktemp("page"), "tiny", size_px=LAPTOP) as (page, server):
        choose(page, "detail", "0.125")  # few samples: what is tested is the page
        yield page, server


def shot(page: browser.Page, name: str) -> None:
    """Keep a picture for a person to look at, if $RENDER_SHOTS names a folder."""
    if os.environ.get("RENDER_SHOTS"):
        page.picture(Path(os.environ["RENDER_SHOTS"]) / f"{name}.png")


COLOURS = (
    "new Set([...document.querySelectorAll('.plane-tile')].flatMap(c => [...new Uint32Array(c.getContext('2d')"
    ".getImageData(0, 0, c.width, c.height).data.buffer)])).size"
)


def colours(page: browser.Page) -> int:
    """Return how many colours the map shows."""
    return int(page.js(COLOURS))


# The pixel in the middle of every tile of the map, 0xbbggrr.
PIXELS = (
    "[...document.querySelectorAll('.plane-tile')].map(c => new Uint32Array(c.getContext('2d')"
    ".getImageData(128, 128, 1, 1).data.buffer)[0] & 0xffffff)"
)


def choose(page: browser.Page, field: str, value: str) -> None:
    """Set a field of the panel, as a person does who picks or types."""
    page.js(f"(() => {{ const f = document.getElementById('{field}'); f.value = '{value}'; f.onchange(); }})()")


def show_plane(page: browser.Page) -> None:
    """Go to the whole plane, roughly, and wait until all of it is there."""
    page.key("0")
    page.until("explorer.view.zoom < 2")
    page.until(f"{IDLE} && explorer.cache.get(1, 1, 1)?.complete && !explorer.film.preview.busy && !explorer.frame")


def save_as(page: browser.Page, server: Server, name: str) -> Path:
    """Save the page's keyframes as a new scene, which `render plan` has to accept; return its file."""
    page.click("#save")
    page.until("document.getElementById('saving').open")
    page.js("document.getElementById('save-name').select()")
    page.write(name)
    shot(page, f"saving-{name}")
    page.click("#save-go")
    page.until("!document.getElementById('saving').open")
    saved = server.folder / f"scenes/{name}.toml"
    hint = page.js("document.getElementById('toast').textContent")
    assert hint.endswith(f"render video {saved} --store {server.folder / 'store'}")
    planned = subprocess.run(
        [sys.executable, "-m", "render.cli", "plan", str(saved), "--quality", "preview"],
        capture_output=True, text=True, cwd=server.folder, check=False,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    return saved


def take_refusal(page: browser.Page, status: int) -> None:
    """Wait until the browser has noted the one answer that was a refusal, and forget it."""
    until(lambda: page.js("1") and page.errors)
    (noted,) = page.errors
    assert f"status of {status}" in noted
    page.errors.clear()


IDLE = "document.getElementById('activity').dataset.state === 'idle'"


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
        page.until("!explorer.map._animatingZoom")
    zoom = page.settled("explorer.view.zoom", 0.5)  # the map takes several turns of the wheel at once, a little later
    assert zoom >= before + 20
    centre = "explorer.ground.sample(explorer.view.x, explorer.view.y, explorer.finest)"
    page.until(f"{centre}?.level >= explorer.finest - 2")
    shot(page, "deep")
    page.key("k")
    page.until("document.querySelectorAll('#keyframes li').length === 2")
    page.until("document.getElementById('film-facts').textContent.includes('doublings')")
    saved = save_as(page, server, "from-the-page")
    first, last = scene.load(saved).keyframes
    assert first.view.width / last.view.width == pytest.approx(2.0 ** (zoom - before), rel=1e-3)
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
    take_refusal(page, 409)


def test_a_click_draws_the_loss_of_that_run(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    x, y = page.middle("#map")
    page.click_at(x - 100, y + 150)
    page.until("document.querySelector('#curve path') && document.getElementById('sample-hint').hidden")
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


def test_the_look_changes_without_training_and_the_address_says_it(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    show_plane(page)
    page.until(f"{COLOURS} > 50")
    trained = sorted(server.folder.rglob("*.npz"))
    page.click("#tab-look")
    page.until("document.querySelectorAll('#swatches button').length > 10")
    choose(page, "palette", "gray")
    page.until("location.hash.includes('palette=gray')")
    page.until("document.getElementById('palette-remark').textContent.includes('runs in one direction')")
    page.until(f"{PIXELS}.length && {PIXELS}.every(c => (c & 255) === (c >> 8 & 255) || (c & 255) < 40)")
    choose(page, "channel", "escape_time")
    page.until("explorer.cache.tiles.size >= 5 && location.hash.includes('channel=escape_time')")
    assert "late or never" in page.js("document.getElementById('legend').textContent")
    shot(page, "look")
    choose(page, "palette", "virids")
    page.until("document.getElementById('palette-fault').textContent.includes('viridis')")
    assert page.js("explorer.look.palette") == "gray"
    choose(page, "palette", "#1a0633, #f7f7f7, #00441b")
    page.until("explorer.look.palette.startsWith('#1a0633')")
    assert page.js("document.getElementById('palette-remark').hidden")
    # Both ends of the bar below the box.
    ends = page.js(
        "(() => { const c = document.getElementById('palette-preview'); "
        "return [0, c.width - 1].map((x) => [...c.getContext('2d').getImageData(x, 0, 1, 1).data]); })()"
    )
    assert ends == [[0x1A, 0x06, 0x33, 255], [0x00, 0x44, 0x1B, 255]]
    choose(page, "palette", "Spectral")
    choose(page, "channel", "value")
    page.until("location.hash && !location.hash.includes('?')")
    assert sorted(server.folder.rglob("*.npz")) == trained
    take_refusal(page, 400)


def test_keyframes_are_reordered_by_dragging_and_the_preview_plays(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    page.click("#tab-film")
    page.click("#restore")
    page.until("document.getElementById('film-facts').textContent.includes('doublings')")
    widths = "[...document.querySelectorAll('#keyframes .go')].map(b => b.textContent)"
    before = page.js(widths)
    page.drag(page.middle("#keyframes li:nth-child(1) .grip"), page.middle("#keyframes li:nth-child(2) .grip"))
    assert page.js(widths) == [before[1], before[0], *before[2:]]
    page.js("(() => { const t = document.getElementById('time'); t.value = 500; t.oninput(); })()")
    page.until("/^[1-9]/.test(document.getElementById('clock').textContent)")
    page.until(
        "new Set(new Uint32Array(document.getElementById('preview').getContext('2d').getImageData(0, 0, 640, 360).data"
        ".buffer)).size > 20"
    )
    page.click("#costs")
    page.until("document.querySelectorAll('#cost-table tbody tr').length > 2")  # all of them take seconds to plan
    shot(page, "film")


def test_a_box_is_zoomed_into_and_a_surprise_leads_to_the_boundary(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    show_plane(page)
    x, y = page.middle("#map")
    before = page.js("explorer.view")
    page.key("b")
    page.drag((x - 50, y - 100), (x + 150, y + 20))
    page.until(f"explorer.view.width < {before['width'] / 3}")
    unit_per_px = before["width"] / before["width_px"]
    assert page.js("explorer.view.x") == pytest.approx(before["x"] + 50 * unit_per_px, abs=2 * unit_per_px)
    assert page.js("explorer.view.y") == pytest.approx(before["y"] + 40 * unit_per_px, abs=2 * unit_per_px)
    assert page.js("document.getElementById('box').getAttribute('aria-pressed')") == "false"
    assert page.js("document.getElementById('sample').hidden")  # the drag was no click
    show_plane(page)
    page.key("s")
    page.until("document.getElementById('toast').textContent.includes('more decades')")
    page.until("explorer.view.zoom > 2.5")
    shot(page, "surprise")


def test_a_dropped_still_leads_to_where_it_was_made(tab: tuple[browser.Page, Server], tmp_path: Path) -> None:
    page, _ = tab
    loaded = scene.with_quality(scene.load("tiny"), "preview")
    path = loaded.path(loaded.output)
    last = path.frame_count(loaded.output.fps) - 1
    facts = {"scene": scene.resolved(loaded), "name": "tiny", "frame": str(last)}
    encode.write_png(tmp_path / "still.png", np.zeros((36, 64, 3), np.uint8), facts)
    page.drop(tmp_path / "still.png", *page.middle("#map"))
    view = path.view(path.s_of_frame(last, loaded.output.fps))
    page.until(f"Math.abs(explorer.framed().width / {view.width} - 1) < 1e-6")
    assert page.js("explorer.view.x") == pytest.approx(float(view.x), abs=view.width * 1e-3)
    assert page.js("document.getElementById('drop').hidden")
    encode.write_png(tmp_path / "other.png", np.zeros((36, 64, 3), np.uint8), {})
    page.drop(tmp_path / "other.png", *page.middle("#map"))
    page.until("document.getElementById('toast').textContent.includes('drop a still')")
    take_refusal(page, 400)


def test_coordinates_are_copied_with_every_digit(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    page.js("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }; 0")  # it has no clipboard
    page.js("explorer.go({x: 0.3 + 2 ** -30, y: 0.4, width: 1e-9})")
    page.key("c")
    page.until("document.getElementById('toast').textContent.includes('copied')")
    first = page.js("copied").splitlines()[0]
    copied = Fraction(re.findall(r"log10 ([-0-9.]+)", first)[0])
    axis = scene.load("tiny").problem.x
    assert abs(copied - (axis.lo + axis.span * Fraction(page.js("explorer.view.x")))) < Fraction(1, 10**15)


def test_two_tabs_have_their_own_views(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    page.js("explorer.go({x: 0.5, y: 0.5, width: 0.5})")
    other = page.browser.page()
    other.size(*LAPTOP)
    other.open(f"http://127.0.0.1:{server.port}/#tiny@0.375,0.625,0.03125?palette=gray")
    other.until("globalThis.explorer?.ready && Math.abs(explorer.framed().width * 32 - 1) < 1e-6")
    here = "explorer.ground.sample(explorer.view.x, explorer.view.y, explorer.finest)?.level >= explorer.finest - 2"
    other.until(here)
    page.until(here)
    assert page.js("[explorer.view.x, explorer.look.palette]") == [0.5, "Spectral"]
    assert other.js("[explorer.view.x, explorer.look.palette]") == [0.375, "gray"]
    assert other.errors == []
    other.close()


def other_site(links: dict[str, str]) -> http.server.ThreadingHTTPServer:
    """Return a server of one page with links, by their ids; its name makes it another site than the explorer's."""
    anchors = "".join(f'<p><a id="{name}" href="{html.escape(url)}">{name}</a>' for name, url in links.items())

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><link rel=icon href=data:,>{anchors}".encode())

        def log_message(self, *_: object) -> None:
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)


def test_a_link_on_another_site_opens_the_explorer(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    bare = f"http://127.0.0.1:{server.port}/"
    other = page.browser.page(stranger=True)
    ready = "globalThis.explorer?.ready && explorer.cache.tiles.size > 0"
    with other_site({"printed": server.url, "bare": bare, "view": f"{bare}#tiny@0.375,0.625,0.03125"}) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        address = f"http://localhost:{site.server_address[1]}/"

        def follow(link: str) -> None:
            other.open(address)
            other.until(f"location.href === '{address}' && document.getElementById('{link}') !== null")
            other.click(f"#{link}")
            other.until("location.hostname === '127.0.0.1' && document.readyState === 'complete'")

        # Who has not come with the token yet reads what to do, and no JSON.
        follow("bare")
        assert "open the address that" in other.js("document.body.textContent")
        follow("printed")
        other.until(ready)
        # The address bar shows no token, and neither do the pages before it in the tab.
        history = other.send("Page.getNavigationHistory")
        assert other.js("location.href").startswith(bare)
        assert [entry["url"] for entry in history["entries"] if "token" in entry["url"]] == []
        other.js("globalThis.earlier = true")
        other.send("Page.reload")
        other.until(f"!globalThis.earlier && {ready}")
        # From now on the address without the token is enough, also as a link from elsewhere.
        follow("view")
        other.until("globalThis.explorer?.ready && Math.abs(explorer.framed().width * 32 - 1) < 1e-6")
        # The browser notes the refusal and that it came without an icon, when it likes.
        assert [e for e in other.errors if not e.endswith((f" {bare}", "/favicon.ico"))] == []
        # The other site cannot read the page, nor show it within its own.
        other.open(address)
        other.until("document.getElementById('printed') !== null")
        assert (
            other.js(f"fetch('{server.url}', {{mode: 'no-cors', credentials: 'include'}}).then(() => 1, () => 0)") == 0
        )
        site.shutdown()
    other.close()


HERE = (
    "explorer.ground.sample(explorer.view.local.x, explorer.view.local.y, explorer.finest - explorer.ground.root.level)"
)


def test_thirty_decades_down_samples_come_and_a_keyframe_is_saved(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    choose(page, "scene", "deep_small")
    page.until("explorer.scene.name === 'deep_small' && !document.getElementById('save').ariaDisabled")
    choose(page, "detail", "0.125")
    assert "left in float64" in page.js("document.getElementById('readout').textContent")
    target = scene.load("deep_small").keyframes[-1].view
    row = keyframes.place(replace(target, width=1e-26))
    page.js(f"explorer.go({json.dumps(row)})")
    page.until("Math.abs(explorer.framed().width / 1e-26 - 1) < 1e-6")
    page.js("explorer.map.options.scrollWheelZoom = 'center'")  # a mouse is half a pixel beside the target: 1e-29
    # The map takes another root on the way, once it has come to rest.
    deeper = f"explorer.framed().width < 1e-30 && explorer.ground.root.level > {page.js('explorer.ground.root.level')}"
    x, y = page.middle("#map")
    for _ in range(20):
        if page.js(deeper):
            break
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-400)
        page.until("!explorer.map._animatingZoom")
    page.js("explorer.map.options.scrollWheelZoom = true")
    page.until(deeper)
    page.until(f"{HERE}?.level >= explorer.finest - explorer.ground.root.level - 1")
    assert "by differences" in page.js("document.getElementById('readout').textContent")
    page.until(f"{COLOURS} > 20")
    shot(page, "past-float64")
    page.js("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }; globalThis.copied = null")
    page.key("c")
    page.until("globalThis.copied?.includes('log10')")
    answer = Fraction(re.findall(r"log10 ([-0-9.]+)", page.js("copied"))[0])
    here = page.js("explorer.framed()")
    axis = scene.load("deep_small").problem.x
    assert abs(answer - axis.position_from_unit(Fraction(here["x"]))) < Fraction(1, 10**35)
    assert abs(Fraction(here["x"]) - target.x) < Fraction(here["width"]) / 10  # the wheel went down over the middle
    page.click("#clear")
    page.key("k")
    page.until("document.querySelectorAll('#keyframes li').length === 1")
    page.click_at(x - 40, y + 30)
    page.until("document.getElementById('sample-facts').textContent.includes('log10 lr_input')")
    assert "no loss curve" in page.js("document.getElementById('sample-hint').textContent")
    shot(page, "sample-past-float64")
    page.until("explorer.framed().width < 1e-30 && location.hash.length > 80")
    page.js("explorer.showPlane()")
    page.until("location.hash.length < 60 && explorer.ground.root.level === 0")
    page.click("#back")
    page.until(f"explorer.ground.root.level > 40 && explorer.framed().width < {here['width'] * 1.001}")
    assert abs(Fraction(page.js("explorer.framed().x")) - Fraction(here["x"])) < Fraction(here["width"]) / 10**6
    page.click("#tab-film")
    saved = save_as(page, server, "past-float64")
    (key,) = scene.load(saved).keyframes
    assert abs(key.view.x - Fraction(here["x"])) < Fraction(here["width"]) / 10**6
    assert page.errors == []
    page.js("explorer.go({x: '0.4', y: '0.3', width: 1e-130})")
    assert page.js("[explorer.view.zoom, explorer.finest]") == [398, 398]  # at half a sample per pixel: 400
    choose(page, "scene", "tiny")
    page.until("explorer.scene.name === 'tiny'")
    choose(page, "detail", "0.125")
    show_plane(page)


def test_roots_are_exact_at_any_depth(tab: tuple[browser.Page, Server]) -> None:
    """The page's own arithmetic against fractions: local coordinates, tile addresses, and places there and back."""
    page, _ = tab
    random = np.random.default_rng(0)
    cases: list[dict[str, Any]] = []
    for _ in range(60):
        x, y = ("0." + "".join(map(str, random.integers(0, 10, 130))) for _ in range(2))
        octaves = int(random.integers(0, 395))
        level = max(0, octaves - int(random.integers(0, 31)))
        cases.append({"x": x, "y": y, "octaves": octaves, "level": level, "below": int(random.integers(0, 5))})
    answer = page.js(
        "import('/page/js/place.js').then(({ Root }) => " + json.dumps(cases) + ".map((at) => {"
        "const root = Root.at(at.level, at); const local = root.local({ ...at, width: 2 ** -at.octaves });"
        "const [ix, iy] = [local.x, local.y].map((u) => Math.floor(u * 2 ** at.below));"
        "const address = root.address(at.below, ix, iy); const [level, column, row] = address.split('/');"
        "const back = root.tile({ level: Number(level), ix: column, iy: row });"
        "return { local, address, same: back.level === at.below && back.ix === ix && back.iy === iy, "
        "again: root.place(local) }; }))"
    )
    for case, root in zip(cases, answer, strict=True):
        scale, level = 1 << case["level"], case["level"] + case["below"]
        for axis, index in zip("xy", root["address"].split("/")[1:], strict=True):
            unit = Fraction(case[axis])
            assert root["local"][axis] == pytest.approx(float(unit * scale - unit * scale // 1), abs=1e-15)
            assert int(index) == unit * (1 << level) // 1
            assert abs(Fraction(root["again"][axis]) - unit) < Fraction(1, 2 ** case["octaves"]) / 10**6
        assert root["same"] and root["address"].startswith(f"{level}/")


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


def test_nothing_came_from_elsewhere_and_a_lost_server_is_reported(tab: tuple[browser.Page, Server]) -> None:
    page, server = tab
    assert {url.split("/")[2] for url in page.requests if url.startswith(("http", "ws"))} == {
        f"127.0.0.1:{server.port}"
    }
    assert page.errors == []
    page.until(f"{COLOURS} > 20")
    errors = server.stop()
    assert "Traceback" not in errors, errors
    page.until("!document.getElementById('lost').hidden")
    assert "gone" in page.js("document.getElementById('lost').textContent")
    assert colours(page) > 20  # what is here stays
    shot(page, "lost")
