"""The explorer by keyboard alone, in a real browser: where the focus goes, and what gets done without a mouse."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator

import pytest

from tests.helpers import ROOT, browser
from tests.helpers.explorer import Server, in_browser

CHROMIUM = browser.find()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")

FOCUS = (
    "(document.activeElement.getAttribute('aria-label') || document.activeElement.id || document.activeElement.tagName)"
)
KEYFRAMES = "document.querySelectorAll('#keyframes li').length"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[browser.Page, Server]]:
    assert CHROMIUM is not None
    folder = tmp_path_factory.mktemp("keyboard")
    (folder / "scenes").mkdir()
    scene = shutil.copy(ROOT / "scenes/tiny.toml", folder / "scenes")  # where it is saved, too
    with in_browser(CHROMIUM, folder, str(scene), size_px=(1366, 768)) as (page, server):
        page.js("(() => { const f = document.getElementById('detail'); f.value = '0.125'; f.onchange(); })()")
        yield page, server


@pytest.fixture
def page(opened: tuple[browser.Page, Server]) -> browser.Page:
    """The page with the scene's own two keyframes, and the tab Film."""
    page = opened[0]
    page.js("explorer.showTab('film'), document.getElementById('restore').click()")
    page.until(f"{KEYFRAMES} === 2")
    return page


def tab_to(page: browser.Page, name: str) -> None:
    """Press Tab until something has the focus, as a person does who looks for it."""
    for _ in range(80):
        if page.js(FOCUS) == name:
            return
        page.key("Tab")
    raise AssertionError(f"Tab never comes to {name}")


def test_every_part_of_the_page_is_reached_by_tab_and_the_way_ends(page: browser.Page) -> None:
    page.js("document.activeElement.blur()")
    page.js("document.getElementById('scene').focus()")
    seen = []
    for _ in range(80):
        seen.append(page.js(FOCUS))
        page.key("Tab")
        if page.js(FOCUS) in ("BODY", seen[0]):
            break
    assert len(seen) < 80 and len({*seen}) >= 35, seen
    for name in ("home", "surprise", "tab-film", "ride", "Time in the film", "Remove keyframe 2", "add", "save"):
        assert name in seen


def test_a_scene_is_made_without_a_mouse(opened: tuple[browser.Page, Server], page: browser.Page) -> None:
    """Zoom in, add a keyframe, change the palette, save: the file has them."""
    server = opened[1]
    page.js("document.getElementById('scene').focus()")
    tab_to(page, page.js("document.getElementById('map').getAttribute('aria-label')"))
    page.until("explorer.view.zoom < 3")
    zoom = page.js("explorer.view.zoom")
    page.key("+")
    page.until(f"explorer.view.zoom > {zoom} + 0.5")
    page.key("k")
    page.until(f"{KEYFRAMES} === 3")
    assert page.js("document.activeElement.id") == "map", "the map goes on having the keys"
    tab_to(page, "tab-film")
    page.key("ArrowRight")
    tab_to(page, "palette")
    page.js("document.activeElement.select()")  # Control + A, which no event of this protocol does everywhere
    page.write("vik")
    page.key("Enter")
    page.until("location.hash.includes('palette=vik')")
    page.js("document.getElementById('tab-look').focus()")
    page.key("ArrowLeft")
    tab_to(page, "save")
    page.key("Enter")
    page.until("document.getElementById('saving').open")
    assert page.js("document.activeElement.id") == "save-name"
    page.js("document.activeElement.select()")
    page.write("by_keys")
    page.key("Enter")
    page.until("!document.getElementById('saving').open")
    assert page.js("document.activeElement.id") == "save"
    saved = tomllib.loads((server.folder / "scenes/by_keys.toml").read_text())
    assert saved["look"]["palette"] == "vik" and len(saved["camera"]["keyframes"]) == 3
    assert page.errors == []


@pytest.mark.parametrize(("removed", "then"), [(1, "Remove keyframe 1"), (2, "Remove keyframe 1")])
def test_the_focus_stays_in_the_list_where_a_keyframe_is_removed(page: browser.Page, removed: int, then: str) -> None:
    page.js(f"""document.querySelector('[aria-label="Remove keyframe {removed}"]').focus()""")
    page.key("Enter")
    page.until(f"{KEYFRAMES} === 1")
    assert page.js(FOCUS) == then
    assert page.js("document.getElementById('toast').textContent") == f"Keyframe {removed} removed."
    page.key("Enter")
    page.until(f"{KEYFRAMES} === 0")
    assert page.js("document.activeElement.id") == "add", "with none left, the next thing to do is to add one"


@pytest.mark.parametrize("name", ["Set keyframe 2 to the framed view", "restore", "clear", "add", "costs", "surprise"])
def test_no_button_loses_the_focus_by_being_pressed(page: browser.Page, name: str) -> None:
    page.until("document.getElementById('activity').dataset.state === 'idle'")
    page.js(f"""(document.getElementById('{name}') || document.querySelector('[aria-label="{name}"]')).focus()""")
    page.key("Enter")
    if name in ("costs", "surprise"):
        page.until(f"!document.getElementById('{name}').hasAttribute('aria-disabled')")
    else:
        page.until("!document.getElementById('toast').hidden")
    assert page.js(FOCUS) == name


def test_a_button_at_work_takes_no_second_press(page: browser.Page) -> None:
    page.js(
        "(() => { const real = window.fetch; window.asked = 0; window.fetch = (to, ...more) => { "
        "window.asked += String(to).includes('costs'); return real(to, ...more); }; "
        "for (let i = 0; i < 3; i++) document.getElementById('costs').click(); })()"
    )
    page.until("!document.getElementById('costs').hasAttribute('aria-disabled')")
    assert page.js("window.asked") == 1


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_keyframes_mark_on_the_map_leads_to_it(page: browser.Page, key: str) -> None:
    page.until("document.querySelectorAll('.leaflet-marker-icon.stop').length === 2")
    page.js("explorer.showPlane()")
    page.until("explorer.view.zoom < 3")
    page.js("document.querySelectorAll('.leaflet-marker-icon.stop')[1].focus()")
    page.key(key)
    page.until("explorer.view.zoom > 5")
    assert page.js("document.activeElement.id") == "map", "the view has moved, and the arrow keys go on from there"


def test_what_was_changed_of_the_film_is_taken_back_step_by_step(page: browser.Page) -> None:
    page.js("sessionStorage.clear(), explorer.film.open(explorer.scene), document.getElementById('undo').click()")
    assert "Nothing of the film" in page.js("document.getElementById('toast').textContent")
    state = "JSON.stringify(explorer.film.state)"
    changes = [
        "document.querySelector('[aria-label=\"Remove keyframe 1\"]').click()",
        "document.getElementById('add').click()",
        "document.querySelector('[name=timing][value=times]').click()",
        "(() => { const f = document.querySelector('.numbers input'); f.value = '7'; f.onchange({ target: f }); })()",
        "document.getElementById('smooth').click()",
        "document.getElementById('clear').click()",
        "document.getElementById('restore').click()",
    ]
    before = []
    for change in changes:
        before.append(page.js(state))
        page.js(f"{change}, 0")
        assert page.js(state) != before[-1], change
    for expected in reversed(before):
        page.key("z")
        page.until(f"{state} === {json.dumps(expected)}")
    assert page.js("document.getElementById('undo').title") == "Nothing of the film has been changed yet."


def test_changes_that_were_not_saved_outlive_a_reload_until_they_are_saved_or_taken_back(page: browser.Page) -> None:
    state = "JSON.stringify(explorer.film.state)"

    def reload() -> None:
        page.js("globalThis.earlier = true")
        page.send("Page.reload")
        page.until("!globalThis.earlier && globalThis.explorer?.ready")
        page.js("explorer.showTab('film')")

    before = len(page.errors)
    original = page.js(state)
    page.js("document.getElementById('add').click()")
    changed = page.js(state)
    assert changed != original
    reload()
    assert page.js(state) == changed
    assert "not saved are here again" in page.js("document.getElementById('toast').textContent")
    page.js("document.getElementById('undo').click()")
    assert page.js(state) == original
    reload()
    assert page.js(state) == original
    # Saved under any name, it is in a file; the scene that was opened shows its own film.
    page.js("document.getElementById('add').click(), explorer.film.saving.ask()")
    page.js("document.getElementById('save-name').value = 'kept', explorer.film.saving.go(false), 0")
    page.until("!document.getElementById('saving').open")
    reload()
    assert page.js(state) == original
    # Saved in the scene's own file, it is the scene's film. What is changed from then on is kept beside that.
    for append in ("false", "true"):
        page.js("document.getElementById('add').click(), explorer.film.saving.ask()")
        page.js(f"explorer.film.saving.go({append}), 0")
        page.until("!document.getElementById('save-append').hidden")
        page.js(f"explorer.film.saving.go({append}), 0")
        page.until("!document.getElementById('saving').open")
        page.js("document.getElementById('add').click()")
        changed = page.js(state)
        reload()
        assert page.js(state) == changed, f"append: {append}"
    page.js("document.getElementById('restore').click()")
    original = page.js(state)
    # A browser that is set to keep nothing, and what is kept by another program, change nothing.
    page.js("sessionStorage.setItem('render: changed film of tiny', '{'), document.getElementById('restore').click()")
    page.js("explorer.film.open(explorer.scene)")
    assert page.js(state) == original
    page.js("Object.defineProperty(globalThis, 'sessionStorage', { get() { throw new Error('not allowed'); } }), 0")
    page.js("document.getElementById('add').click(), explorer.film.open(explorer.scene)")
    assert page.js(state) == original
    # A reload cuts off what the page has just asked of the server, and the browser says so.
    assert [error for error in page.errors[before:] if not error.startswith("Failed to load resource")] == []
