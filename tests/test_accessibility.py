"""The explorer for keyboard, touch and screen readers, in a real browser, checked by axe-core against WCAG 2.2 AA."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.helpers import axe, browser
from tests.helpers.explorer import in_browser

CHROMIUM, AXE = browser.find(), axe.find()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium or Chrome on this machine (install chromium, or set RENDER_BROWSER to one)"
)

DESKTOP, PHONE = (1366, 768), (390, 844)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    assert CHROMIUM is not None
    with in_browser(CHROMIUM, tmp_path_factory.mktemp("accessible"), "tiny", size_px=DESKTOP) as (page, _):
        yield page


def focus(page: browser.Page, name: str) -> None:
    page.js(f"document.getElementById('{name}').focus()")


def opened(page: browser.Page, state: str) -> None:
    """Bring the page into one of the states that a person sees."""
    page.js("document.querySelectorAll('dialog[open]').forEach((d) => d.close()), explorer.fold(false), 0")
    if state in ("film", "look", "sample"):
        page.js(f"explorer.showTab('{state}')")
    elif state == "keys":
        page.js("document.getElementById('help').click()")
    elif state == "saving":
        page.js("explorer.showTab('film'), document.getElementById('save').click()")
    elif state == "folded":
        page.js("explorer.fold(true)")
    if state == "sample":
        page.js("explorer.sample.show(explorer.view.local.x, explorer.view.local.y)")
        page.until("Boolean(document.querySelector('#curve svg'))")
    if state == "look":
        page.until("document.querySelectorAll('#swatches button').length > 10")


STATES = ("film", "look", "sample", "keys", "saving", "folded")


@pytest.mark.skipif(AXE is None, reason="axe-core is not here: `make axe` fetches it")
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("state", STATES)
def test_axe_core_finds_no_violation(page: browser.Page, size: tuple[int, int], state: str) -> None:
    page.size(*size, phone=size == PHONE)
    opened(page, state)
    assert AXE is not None
    assert axe.violations(page, AXE) == []


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_off_the_screen_of_a_phone_and_targets_fit_a_finger(page: browser.Page, state: str) -> None:
    page.size(*PHONE, phone=True)
    opened(page, state)
    answer = page.js(
        "[...document.querySelectorAll('button, select, input, .grip')].filter((e) => e.checkVisibility() && "
        "(!document.querySelector('dialog[open]') || e.closest('dialog'))).map((e) => { const b = "
        "(e.matches('[type=checkbox], [type=radio]') ? e.closest('label') : e).getBoundingClientRect(); "
        "return [e.id || e.title || e.textContent, b.left, b.right, b.width, b.height]; })"
    )
    assert answer
    assert [row for row in answer if row[1] < 0 or row[2] > PHONE[0] + 0.5] == []
    assert [row for row in answer if min(row[3], row[4]) < 43.5] == []
    assert page.js("document.documentElement.scrollWidth") <= PHONE[0]


def test_arrow_keys_go_from_tab_to_tab_and_one_of_them_is_a_stop(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "film")
    focus(page, "tab-film")
    for key, name in (("ArrowRight", "look"), ("ArrowRight", "sample"), ("ArrowRight", "film"), ("End", "sample"),
                      ("ArrowLeft", "look"), ("Home", "film"), ("ArrowLeft", "sample")):  # fmt: skip
        page.key(key)
        page.until(f"document.activeElement.id === 'tab-{name}'")
        shown = page.js("['film', 'look', 'sample'].filter((n) => !document.getElementById(n).hidden)")
        stops = page.js("[...document.querySelectorAll('[role=tab]')].filter((t) => t.tabIndex === 0).map((t) => t.id)")
        assert (shown, stops) == ([name], [f"tab-{name}"])


def test_enter_on_the_map_trains_the_sample_in_the_middle_and_its_focus_is_seen(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "folded")
    page.js("document.getElementById('curve').replaceChildren()")
    page.js("document.getElementById('fold').focus()")
    focus(page, "map")
    page.key("Enter")
    page.until("Boolean(document.querySelector('#curve svg'))")
    assert not page.js("document.body.classList.contains('folded')"), "what is asked for is seen"
    away = page.js("(() => { const { x, y } = explorer.sample.at, v = explorer.framed(); "
                   "return [Math.abs(Number(x) - Number(v.x)), Math.abs(Number(y) - Number(v.y))]; })()")  # fmt: skip
    assert max(away) < 0.02
    assert page.js("document.getElementById('map').matches(':focus-visible')")
    assert "inset" in page.js("getComputedStyle(document.querySelector('.rulers')).boxShadow")


def test_buttons_of_a_keyframe_have_its_number_in_their_names(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "film")
    names = page.js(
        "[...document.querySelectorAll('#keyframes li')].map((li) => [...li.querySelectorAll('button, .grip, input')]"
        ".map((e) => e.getAttribute('aria-label')))"
    )
    assert len(names) == 2
    for number, of_keyframe in enumerate(names, 1):
        assert len({*of_keyframe}) == len(of_keyframe) >= 4
        assert all(f"eyframe {number}" in name for name in of_keyframe), of_keyframe


def test_how_a_run_ended_has_the_same_words_under_the_pointer_and_after_a_click(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "sample")
    facts = page.js(
        "Object.fromEntries([...document.querySelectorAll('#sample-facts dt')].map((t) => "
        "[t.textContent, t.nextElementSibling.textContent]))"
    )
    under = page.js(
        "(() => { explorer.mouse = explorer.map.getSize().divideBy(2); explorer.moved(); "
        "return Object.fromEntries([...document.querySelectorAll('#readout dt')].map((t) => "
        "[t.textContent, t.nextElementSibling.textContent])); })()"
    )
    assert under["ended"] == facts["ended"]
    assert {"lr_input", "lr_output"} <= facts.keys() & under.keys()


@pytest.mark.parametrize(("peak", "top"), [(1e300, 7), (50.0, 2), (1e-3, 1)])
def test_a_loss_curve_is_scaled_to_what_matters(page: browser.Page, peak: float, top: int) -> None:
    """From a first loss of 3: six decades above it at most, and no decade is wasted on what never occurs."""
    opened(page, "sample")
    losses = [3.0, 2.0, 1.0, peak]
    page.js(f"explorer.sample.draw({losses}, {{ tile: null, at: 0 }})")
    labels = page.js("[...document.querySelectorAll('#curve text')].map((t) => t.textContent)")
    drawn = [float(text) for text in labels if text.replace(".", "").replace("e", "").replace("-", "").isdigit()]
    assert max(drawn) == 10.0**top
    assert any("cut at 1e7" in text for text in labels) == (peak > 1e7)


@pytest.mark.parametrize("size", [(1280, 800), (1024, 700), PHONE], ids=["wide", "narrow", "phone"])
@pytest.mark.parametrize("is_open", [False, True], ids=["folded", "open"])
def test_what_makes_a_film_is_in_sight_below_any_number_of_sliders(
    page: browser.Page, size: tuple[int, int], is_open: bool
) -> None:
    page.size(*size, phone=size == PHONE)
    opened(page, "film")
    row = {"low": 1, "high": 9, "value": 3, "log": False, "moves": False, "integer": True, "stops": []}
    many = [row | {"name": f"setting_{i}", "label": f"a setting with the number {i}"} for i in range(12)]
    page.js(f"explorer.dials.open({{ dials: {json.dumps(many)} }}), explorer.film.keyframes.length")
    page.js(f"document.querySelector('#dials details').open = {json.dumps(is_open)}")
    for scrolled in (0, 10_000):
        page.js(f"document.getElementById('film').scrollTop = {scrolled}, 0")
        above = page.js(
            "['add', 'costs', 'save'].map((id) => { const b = document.getElementById(id).getBoundingClientRect(); "
            "return [b.left + 2, b.right - 2].map((x) => document.elementFromPoint(x, b.top + b.height / 2)?.id); })"
        )
        assert above == [["add"] * 2, ["costs"] * 2, ["save"] * 2]
    sideways = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.getElementById('film'))"
    assert page.js(sideways) == 0
    page.js("explorer.dials.open(explorer.scene), 0")


DISABLED = (
    "[...document.querySelectorAll(':disabled, [aria-disabled=true]')].filter((e) => e.checkVisibility())"
    ".map((e) => [e.id || e.className.split(' ')[0], e.title])"
)


def disabled(page: browser.Page) -> dict[str, str]:
    """Return the controls that cannot be used now, and what their tips say; but for Undo, which depends on the past."""
    controls = dict(page.js(DISABLED))
    assert controls.pop("undo", None) in (None, "Nothing of the film has been changed yet.")
    return controls


def test_what_cannot_be_used_says_why_in_its_tip_and_when_it_is_pressed(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "film")
    page.js("document.getElementById('restore').click()")
    page.until("explorer.film.preview.path")
    assert disabled(page) == {}
    page.js("document.querySelector('[name=timing][value=times]').click()")
    assert disabled(page) == {"speed": "Every keyframe has its time, so there is no speed to set."}
    assert "not used" in page.js("document.getElementById('speed').closest('label').textContent")
    page.click("#clear")
    page.until("!explorer.film.preview.path")
    without = disabled(page)
    assert without.keys() == {"ride", "play", "time", "speed", "costs", "save"}
    for name in ("ride", "play", "time", "costs", "save"):
        assert without[name] == "There is no film yet: add a view as its first keyframe."
    for press in ("document.getElementById('save').click()", "document.getElementById('ride').click()"):
        page.js("document.getElementById('toast').textContent = ''")
        page.js(press)
        assert page.js("document.getElementById('toast').textContent") == without["save"]
        assert not page.js("document.getElementById('saving').open")
    page.js("document.getElementById('restore').click()")
    page.until("explorer.film.preview.path")
    assert disabled(page) == {}
    page.js("explorer.map.setZoom(explorer.map.getMinZoom(), { animate: false }), 0")
    assert "whole plane" in disabled(page)["leaflet-control-zoom-out"]
    page.js("explorer.go({ x: '0.4', y: '0.3', width: 1e-130 })")
    assert "no samples" in disabled(page)["leaflet-control-zoom-in"]
    page.js("explorer.showPlane()")
    assert disabled(page) == {}


def test_a_button_at_work_says_what_it_is_doing(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "film")
    page.js(
        "(() => { const real = window.fetch; window.fetch = (to, ...more) => { if (!/costs|targets/.test(to)) "
        "return real(to, ...more); return new Promise((_, refuse) => { (window.waiting ??= []).push(refuse); }); }; "
        "for (const name of ['costs', 'surprise']) document.getElementById(name).click(); })()"
    )
    assert disabled(page) == {
        "surprise": "A busy place in this view is being looked for.",
        "costs": "The costs are being estimated.",
    }
    page.key("s")  # a key answers as the button does
    assert page.js("document.getElementById('toast').textContent") == "A busy place in this view is being looked for."
    page.js("window.waiting.forEach((refuse) => refuse(new Error('stopped'))), 0")
    page.until(f"{DISABLED}.every(([name]) => name === 'undo')")


@pytest.mark.skipif(AXE is None, reason="axe-core is not here: `make axe` fetches it")
def test_axe_core_finds_what_is_broken_on_purpose(page: browser.Page) -> None:
    page.size(*DESKTOP)
    opened(page, "film")
    page.js("document.querySelector('#film').insertAdjacentHTML('beforeend', '<p id=broken><button></button></p>'), 0")
    assert AXE is not None
    violations = axe.violations(page, AXE)
    page.js("document.getElementById('broken').remove()")
    assert [row.partition(":")[0] for row in violations] == ["button-name"]
