"""The page on a film that is being made: its pictures, that it changes nothing, whom it answers, and how it ends."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import render
from render import api, scene
from render.api.watch_page import watching
from render.errors import RenderError
from render.explorer import local_page
from render.explorer.watched_film import WatchedFilm
from render.film import qualities, rendering, sheet
from render.film.early_frames import EarlyFrames
from render.film.job import Job, Kept
from render.film.rendering import Progress
from render.scene import Scene
from render.storage.store import DirectoryStore, MemoryStore
from tests.helpers import axe, browser
from tests.helpers.command import refused, run_here
from tests.helpers.waiting import held_after_tiles, until
from tests.test_bifurcation import diagram
from tests.test_rise import rising
from tests.test_unfold import unfolding

Store = DirectoryStore | MemoryStore


def tiny(*settings: str) -> Scene:
    return scene.load("tiny", settings=settings)


# Films of every kind: those that show all problems, all levels and all colours in other orders.
FILMS: dict[str, Callable[[], Scene]] = {
    "zoom": tiny,
    "zoom out": lambda: tiny('camera.play="backward"'),
    "there and back": lambda: tiny('camera.play="ping-pong"'),
    "colours of the whole film": lambda: tiny('look.equalise="film"'),
    "fixed colours": lambda: tiny('look.equalise="fixed"', 'look.channel="escape_time"'),
    "relief, words, blur": lambda: tiny("look.shading=0.5", "output.overlay=true", "output.shutter=0.5"),
    "unfolding": unfolding,
    "slices": rising,
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Job]:
    """Return what gives the job of a kind of film, whose samples are all stored."""
    root = tmp_path_factory.mktemp("watch") / "store"

    def job(kind: str) -> Job:
        prepared = rendering.prepare(qualities.named(FILMS[kind](), "scene"), root)
        list(rendering.frames(prepared, range(prepared.frame_count)))
        return prepared

    return job


def emptied(job: Job) -> tuple[Job, list[tuple[Store, MemoryStore]]]:
    """Return a job whose stores are empty and in memory, and each store of the job with the one in its place."""
    pairs = [(store, MemoryStore()) for store in (job.store, *(kept.store for kept in job.others))]
    others = tuple(Kept(kept.backend, fresh) for kept, (_, fresh) in zip(job.others, pairs[1:], strict=True))
    return dataclasses.replace(job, store=pairs[0][1], others=others), pairs  # type: ignore[return-value]


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILMS)
def test_a_frame_that_is_trained_is_that_of_the_film(kind: str, stored: Callable[[str], Job]) -> None:
    """In every bit, where the film is no larger than the picture: one of an open shutter shows its middle."""
    job = stored(kind)
    early = EarlyFrames(job, 960)
    numbers = [*range(0, job.frame_count, max(1, job.frame_count // 7)), job.frame_count - 1]
    still = dataclasses.replace(job.scene, output=dataclasses.replace(job.scene.output, shutter=0.0))
    unblurred = rendering.prepare(qualities.named(still, "scene"), Path(job.store.folder).parents[1])  # type: ignore[attr-defined]
    for number, picture in rendering.frames(unblurred, numbers):
        sharp = early.sharpness(number)
        assert sharp is not None and sharp.complete
        assert np.array_equal(early.picture(number), picture)


def test_a_smaller_picture_shows_the_same(tmp_path: Path) -> None:
    """Of levels up to an octave finer than its pixels: like the film's frame, reduced in linear light or not."""
    large = tiny("output.size=[192,108]", "output.detail=1.0", "output.rest_detail=1.0", 'output.flash="off"')
    job = rendering.prepare(qualities.named(large, "scene"), tmp_path)
    numbers = sheet.even_frames(job, 5)
    early = EarlyFrames(job, 48)
    for number, picture in rendering.frames(job, numbers):
        reduced = np.asarray(Image.fromarray(picture).resize((48, 27), Image.Resampling.BOX), np.float64)
        small = early.picture(number).astype(np.float64)
        assert small.shape == (27, 48, 3)
        assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("kind", FILMS)
def test_frames_grow_sharper_tile_by_tile_and_show_only_what_is_stored(kind: str, stored: Callable[[str], Job]) -> None:
    """From nothing to all: a picture can be made at any time, its samples never grow fewer, and the last is whole."""
    job, pairs = emptied(trained := stored(kind))
    early, numbers = EarlyFrames(job, 960), [0, job.frame_count // 2, job.frame_count - 1]
    assert [early.sharpness(number) for number in numbers] == [None] * 3
    rows, coarse = dict.fromkeys(numbers, 0.0), 0
    for (old, new), order in zip(pairs, job.plan.orders, strict=True):
        for i, tile in enumerate(order):
            new.put(tile, old.get(tile, job.plan.patches[tile]), job.plan.patches[tile])
            if i % 5 and i < len(order) - 1:
                continue
            for number in numbers:
                sharp = early.sharpness(number)
                assert (sharp.rows if sharp else 0.0) >= rows[number]
                if sharp is not None:
                    rows[number] = sharp.rows
                    coarse += not sharp.complete
                    assert early.picture(number).std() > 0
    assert coarse > 3
    final = EarlyFrames(trained, 960)
    for number in numbers:
        sharp = early.sharpness(number)
        assert sharp is not None and sharp.complete
        assert np.array_equal(early.picture(number), final.picture(number))


def test_a_diagram_is_drawn_without_any_sample(tmp_path: Path) -> None:
    job = rendering.prepare(qualities.named(diagram(), "scene"), tmp_path)
    early = EarlyFrames(job, 48)
    sharp = early.sharpness(3)
    assert sharp is not None and sharp.complete
    assert early.picture(3).shape == (27, 48, 3)


def test_a_tile_that_is_lost_meanwhile_costs_a_picture_and_no_more(stored: Callable[[str], Job]) -> None:
    job, ((old, new), *_) = emptied(stored("zoom"))
    for tile in job.plan.order:
        new.put(tile, old.get(tile, job.plan.patches[tile]), job.plan.patches[tile])
    early, last = EarlyFrames(job, 960), job.frame_count - 1
    before = early.sharpness(last)
    assert before is not None and before.complete
    new._tiles.pop(max(job.plan.tiles_at(job.plan.path.length)))
    with pytest.raises(KeyError):
        early.picture(last)
    after = early.sharpness(last)
    assert after is not None and after.rows < before.rows
    assert early.picture(last).std() > 0


# ---- the server -----------------------------------------------------------------------------------------------------


class Client:
    """Asks a watched film's server, as its page does."""

    def __init__(self, address: str) -> None:
        self.port = int(address.split(":")[2].split("/")[0])
        self.token = address.split("token=")[1]

    def ask(self, path: str, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        sent = {"Host": f"127.0.0.1:{self.port}", "X-Render-Token": self.token}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={name: value for name, value in sent.items() if value})
        answer = connection.getresponse()
        content = answer.status, answer.read()
        connection.close()
        return content

    def film(self, query: str = "") -> dict[str, Any]:
        status, content = self.ask(f"/api/film{query}")
        assert status == 200, content
        state: dict[str, Any] = json.loads(content)
        return state


class Serving:
    """A watched film with its server, for tests that need no film."""

    def __enter__(self) -> Serving:
        addresses: list[str] = []
        self._context = watching(browse=False, port=0, announce=lambda address, place: addresses.append(address))
        self.listener = self._context.__enter__()
        self.client = Client(addresses[0])
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving() as started:
        yield started


def test_only_who_has_the_token_is_answered_and_nothing_can_be_changed(serving: Serving) -> None:
    client = serving.client
    assert client.film()["phase"] == "starting"
    for path in ("/api/film", "/api/picture?frame=0", "/"):
        assert client.ask(path, X_Render_Token="")[0] == 403
        assert client.ask(path, X_Render_Token="guess")[0] == 403
        assert client.ask(path, Host="evil.example")[0] == 421
        assert client.ask(path, Origin="http://evil.example", X_Render_Token=client.token)[0] == 403
    status, page = client.ask(f"/?token={client.token}", X_Render_Token="")
    assert status == 200 and client.token.encode() in page
    for address in {part.split('"')[0] for part in page.decode().split('="/')[1:]}:
        assert client.ask(f"/{address}", X_Render_Token="")[0] == 200, address
    for path in ("/api/save", "/api/live", "/page/js/main.js", "/page/watch/../../../app.py"):
        assert client.ask(path)[0] == 404, path
    connection = http.client.HTTPConnection("127.0.0.1", client.port)
    origin = f"http://127.0.0.1:{client.port}"
    connection.request("POST", "/api/film", headers={"X-Render-Token": client.token, "Origin": origin})
    assert connection.getresponse().status == 405
    connection.close()


@pytest.mark.parametrize("frame", ["", "-1", "x", "9999999999999", "1e3", "1"])
def test_a_frame_without_a_picture_is_not_there(serving: Serving, frame: str) -> None:
    assert serving.client.ask(f"/api/picture?frame={frame}")[0] == 404
    assert serving.client.film(f"?frame={frame}")["large"] is None


# ---- films ----------------------------------------------------------------------------------------------------------


def content_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, but for the log of the seconds that frames took."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".frames.csv"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_watched_film_has_the_same_bytes_and_a_page_sees_all_of_it(tmp_path: Path) -> None:
    """A page that asks without a pause, from the first second on, has every picture of the strip at the end."""
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    render.video(tiny(), quality="scene", out=plain / "out", store=plain / "store")
    states: list[dict[str, Any]] = []
    pictures: dict[int, bytes] = {}
    over = threading.Event()

    def look(client: Client) -> None:
        while not over.is_set():
            try:
                state = client.film()
                states.append(state)
                for of in state["strip"]:
                    if of["version"]:
                        pictures[of["frame"]] = client.ask(f"/api/picture?frame={of['frame']}")[1]
                if state["large"] and state["large"]["version"]:
                    client.ask(f"/api/picture?frame={state['large']['frame']}&large=1")
            except OSError:  # the server has ended
                return
            time.sleep(0.02)

    threads: list[threading.Thread] = []

    def announce(address: str, place: str) -> None:
        threads.append(threading.Thread(target=look, args=(Client(address),)))
        threads[0].start()

    try:
        with watching(browse=False, port=0, announce=announce) as listener:
            render.video(tiny(), quality="scene", out=watched / "out", store=watched / "store", listener=listener)
    finally:
        over.set()
        threads[0].join()
    assert content_of(plain) == content_of(watched)
    job = rendering.prepare_stored(tiny(), "scene", watched / "store")
    last = states[-1]
    assert (last["phase"], last["frames_done"], last["name"]) == ("finished", job.frame_count, "tiny")
    assert last["samples_done"] == last["samples_total"] == job.plan.samples
    assert all(of["done"] for of in last["strip"])
    assert sorted(pictures) == sheet.even_frames(job, 24)
    small = np.asarray(Image.open(BytesIO(pictures[0])), np.float64)
    assert np.abs(small - EarlyFrames(job, 240).picture(0)).mean() < 6  # JPEG's own error
    done = [state["samples_done"] for state in states]
    assert done == sorted(done)


def test_the_listener_passes_everything_on(tmp_path: Path) -> None:
    heard: list[str] = []

    class Heard(api.Listener):
        def note(self, text: str) -> None:
            heard.append(f"note {text}")

        def warning(self, text: str) -> None:
            heard.append(f"warning {text}")

        def outlook(self, outlook: api.Outlook) -> None:
            heard.append("outlook")

        def film(self, path: Path, quality: str) -> None:
            heard.append(f"film {quality}")

    states = []
    addresses: list[str] = []
    with watching(Heard(), browse=False, port=0, announce=lambda a, _: addresses.append(a)) as listener:
        listener.note("one")
        listener.warning("two")
        listener.film(Path("three.mp4"), "soft")
        with listener.working("measuring") as show:
            show("a core")
            states.append(Client(addresses[0]).film())
        render.video(tiny(), quality="scene", out=tmp_path / "out", store=tmp_path / "store", listener=listener)
    assert heard[:3] == ["note one", "warning two", "film soft"] and "outlook" in heard
    assert states[0]["what"] == "measuring: a core"
    assert states[0]["notes"] == ["one", "two"]
    assert states[0]["films"] == [{"path": "three.mp4", "quality": "soft"}]


@pytest.mark.parametrize(
    ("error", "phase", "words"),
    [
        (KeyboardInterrupt(), "stopped", "goes on from here"),
        (KeyboardInterrupt("The reference run is kept."), "stopped", "Stopped. The reference run is kept."),
        (RenderError("The disk is full."), "failed", "The disk is full."),
        (SystemExit(2), "failed", "the terminal shows why"),
        (ZeroDivisionError("no"), "failed", "ZeroDivisionError"),
    ],
)
def test_a_page_hears_how_a_film_ended_before_its_server_goes(error: BaseException, phase: str, words: str) -> None:
    states: list[dict[str, Any]] = []
    started = threading.Event()

    def look(client: Client) -> None:
        while True:
            try:
                states.append(client.film())
            except OSError:
                return
            started.set()
            time.sleep(0.02)

    with pytest.raises(type(error)), Serving() as serving:
        thread = threading.Thread(target=look, args=(serving.client,))
        thread.start()
        started.wait()
        raise error
    thread.join()
    assert states[-1]["phase"] == phase and words in states[-1]["what"]


def test_pages_that_hang_do_not_hold_up_the_end() -> None:
    """One that has asked and never asks again, one that is silent, and one in the midst of a request."""
    with Serving() as serving:
        serving.client.film()
        silent, halfway = (socket.create_connection(("127.0.0.1", serving.client.port)) for _ in range(2))
        halfway.send(b"GET /api/film HTTP/1.1\r\nHost: 127")
        lasting = http.client.HTTPConnection("127.0.0.1", serving.client.port)
        lasting.request("GET", "/api/film", headers={"X-Render-Token": serving.client.token})
        assert lasting.getresponse().read()
    for connection in (silent, halfway):
        connection.close()
    lasting.close()
    with pytest.raises(OSError):
        serving.client.film()


def test_pictures_take_a_small_share_of_the_time() -> None:
    """The rest after work is as long as the share asks, or as the most; a frame that a person chooses comes sooner."""
    film, rests = WatchedFilm(), []

    def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
        rests.append(timeout_s)
        return False

    film._changed.wait_for = wait_for  # type: ignore[assignment,method-assign]
    for spent_s, whole_s, unbroken_s in [(0.0, 0.25, 0.25), (0.02, 0.4, 0.25), (0.1, 2.0, 0.4), (5.0, 3.0, 3.0)]:
        rests.clear()
        film._rest(spent_s)
        assert sum(rests) == pytest.approx(whole_s) and rests[0] == pytest.approx(unbroken_s)


def test_nothing_is_drawn_while_no_page_is_open(stored: Callable[[str], Job], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = threading.Event()
    plain = EarlyFrames.picture

    def picture(self: EarlyFrames, number: int) -> np.ndarray:
        drawn.set()
        return plain(self, number)

    monkeypatch.setattr(EarlyFrames, "picture", picture)
    film, job = WatchedFilm(), stored("zoom")
    film.start()
    film.begin(job)
    film.report(Progress(job.frame_count, job.frame_count, 0, 0))
    assert not drawn.wait(0.5)  # a machine so slow that it draws later than this does not fail it
    film.state(None)
    assert drawn.wait(60)
    film.stop(60)
    assert not film.busy


# ---- the command ----------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place = ("--store", tmp_path / "store", "--out", tmp_path / "out")
        printed = refused("video", "tiny", "--watch", "--no-open", "--port", port, *place)
        assert f"Port {port} cannot be used" in printed
    assert list(tmp_path.iterdir()) == []


def test_the_usual_port_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(local_page, "PORT", taken.getsockname()[1])
        with local_page.listen(None) as listener:
            assert listener.getsockname()[1] != taken.getsockname()[1]


@pytest.mark.parametrize("option", [("--port", 8640), ("--no-open",)])
def test_options_of_the_page_need_the_page(option: tuple[object, ...]) -> None:
    assert "--watch" in refused("video", "tiny", *option)


@pytest.mark.parametrize("each", [(), ("--each",)])
def test_the_command_prints_the_address_and_makes_its_film(each: tuple[str, ...], tmp_path: Path) -> None:
    place = ("--store", tmp_path / "store", "--out", tmp_path / "out")
    done = run_here("video", "tiny", *each, "--quality", "scene", "--watch", "--no-open", "--port", 0, "--json", *place)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    (shown,) = [event for event in events if event["event"] == "watch"]
    assert shown["address"].startswith(f"{shown['place']}?token=")
    assert (tmp_path / "out/tiny/tiny-scene.mp4").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_ends_a_watched_film_as_any_other(tmp_path: Path) -> None:
    place = ("--out", tmp_path / "out", "--store", tmp_path / "store")
    process = held_after_tiles(
        4, "video", "tiny", "--quality", "scene", "--watch", "--no-open", "--port", 0, "--json", *place
    )
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    address = next(event["address"] for event in map(json.loads, lines) if event["event"] == "watch")
    client = Client(address)
    state = until(lambda: (answer := client.film())["phase"] == "training" and answer)
    assert state["name"] == "tiny"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "the same command goes on from here" in errors
    assert list((tmp_path / "store").rglob("*.npz"))
    with pytest.raises(OSError):
        client.film()


# ---- the page -------------------------------------------------------------------------------------------------------

CHROMIUM = browser.find()


def check_accessibility(page: browser.Page) -> None:
    """Check the page as it stands, by axe-core if that is here (`make axe`), on a large screen and on a phone."""
    source = axe.find()
    for size in ((390, 844), (1280, 800)):
        page.size(*size, phone=size[0] < 400)
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
        if source is not None:
            assert axe.violations(page, source) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_the_page_shows_frames_and_is_used_with_the_keyboard(stored: Callable[[str], Job], tmp_path: Path) -> None:
    """A film that has stopped halfway: frames that are finished, coarse ones, and none; then it ends."""
    assert CHROMIUM is not None
    job, ((old, new), *_) = emptied(stored("zoom"))
    middle = job.frame_count // 2
    here = set(job.plan.order[: job.plan.order.index(max(job.plan.tiles_at(0.0), key=job.plan.order.index)) + 1])
    for tile in here:
        new.put(tile, old.get(tile, job.plan.patches[tile]), job.plan.patches[tile])
    with browser.running(CHROMIUM, tmp_path / "profile") as running, Serving() as serving:
        page = running.page()
        page.size(1280, 800)
        page.open(f"http://127.0.0.1:{serving.client.port}/?token={serving.client.token}")
        page.until("document.getElementById('activity')?.textContent === 'starting'")
        assert "token" not in page.js("location.href")
        with serving.listener.working("measuring where rounding decides the picture") as show_words:
            show_words("21 of 64 runs")  # as in the terminal: "what: words"
            now = "measuring where rounding decides the picture: 21 of 64 runs"
            page.until(f"document.getElementById('activity').textContent === '{now}'")
            lines = page.js("document.body.innerText.split('\\n').filter((line) => line.trim())")
            assert lines == ["The film being made", now, f"M{now[1:]}."], "and nothing else of what is going on"
            check_accessibility(page)
        with serving.listener.rendering(job) as report:
            report(Progress(5, job.frame_count, len(here), job.plan.samples, notes=("A tile was lost.",)))
            page.until("!document.getElementById('large').hidden && document.getElementById('large').naturalWidth")
            early, strip = EarlyFrames(job, 240), sheet.even_frames(job, 24)
            count = sum(early.sharpness(number) is not None for number in strip)
            assert 5 < count < len(strip)
            page.until(f"document.querySelectorAll('#strip img:not([hidden])').length === {count}")
            states = page.js("[...document.querySelectorAll('#strip button')].map(b => b.title)")
            assert "finished" in states[0] and "coarse, a training run every" in states[count - 1]
            assert all("not trained yet" in state for state in states[count:])
            assert "frame 4" in page.js("document.getElementById('about').textContent")
            assert page.js("document.getElementById('notes').textContent") == "A tile was lost."
            # Every control by keyboard alone: the slider by arrows, the strip by Tab and Enter, N back to the newest.
            page.js("document.getElementById('frame').focus()")
            page.key("ArrowRight")
            page.until("document.getElementById('about').textContent.startsWith('frame 5')")
            assert page.js("document.getElementById('newest').getAttribute('aria-pressed')") == "false"
            page.js("document.querySelector('#strip button').focus()")
            page.js("document.activeElement.click()")
            page.until("document.getElementById('about').textContent.startsWith('frame 0')")
            page.key("n")
            page.until("document.getElementById('about').textContent.startsWith('frame 4')")
            # A frame without a picture shows none of another.
            page.js("document.querySelector('#strip li:last-child button').click()")
            page.until("document.getElementById('large').hidden")
            assert "not trained yet" in page.js("document.getElementById('nothing').innerText")
            check_accessibility(page)
            page.key("n")
            page.until("document.getElementById('about').textContent.startsWith('frame 4')")
            check_accessibility(page)
            report(Progress(middle, job.frame_count, job.plan.samples, job.plan.samples))
            page.until(f"document.getElementById('frames-done-text').textContent.startsWith('{middle} of')")
            assert page.errors == []
    page_errors = [error for error in page.errors if "ERR_CONNECTION_REFUSED" not in error]
    assert page_errors == []
