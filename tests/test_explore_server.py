"""The explorer as a process: what it answers, whom it turns away, and how it ends."""

import contextlib
import dataclasses
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from render import scene
from render.backends.local import LocalBackend
from render.explorer import keyframes
from render.film import qualities, rendering, schedule
from render.geometry import patches
from render.geometry.camera import View
from render.geometry.patches import WHOLE
from render.geometry.tiles import SAMPLES, Tile
from render.samples import NO_SAMPLE, Field
from render.storage import references
from render.storage.store import DirectoryStore
from render.train.past_float64.difference_engine import DeepEngine
from tests.helpers import ROOT
from tests.helpers.explorer import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("explorer"), "tiny")
    yield started
    errors = started.stop()
    assert "Traceback" not in errors
    assert "stopped" in errors


def view(**changes: Any) -> dict[str, Any]:
    asked_for = {
        "type": "view", "serial": 1, "scene": "tiny", "x": 0.5, "y": 0.5, "width": 1.0, "width_px": 256,
        "height_px": 256, "pointer": None, "detail": 0.125, "channel": "value", "gap": 0.25, "whole_plane": False,
        "train": True,
    }  # fmt: skip
    return asked_for | changes


def test_a_view_is_answered_with_its_tiles_a_curve_and_the_state(server: Server) -> None:
    with server.socket() as live:
        live.send(json.dumps(view()))
        tiles: set[tuple[int, int]] = set()
        kinds: set[str] = set()
        while not ({(0, 6)} <= tiles and kinds >= {"curve", "status"}):
            message = live.recv()
            if isinstance(message, bytes):
                assert len(message) == 120 + 21 * SAMPLES**2
                tiles.add((message[0], message[2]))
            else:
                kinds.add(json.loads(message)["type"])
    assert list((server.folder / "store").rglob("*.npz"))


def test_what_a_film_left_of_a_tile_is_shown_by_a_page_that_trains_nothing(server: Server) -> None:
    """And is followed by more of it, as films add it; a tile with unknown samples is not announced as whole."""
    problem = scene.load("tiny").problem
    film = DirectoryStore(server.folder / "store", problem, LocalBackend(problem).numerics)
    tile, field = Tile(5, 30, 2), Field.empty((SAMPLES, SAMPLES), problem.channels)
    for channel in field:
        channel.fill(1)
    center = (float(Fraction(2 * i + 1, 2 << tile.level)) for i in (tile.ix, tile.iy))
    asked = view(x=next(center), y=next(center), width=2.0**-tile.level, detail=0.125, train=False)
    with server.socket() as live:
        for known in (0x0030, 0x0F31, WHOLE):
            film.put(tile, field, known)
            live.send(json.dumps(asked))
            while True:
                message = live.recv()
                if not isinstance(message, bytes) or message[0] != tile.level:
                    continue
                address = tuple(int.from_bytes(message[8 + 56 * i : 64 + 56 * i], "little") for i in range(2))
                if address == (tile.ix, tile.iy):
                    break
            status = np.frombuffer(message[-(SAMPLES**2) :], np.uint8).reshape(SAMPLES, SAMPLES)
            assert (message[2] >= 5) == (known == WHOLE)
            assert ((status != NO_SAMPLE) == patches.samples(known)).all()
            asked["serial"] += 1


def test_a_glance_aside_does_not_stop_what_the_view_wants(server: Server) -> None:
    def stored() -> set[str]:
        return {path.parent.parent.name for path in (server.folder / "store").rglob("*.npz")}

    with server.socket() as live:
        live.send(json.dumps(view(x=0.75, y=0.75, width=0.5, detail=0.25)))
        live.send(json.dumps(view(serial=2, keep=True, train=False)))
        while "02" not in stored():
            live.recv()


def test_the_page_needs_the_token_and_then_shows_a_clean_address(server: Server) -> None:
    assert server.ask("GET", "/", token=None, Origin="")[0] == 403
    assert server.ask("GET", "/?token=guess", token=None, Origin="")[0] == 403
    status, entered = server.ask("GET", f"/?token={server.token}", token=None, Origin="")
    headers = {name.lower(): value for name, value in entered["headers"].items()}
    assert status == 200 and server.token in entered["text"]
    assert "HttpOnly" in headers["set-cookie"] and "samesite=lax" in headers["set-cookie"].lower()
    status, page = server.ask("GET", "/", token=None, Origin="", Cookie=headers["set-cookie"].split(";")[0])
    assert status == 200 and server.token in page["text"]
    policy = {name.lower(): value for name, value in page["headers"].items()}["content-security-policy"]
    assert "default-src 'none'" in policy and "http:" not in policy


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("trace", {"scene": "tiny", "level": 0, "ix": 0, "iy": 0}),
        ("where", {"scene": "tiny", "x": 0, "y": 0, "width": 1}),
    ],
)
def test_only_the_page_itself_with_its_token_is_answered(server: Server, path: str, body: dict[str, Any]) -> None:
    place = f"/api/{path}"
    assert server.ask("POST", place, body)[0] == 200
    assert server.ask("POST", place, body, token="guess")[0] == 403
    assert server.ask("POST", place, body, token=None)[0] == 403
    assert server.ask("POST", place, body, token=server.token[:-1])[0] == 403
    for origin in (
        "http://evil.example",
        f"https://127.0.0.1:{server.port}",
        "null",
        f"http://127.0.0.1:{server.port + 1}",
        "",
    ):
        assert server.ask("POST", place, body, Origin=origin)[0] == 403
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "127.0.0.1@evil.example", ""):
        assert server.ask("POST", place, body, Host=host, Origin=f"http://{host}")[0] in (400, 421)
    assert server.ask("POST", place, body, Sec_Fetch_Site="cross-site")[0] == 403
    assert server.ask("POST", place, body, Sec_Fetch_Site="same-site")[0] == 403


def test_the_live_connection_is_as_closed(server: Server) -> None:
    for changes in (
        {"origin": "http://evil.example"}, {"origin": None}, {"subprotocols": ["render"]},
        {"subprotocols": ["render", "guess"]},
    ):  # fmt: skip
        with pytest.raises(InvalidStatus):
            server.socket(**changes)


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page//etc/passwd", "/page/....//app.py",
        "/page/..\\app.py", "/page/js/../../guard.py", "/page/%00", "/etc/passwd", "/../../etc/passwd",
    ],
)  # fmt: skip
def test_no_path_leaves_the_pages_folder(server: Server, path: str) -> None:
    status, answer = server.ask("GET", path)
    assert status in (400, 404)
    assert "import" not in str(answer) and "root:" not in str(answer)


@pytest.mark.parametrize(
    "name", ["../tiny", "/etc/passwd", "tiny.toml", "scenes/tiny", "", "x" * 5000, "tiny\0", "~", "{{token}}"]
)
def test_scenes_are_names_out_of_a_list(server: Server, name: str) -> None:
    from urllib.parse import quote

    assert server.ask("GET", f"/api/scene?name={quote(name)}")[0] == 400
    assert server.ask("POST", "/api/trace", {"scene": name, "level": 0, "ix": 0, "iy": 0})[0] == 400


@pytest.mark.parametrize(
    "change",
    [
        {"level": 41}, {"level": -1}, {"level": 1.5}, {"level": "0"}, {"level": 10**30}, {"ix": -1}, {"ix": 32},
        {"iy": 2**64}, {"ix": None}, {"ix": True},
    ],
)  # fmt: skip
def test_samples_that_do_not_exist_are_not_trained(server: Server, change: dict[str, Any]) -> None:
    status, answer = server.ask("POST", "/api/trace", {"scene": "tiny", "level": 0, "ix": 0, "iy": 0} | change)
    assert status == 400 and "must be" in answer["fault"]


@pytest.mark.parametrize(
    "message",
    [
        "not json", "[]", '{"type": "view"}', '{"type": "train everything"}', json.dumps(view(width=0)),
        json.dumps(view(width=1e9)),
        json.dumps(view(x="half")), json.dumps(view(x=1e300)), json.dumps(view(width_px=10**9)),
        json.dumps(view(x="1e999999999")), json.dumps(view(y="NaN")), json.dumps(view(x="17")), json.dumps(view(y=[1])),
        json.dumps(view(x="0." + "3" * 400)), json.dumps(view(width=1e-130)), json.dumps(view(width="1")),
        json.dumps(view(pointer={"x": "0.5", "y": "2"})),
        json.dumps(view(detail=64)),
        json.dumps(view(channel="__class__")), json.dumps(view(pointer={"x": 5, "y": 0})),
        json.dumps(view()).replace("0.5", "NaN"),
        '{"type": "forget", "tiles": 5}', '{"type": "forget", "tiles": [["a"]]}',
        '{"type": "forget", "tiles": [[0, 0, 0]]}', '{"type": "forget", "tiles": [[0, "-1", "0"]]}',
        '{"type": "forget", "tiles": [[400, "' + "9" * 122 + '", "0"]]}', "{" * 100_000, "x" * 1_000_000,
    ],
)  # fmt: skip
def test_a_view_that_makes_no_sense_ends_its_own_connection_only(server: Server, message: str) -> None:
    with server.socket() as other, server.socket() as live:
        with contextlib.suppress(ConnectionClosed):
            live.send(message)
        with pytest.raises(ConnectionClosed):
            while True:
                live.recv()
        other.send(json.dumps(view()))
        assert other.recv()


def test_floods_are_bounded(server: Server) -> None:
    assert server.ask("POST", "/api/save", raw=b" " * 1_000_001)[0] == 413
    assert server.ask("POST", "/api/save", raw=b"", Content_Length="99999999999")[0] == 413
    assert server.ask("POST", "/api/still", raw=b"x", Content_Length="64000001")[0] == 413
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(server.socket()) for _ in range(16)]
        with server.socket() as one_more, pytest.raises(ConnectionClosed, match="1013"):
            one_more.recv()
        for n in range(300):
            opened[0].send(json.dumps(view(serial=n, x=n / 300)))
        assert server.ask("GET", "/api/start")[0] == 200
    assert server.ask("GET", "/api/start")[0] == 200


def test_a_flood_of_slow_requests_is_refused_and_the_page_goes_on(server: Server) -> None:
    described = server.ask("GET", "/api/scene?name=tiny")[1]
    edit = {"scene": "tiny", "palette": "Spectral", "gap": 0.25} | described["film"]
    with ThreadPoolExecutor(30) as many:
        asked_for = [many.submit(server.ask, "POST", "/api/depth", edit) for _ in range(30)]
        assert server.ask("GET", "/api/start")[0] == 200
        answers = [one.result() for one in asked_for]
    assert {200} <= {status for status, _ in answers} <= {200, 429}
    assert all("too many" in answer["fault"] for status, answer in answers if status == 429)
    assert server.ask("POST", "/api/depth", edit)[0] == 200


def test_a_request_that_comes_slowly_keeps_no_other_waiting(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /api/save HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
        assert server.ask("GET", "/api/start")[0] == 200


def test_a_film_is_described_costed_and_saved_by_the_scenes_own_rules(server: Server) -> None:
    described = server.ask("GET", "/api/scene?name=tiny")[1]
    edit = {"scene": "tiny", "palette": "Spectral", "gap": 0.25} | described["film"]
    path = server.ask("POST", "/api/path", edit)[1]
    assert path["duration_s"] > 1 and len(path["views"]) > 100
    assert server.ask("POST", "/api/depth", edit) == (200, {"warning": None})
    deep = edit["keyframes"][-1] | {"width": 1e-13, "source": None}
    warned = server.ask("POST", "/api/depth", edit | {"keyframes": [edit["keyframes"][0], deep]})[1]["warning"]
    assert warned is None  # such a film goes on by differences
    rows = [json.loads(line) for line in server.ask("POST", "/api/costs", edit)[1]["text"].splitlines()]
    assert [row["quality"] for row in rows] == [*scene.QUALITY, "scene"]
    assert all(0 < row["missing"] <= row["samples"] and row["time_s"] > 0 for row in rows)
    assert server.ask("POST", "/api/path", edit | {"keyframes": []})[0] == 400
    assert server.ask("POST", "/api/path", edit | {"keyframes": [{}] * 201})[0] == 400
    status, saved = server.ask("POST", "/api/save", edit | {"name": "saved", "replacing": None})
    assert status == 200 and scene.load(saved["path"]).text == scene.with_schema(
        scene.load("tiny").text, server.folder / "scenes"
    )
    assert saved["command"].endswith(f"-m render video {saved['path']} --store {server.folder / 'store'}")
    status, clash = server.ask("POST", "/api/save", edit | {"name": "saved", "replacing": None})
    assert status == 409 and clash["text"] == saved["text"]
    assert server.ask("POST", "/api/save", edit | {"name": "../saved", "replacing": clash["seen"]})[0] == 400
    assert [p.name for p in (server.folder / "scenes").iterdir()] == ["saved.toml"]


def test_digits_are_all_there(server: Server) -> None:
    x = 0.3 + 2**-40
    where = server.ask("POST", "/api/where", {"scene": "tiny", "x": x, "y": 0.5, "width": 1e-12})[1]
    assert abs(Fraction(where[0]["log10"]) - (9 * Fraction(x) - 3)) < Fraction(1, 10**17)
    assert float(where[0]["value"]) == pytest.approx(10 ** (9 * x - 3), rel=1e-15)
    assert len(where[0]["value"]) > 15


def stored(live: Any, asked_for: dict[str, Any], level: int) -> tuple[set[tuple[int, int, int]], set[str]]:
    """Look at a view until a tile of a level is in the store; return all tiles of it, and what was told meanwhile."""
    live.send(json.dumps(asked_for))
    tiles: set[tuple[int, int, int]] = set()
    states: set[str] = set()
    while not any(tile[0] == level for tile in tiles):
        message = live.recv()
        if isinstance(message, str):
            states.add(str(json.loads(message).get("reference")))
        elif message[2] > 5 and int.from_bytes(message[4:8], "little") == asked_for["serial"]:
            ix, iy = (int.from_bytes(message[start : start + 56], "little") for start in (8, 64))
            tiles.add((int.from_bytes(message[:2], "little"), ix, iy))
    return tiles, states


def test_past_float64_a_reference_is_made_and_a_film_around_it_finds_it_and_its_tiles(server: Server) -> None:
    loaded = scene.load("deep_small")
    target, problem, store = loaded.keyframes[-1].view, loaded.problem, server.folder / "store"

    def deep_view(place: View, serial: int) -> dict[str, Any]:
        more = {"serial": serial, "width_px": 64, "height_px": 64, "detail": 0.5}
        return view(scene="deep_small", **keyframes.place(place), **more)

    deep = deep_view(dataclasses.replace(target, width=1e-16), 1)
    assert server.ask("POST", "/api/targets", deep | {"seed": 1})[0] == 400  # nothing is there yet
    with server.socket() as live:
        tiles, states = stored(live, deep, 53)
        assert any("reference run, try" in text or "looking for a run" in text for text in states), states
        for level, *address in tiles:
            for index, unit in zip(address, (target.x, target.y), strict=True):
                assert abs(Fraction(2 * index + 1, 2 << level) - unit) < Fraction(3, 1 << level)
        surprise = server.ask("POST", "/api/targets", deep | {"seed": 1})
        assert surprise[0] == 200 and surprise[1][0]["decades"] is None
        assert abs(Fraction(surprise[1][0]["x"]) - target.x) < Fraction(1, 10**14)
        # It serves views far below, around itself.
        (reference,) = references.load_all(store, problem)
        x, y = (
            axis.unit_from_position(axis.position_from_value(value))
            for axis, value in ((problem.x, reference.x), (problem.y, reference.y))
        )
        place = View(x, y, 1e-24)
        tiles, _ = stored(live, deep_view(place, 2), 80)
    camera = dataclasses.replace(loaded.keyframes[-1], view=place, time_s=0.0)
    output = dataclasses.replace(loaded.output, width_px=64, height_px=64, detail=0.5, rest_detail=0.5)
    of_film = dataclasses.replace(loaded, keyframes=(camera,), output=output)
    job = rendering.prepare(qualities.named(of_film, "scene"), store, report_step=None)
    assert job.switch is not None and job.switch.keys == (reference.key,)
    mine = [tile for tile in job.plan.order if tuple(tile) in tiles]
    assert mine and job.store.missing(mine) == []
    # Trained part by part as a page needs them, they are what the engine makes of the tile at once.
    points = schedule.points_of(problem, mine[0], schedule.Work(WHOLE), reference)
    at_once = DeepEngine(problem, reference).train(points)
    np.testing.assert_array_equal(job.store.get(mine[0]).value.ravel(), at_once.value)


def test_past_float64_digits_go_on(server: Server) -> None:
    x = "0.4" + "123456789" * 5
    where = server.ask("POST", "/api/where", {"scene": "tiny", "x": x, "y": "0.5", "width": 1e-40})[1]
    assert abs(Fraction(where[0]["log10"]) - (9 * Fraction(x) - 3)) < Fraction(1, 10**45)
    assert len(where[0]["value"]) > 45
    described = server.ask("GET", "/api/scene?name=tiny")[1]
    assert (described["last_plain_level"], described["deepest_level"], described["deepest_zoom"]) == (40, 400, 398)


def test_a_second_server_finds_a_port_and_a_taken_one_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "render.cli", "explore", "tiny", "--store", str(tmp_path), "--port",
             str(taken.getsockname()[1]), "--no-open"],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert done.returncode == 2 and "Choose another --port" in done.stderr
    started = Server(tmp_path)  # no scene: the page chooses
    assert server_scenes(started)
    with started.socket():
        started.stop(signal.SIGTERM)


def server_scenes(started: Server) -> bool:
    answer = started.ask("GET", "/api/start")[1]
    return answer["first"] is None and "tiny" in answer["scenes"]
