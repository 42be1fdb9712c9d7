"""The explorer's parts: wishes, growing tiles, the queue, keyframes into text, stills, and who is turned away."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render import encode, scene
from render.deep import reference_search
from render.errors import RenderError
from render.explorer import colouring, film_preview, keyframes, requests, stills
from render.explorer.growing_tile import UNKNOWN, GrowingTile, masks
from render.explorer.planes import Plane, Planes
from render.explorer.reference_finder import ROOM, Spot
from render.explorer.trainer import Trainer
from render.explorer.wanted_tiles import Look
from render.geometry import patches
from render.geometry.tiles import SAMPLES, Tile
from render.geometry.viewport import Viewport
from render.samples import Field
from render.storage import references
from render.storage.references import Reference
from render.storage.store import DirectoryStore, MemoryStore
from render.train.engine import Engine
from tests.helpers.waiting import until

ROOT = Path(__file__).parents[1]
SCENES = sorted(path.stem for path in (ROOT / "scenes").glob("*.toml"))


@pytest.fixture(scope="module")
def tiny() -> scene.Scene:
    return scene.load("tiny")


# ---- what a view wants ----------------------------------------------------------------------------------------------

coordinates = st.fractions(0, 1)


@st.composite
def looks(draw: st.DrawFn) -> Look:
    width = 2.0 ** -draw(st.floats(0, 44))
    view = Viewport(
        draw(coordinates), draw(coordinates), width, draw(st.integers(50, 2000)), draw(st.integers(50, 1200))
    )
    return Look(view, (draw(coordinates), draw(coordinates)), draw(st.sampled_from(requests.DETAILS)), 47)


@given(looks())
def test_parents_come_first_and_every_wished_tile_is_in_view_once(wish: Look) -> None:
    tiles = wish.tiles()
    assert len(set(tiles)) == len(tiles)
    position = {tile: i for i, tile in enumerate(tiles)}
    for tile in tiles:
        assert 0 <= tile.ix < 1 << tile.level and 0 <= tile.iy < 1 << tile.level
        if tile.level > wish.levels.start:
            assert position[tile.parent] < position[tile]
    assert {tile.level for tile in tiles} <= set(wish.levels)
    assert max(wish.levels) <= 47


def test_what_is_under_the_pointer_is_sharp_first() -> None:
    wish = Look(Viewport(Fraction(1, 2), Fraction(1, 2), 0.1, 1024, 768), (Fraction(1, 2), Fraction(1, 2)), 1.0, 47)
    tiles = wish.tiles()
    finest = [tile for tile in tiles if tile.level == wish.levels[-1]]
    coarser = [tile for tile in tiles if tile.level == wish.levels[-2]]
    assert tiles.index(finest[0]) < tiles.index(coarser[-1])


@given(
    x=st.fractions(0.05, 0.95), y=st.fractions(0.05, 0.95), octaves=st.floats(34, 340),
    inside=st.tuples(st.fractions(-0.25, 0.25), st.fractions(-0.25, 0.25)),
    aside=st.tuples(st.fractions(-3, 3), st.fractions(-3, 3)), further=st.floats(-4, 30),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_reference_made_for_a_view_serves_the_views_that_it_is_made_for(
    x: Fraction, y: Fraction, octaves: float, inside: Any, aside: Any, further: float
) -> None:
    problem = scene.load("tiny").problem

    def spot(x: Fraction, y: Fraction, octaves: float) -> Spot:
        return Spot.of(problem, Look(Viewport(x, y, 2.0**-octaves, 640, 360), (x, y), 0.5, 400))

    made_for, width = spot(x, y, octaves), Fraction(2.0**-octaves)
    place = reference_search.point_of(problem, x + inside[0] * width, y + inside[1] * width, 2.0**-octaves)
    reference = Reference(*place, references.bits_for(ROOM * made_for.spacing), 0.0, -1.0, ())
    assert made_for.serves(made_for) and made_for.accepts(reference)
    other = spot(x + aside[0] * width, y + aside[1] * width, octaves + further)
    if made_for.serves(other):
        assert other.accepts(reference)
    far = spot(x + (1 if x < 0.5 else -1) * max(Fraction(1, 10**7), width * 10**7), y, octaves)
    assert not far.accepts(reference) and not made_for.serves(far)


# ---- tiles that grow -----------------------------------------------------------------------------------------------


def test_the_parts_are_each_sample_once_and_a_parent_brings_the_first_two() -> None:
    total = np.sum(masks(), axis=0)
    assert (total == 1).all()
    inherited = np.zeros((SAMPLES, SAMPLES), bool)
    inherited[::2, ::2] = True
    assert (masks()[0] | masks()[1] == inherited).all()


def test_a_tile_trained_in_parts_has_the_bits_of_one_trained_whole(tiny: scene.Scene) -> None:
    engine = Engine(tiny.problem)

    def grown(tile: Tile, parent: Field | None) -> Field:
        growing = GrowingTile(tiny.problem, tile, parent)
        assert not growing.is_whole
        for part in growing.left():
            growing.add(part, engine.train(growing.points(tiny.problem, part)))
        assert growing.is_whole and (growing.field.status != UNKNOWN).all()
        return growing.field

    parent = grown(Tile(1, 1, 0), None)
    tile = Tile(2, 3, 1)
    for one, other in zip(grown(tile, None), grown(tile, parent), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- the queue ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def training() -> Iterator[Trainer]:
    trainer = Trainer(lambda: None)
    trainer.start()
    try:
        yield trainer
    finally:
        trainer.stop(600.0)


def test_a_tile_grows_from_the_patches_that_a_film_left_and_ends_the_same(tiny: scene.Scene) -> None:
    problem, tile = tiny.problem, Tile(3, 2, 5)
    engine = Engine(problem)
    alone = GrowingTile(problem, tile, None)
    for part in alone.left():
        alone.add(part, engine.train(alone.points(problem, part)))
    known = 0x0F31
    store = MemoryStore()
    store.put(tile, alone.field, known)
    growing = GrowingTile(problem, tile, None, (known, store.get(tile, known)))
    assert 0 < growing.stage < 1 and not growing.is_whole
    assert ((growing.field.status != UNKNOWN) == patches.samples(known)).all()
    trained, stages = 0, [growing.stage]
    for part in growing.left():
        points = growing.points(problem, part)
        trained += len(points)
        growing.add(part, engine.train(points))
        stages.append(growing.stage)
    assert growing.is_whole and trained == (~patches.samples(known)).sum() and sorted(set(stages)) == stages
    for name, channel in growing.field.channels().items():
        np.testing.assert_array_equal(channel, alone.field.channels()[name])


def test_a_plane_shows_the_patches_of_a_film_and_forgets_them_once_the_tile_is_whole(
    tiny: scene.Scene, tmp_path: Path
) -> None:
    plane, tile = Plane(tiny.problem, tmp_path), Tile(3, 2, 5)
    store = plane.store
    field = Field.empty((SAMPLES, SAMPLES), tiny.problem.channels)
    for channel in field:
        channel.fill(1)
    store.put(tile, field, 0x0F31)
    plane.look_up([tile])
    assert plane.stored == set() and plane.get(tile) is None
    plane._lost.clear()
    plane.look_up([tile])
    kept, shown = plane.some(tile) or (0, field)
    assert kept == 0x0F31 and ((shown.status == 1) == patches.samples(kept)).all()
    store.path(tile, kept).write_bytes(b"damaged")
    assert plane.some(tile) is None, "it is trained again, as a damaged tile is"
    plane.put(tile, field)
    assert plane.stored == {tile} and plane.some(tile) is None and plane.patches == {}


def test_wishes_are_trained_stored_and_dropped_with_the_view(tmp_path: Path, tiny: scene.Scene) -> None:
    plane = Plane(tiny.problem, tmp_path)
    first, second = Tile(0, 0, 0), Tile(1, 1, 0)
    with training() as trainer:
        trainer.wish(1, plane, [first, second])
        until(lambda: {first, second} <= plane.stored)
        assert trainer.activity().tiles_waiting == 0
        field = Engine(tiny.problem).train(GrowingTile(tiny.problem, second, None).points(tiny.problem, 2))
        np.testing.assert_array_equal(plane.store.get(second).value[masks()[2]], field.value)
        many = [Tile(5, ix, iy) for ix in range(32) for iy in range(32)]
        trainer.wish(1, plane, many)
        trainer.wish(1, plane, [Tile(1, 0, 0)])  # the view moved on at once
        until(lambda: Tile(1, 0, 0) in plane.stored)
        assert len(list(tmp_path.rglob("05/*/*.npz"))) < 100
        trainer.forget(1)
        until(lambda: trainer.activity().state == "idle")


def test_two_pages_and_two_scenes_are_served_in_turn(tmp_path: Path, tiny: scene.Scene) -> None:
    one = Plane(tiny.problem, tmp_path)
    other = Plane(scene.load("mandelbrot").problem, tmp_path)
    with training() as trainer:
        trainer.wish(1, one, [Tile(4, ix, 3) for ix in range(16)])
        trainer.wish(2, one, [Tile(4, ix, 9) for ix in range(16)])
        trainer.wish(3, other, [Tile(0, 0, 0)])
        until(lambda: other.stored and len(one.stored) == 32)


def test_a_damaged_tile_is_trained_again(tmp_path: Path, tiny: scene.Scene) -> None:
    plane = Plane(tiny.problem, tmp_path)
    tile = Tile(0, 0, 0)
    with training() as trainer:
        trainer.wish(1, plane, [tile])
        until(lambda: tile in plane.stored)
        good = plane.store.path(tile).read_bytes()
        plane.store.path(tile).write_bytes(good[:-1] + b"?")
        assert plane.get(tile) is None
        plane.look_up([tile])
        trainer.wish(1, plane, [tile])
        until(lambda: tile in plane.stored and plane.get(tile) is not None)
        assert plane.store.path(tile).read_bytes() == good


def test_trouble_with_the_store_is_reported_and_the_next_wish_tries_again(tmp_path: Path, tiny: scene.Scene) -> None:
    plane = Plane(tiny.problem, tmp_path)
    blocked = plane.store.path(Tile(0, 0, 0)).parent.parent
    blocked.write_text("in the way")
    with training() as trainer:
        trainer.wish(1, plane, [Tile(0, 0, 0)])
        until(lambda: trainer.activity().state == "failed")
        assert str(blocked) in trainer.activity().error
        blocked.unlink()
        trainer.wish(1, plane, [Tile(0, 0, 0)])
        until(lambda: Tile(0, 0, 0) in plane.stored)


def test_what_is_stored_is_seen_before_jax_is_there_and_other_numerics_are_forgotten(
    tmp_path: Path, tiny: scene.Scene
) -> None:
    tile = Tile(0, 0, 0)
    first = Plane(tiny.problem, tmp_path)
    first.put(tile, Field.empty((SAMPLES, SAMPLES), tiny.problem.channels))
    seen = "import sys; from pathlib import Path; from render import scene; from render.explorer.planes import Plane\n"
    seen += "from render.geometry.tiles import Tile; p = Plane(scene.load('tiny').problem, Path(sys.argv[1]))\n"
    seen += "p.look_up([Tile(0, 0, 0)]); assert p.get(Tile(0, 0, 0)) is not None; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", seen, tmp_path], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"
    # The same tiles, made elsewhere: shown at first, and forgotten once this machine's numerics are known.
    described = first.store.folder / "numerics.toml"
    other = DirectoryStore(tmp_path / "b", tiny.problem, first.store.numerics | {"jaxlib": "0.0"})
    other.put(tile, first.store.get(tile))
    later = Plane(tiny.problem, tmp_path / "b")
    later.look_up([tile])
    assert later.stored == {tile} and later.generation == 0
    assert later.store.folder.name == described.parent.name and later.stored == set() and later.generation == 1
    later.look_up([tile])
    assert later.get(tile) is None


# ---- colours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_every_channel_keeps_the_sides_apart(name: str) -> None:
    problem = scene.load(name).problem
    samples = Field.empty((4,), problem.channels)
    samples.status[:] = [0, 1, 2, 3]
    samples.value[:] = [-3.0, 2.0, 1.0, 0.5]
    samples.final_loss[:] = [0.0, 1.2, np.inf, np.inf]
    samples.escape_step[:] = [-1, -1, 7, 2]
    for values in samples.more.values():
        values[:] = [0.5, -2.0, np.nan, np.nan]
    for called, channel in colouring.channels(problem).items():
        signed = channel.signed(samples)
        # Sides of what is observed are its own: order and chaos, say. Their laws are in test_observables.
        assert called in dict(problem.observe) or (signed < 0).tolist() == [True, False, False, False]
        assert np.isfinite(signed).all()


def test_palettes_are_the_films() -> None:
    assert all(len(colouring.palette(name)) == colouring.PALETTE_ENTRIES for name in colouring.PALETTES)
    assert colouring.palette("gray")[0] == 0x000000 and colouring.palette("gray")[-1] == 0xFFFFFF
    with pytest.raises(ValueError, match="viridis"):
        colouring.palette("virids")
    custom = colouring.palette("#1a0633,#f7f7f7,#00441b")
    assert (custom[0], custom[-1]) == (0x1A0633, 0x00441B)
    with pytest.raises(ValueError, match="must be a colour"):
        colouring.palette("#1a0633,#f7f7f7,#0044")


# ---- keyframes and the text of a scene ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_an_edit_that_changes_nothing_changes_no_byte(name: str) -> None:
    loaded = scene.load(name)
    assert keyframes.rewritten(loaded, keyframes.own_edit(loaded)) == loaded.text


COMMENTED = """
# about the whole
[camera]
octaves_per_s = 0.5  # slowly

# the first of two lines about the overview
# the second
[[camera.keyframes]]  # beside the header
centre_log10 = ["1.5", "1.5"]
width_decades = 9.0

# about the target
[[camera.keyframes]]
centre_log10 = ["1.123456789012345678901234567", "2.25"]  # many digits
width_decades = 1e-6
"""


@pytest.fixture
def commented(tiny: scene.Scene) -> scene.Scene:
    head, tail = tiny.text.split("[camera]")
    return scene.parse(head + COMMENTED.lstrip() + "\n[look]" + tail.split("[look]")[1], "commented.toml", "commented")


def test_comments_move_with_their_keyframes_and_digits_stay(commented: scene.Scene) -> None:
    edit = keyframes.own_edit(commented)
    new = keyframes.Keyframe(replace(edit.keyframes[0].view, width=0.25), 2.0, None, None)
    moved = keyframes.rewritten(commented, replace(edit, keyframes=(edit.keyframes[1], new, edit.keyframes[0])))
    again = scene.parse(moved, "moved", "moved")
    assert [key.view.width for key in again.keyframes] == pytest.approx([1e-6 / 9, 0.25, 1.0])
    assert again.keyframes[0].view == commented.keyframes[1].view
    for comment in re.findall("#.*", commented.text):
        assert comment in moved
    assert moved.index("# about the target") < moved.index("1.123456789012345678901234567")
    assert (
        moved.index("1.123456789012345678901234567") < moved.index("# the first of two") < moved.index("# the second")
    )


@given(x=coordinates, y=coordinates, octaves=st.floats(0, 42), name=st.sampled_from(SCENES))
def test_a_saved_keyframe_shows_the_view_it_was_made_from(x: Fraction, y: Fraction, octaves: float, name: str) -> None:
    loaded = scene.load(name)
    width = 2.0**-octaves
    row = {"x": float(x), "y": float(y), "width": width, "hold_s": 1, "time_s": None, "source": None}
    raw = keyframes.described(loaded) | {"keyframes": [row], "palette": "gray", "gap": 0.1, "octaves_per_s": 1.0}
    edited = film_preview.edited(loaded, keyframes.edit(raw, loaded))
    (key,) = edited.keyframes
    assert abs(key.view.x - Fraction(float(x))) < width * 1e-6 and abs(key.view.y - Fraction(float(y))) < width * 1e-6
    assert key.view.width == pytest.approx(width, rel=1e-6)
    assert (edited.look.palette, edited.look.gap) == ("gray", 0.1)
    assert edited.problem == loaded.problem


def test_keyframes_get_times_or_a_speed_and_lose_the_other(commented: scene.Scene) -> None:
    edit = keyframes.own_edit(commented)
    timed = replace(
        edit, octaves_per_s=None, keyframes=tuple(replace(k, time_s=7.0 * i) for i, k in enumerate(edit.keyframes))
    )
    edited = film_preview.edited(commented, timed)
    assert [key.time_s for key in edited.keyframes] == [0.0, 7.0]
    assert "octaves_per_s" not in edited.text
    back = film_preview.edited(edited, replace(keyframes.own_edit(edited), octaves_per_s=0.5))
    assert "time_s" not in back.text and "octaves_per_s = 0.5" in back.text


def test_inline_keyframes_can_be_doubled(tiny: scene.Scene) -> None:
    head, tail = tiny.text.split("[camera]")
    inline = '[camera]\noctaves_per_s = 1.0\nkeyframes = [{ centre_log10 = ["1", "1"], width_decades = 2.0 }]\n\n[look]'
    loaded = scene.parse(head + inline + tail.split("[look]")[1], "inline", "inline")
    edit = keyframes.own_edit(loaded)
    edited = film_preview.edited(loaded, replace(edit, keyframes=edit.keyframes * 2))
    assert [key.view for key in edited.keyframes] == [loaded.keyframes[0].view] * 2


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\u2029", "\u00a0"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_signs_and_line_ends_of_a_text_survive_saving(
    sign: str, end: str, tmp_path: Path, commented: scene.Scene
) -> None:
    text = commented.text.replace("# about the target", f"# about{sign}the target").replace("\n", end)
    loaded = scene.parse(text, "mine", "mine")
    edit = keyframes.own_edit(loaded)
    saved = film_preview.save(loaded, edit, "mine", tmp_path, replacing=None)
    assert saved.path.read_bytes() == scene.with_schema(text, tmp_path).encode()
    changed = replace(edit, keyframes=(replace(edit.keyframes[0], hold_s=3.5), *edit.keyframes[1:]))
    saved = film_preview.save(loaded, changed, "mine", tmp_path, replacing=film_preview.digest(saved.text))
    written = saved.path.read_bytes().decode()
    assert f"# about{sign}the target" in written
    assert written.count(end) == written.count("\n") > text.count("\n")  # one more line: hold_s
    assert scene.load(saved.path).keyframes[0].hold_s == 3.5


@pytest.mark.parametrize("form", ["inline", "dotted"])
def test_a_camera_that_is_no_table_of_its_own_keeps_its_form(form: str, tiny: scene.Scene) -> None:
    head, tail = tiny.text.split("[camera]")
    key = '[{ centre_log10 = ["1", "1"], width_decades = 2.0 }]'
    camera = {
        "inline": f"camera = {{ octaves_per_s = 1.0, keyframes = {key} }}\n",
        "dotted": f"camera.octaves_per_s = 1.0\ncamera.keyframes = {key}\n",
    }[form]
    loaded = scene.parse(camera + head + "[look]" + tail.split("[look]")[1], "mine", "mine")
    edit = keyframes.own_edit(loaded)
    assert film_preview.edited(loaded, edit).text == loaded.text
    twice = film_preview.edited(loaded, replace(edit, keyframes=edit.keyframes * 2))
    assert len(twice.keyframes) == 2
    assert twice.text.count("width_decades") == 2 and "[camera]" not in twice.text


def test_saving_never_replaces_what_was_not_seen(tmp_path: Path, tiny: scene.Scene) -> None:
    edit = keyframes.own_edit(tiny)
    saved = film_preview.save(tiny, edit, "mine", tmp_path, replacing=None)
    assert saved.path.read_text() == scene.with_schema(tiny.text, tmp_path)
    with pytest.raises(film_preview.Clash) as clash:
        film_preview.save(tiny, edit, "mine", tmp_path, replacing=None)
    saved.path.write_text(tiny.text + "# a later thought\n")
    with pytest.raises(film_preview.Clash) as later:
        film_preview.save(tiny, edit, "mine", tmp_path, replacing=clash.value.seen)
    assert "a later thought" in later.value.text
    shorter = replace(edit, keyframes=edit.keyframes[:1])
    film_preview.save(tiny, shorter, "mine", tmp_path, replacing=later.value.seen)
    seen = film_preview.digest(saved.path.read_text())
    film_preview.save(tiny, edit, "mine", tmp_path, replacing=seen, append=True)
    assert len(scene.load(saved.path).keyframes) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", ".hidden", "a/b", "", "a" * 65, "x.toml", "-rf", "nul\0", "ü"]
)
def test_a_saved_scene_has_a_plain_name(tmp_path: Path, tiny: scene.Scene, name: str) -> None:
    with pytest.raises(RenderError, match="name must be"):
        film_preview.save(tiny, keyframes.own_edit(tiny), name, tmp_path / "in", replacing=None)
    assert not list(tmp_path.rglob("*.toml"))


def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path, tiny: scene.Scene) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.toml").symlink_to(outside)
    with pytest.raises(RenderError, match="no plain file"):
        film_preview.save(
            tiny, keyframes.own_edit(tiny), "x", tmp_path / "in", replacing=film_preview.digest("precious")
        )
    assert outside.read_text() == "precious"


def test_keyframes_that_make_no_film_are_refused_by_the_scenes_own_checks(tiny: scene.Scene) -> None:
    edit = keyframes.own_edit(tiny)
    late = tuple(replace(key, time_s=0.0) for key in edit.keyframes)
    with pytest.raises(RenderError, match="time_s"):
        film_preview.edited(tiny, replace(edit, octaves_per_s=None, keyframes=late))


# ---- stills ---------------------------------------------------------------------------------------------------------


def still(tmp_path: Path, metadata: dict[str, str]) -> bytes:
    path = tmp_path / "still.png"
    encode.write_png(path, np.zeros((36, 64, 3), np.uint8), metadata)
    return path.read_bytes()


def test_a_still_tells_its_scene_and_view(tmp_path: Path) -> None:
    loaded = scene.with_quality(scene.load("tiny"), "preview")
    facts = {"scene": scene.resolved(loaded), "name": "tiny", "frame": "7"}
    origin, view = stills.origin(still(tmp_path, facts))
    path = loaded.path(loaded.output)
    assert origin.problem == loaded.problem
    assert view == path.view(path.s_of_frame(7, loaded.output.fps))


@pytest.mark.parametrize(
    "facts",
    [{}, {"scene": "[", "name": "x", "frame": "0"}, {"scene": "", "name": "x", "frame": "nine"}],
)
def test_a_picture_from_elsewhere_is_refused(tmp_path: Path, facts: dict[str, str]) -> None:
    with pytest.raises(RenderError):
        stills.origin(still(tmp_path, facts))
    with pytest.raises(RenderError):
        stills.origin(b"\x89PNG\r\n\x1a\n not a picture")


# ---- a run in full, and targets -------------------------------------------------------------------------------------


# The published transformer takes minutes on two cores; the small one is the same code.
_QUICK = [name for name in SCENES if name != "transformer_published"]
ONE_OF_EACH_SYSTEM = sorted({scene.load(name).problem.system: name for name in _QUICK}.values())


@pytest.mark.parametrize("name", ONE_OF_EACH_SYSTEM)
def test_a_trace_ends_where_the_stored_sample_does(name: str) -> None:
    from render.train import tangent

    problem = scene.load(name).problem
    if problem.steps > 100:
        problem = replace_steps(problem, 60)
    level = 2
    ix = np.array([13, 40, 77, 90, 111, 64])
    x, y = (axis.values(level, 0).repeat(4)[:128] for axis in (problem.x, problem.y))
    x = np.array([problem.x.values(level, i // SAMPLES * SAMPLES)[i % SAMPLES] for i in ix])
    y = np.array([problem.y.values(level, i // SAMPLES * SAMPLES)[i % SAMPLES] for i in ix[::-1]])
    traced, stored = tangent.run(problem, x, y), Engine(problem).run(x, y)
    assert traced.losses.shape == (problem.steps, 6)
    # The two programs round differently: a chaotic run, whose neighbours part quickly, shows it after some fifty steps.
    calm = np.isfinite(stored.final_loss) & (traced.parting < 1e6)
    assert calm.any()
    np.testing.assert_allclose(traced.losses[-1, calm], stored.final_loss[calm], rtol=1e-6)
    assert (np.asarray(traced.parting) >= 0).all()


def replace_steps(problem: Any, steps: int) -> Any:
    from render.problem import Problem

    return Problem(
        problem.x, problem.y, problem.system, steps=steps, seed=problem.seed, measure=problem.measure,
        fixed=problem.fixed, settings=problem.settings,
    )  # fmt: skip


def test_parting_is_how_fast_neighbours_part() -> None:
    from render.train import tangent

    problem = scene.load("tiny").problem
    x = np.array([1.0, 1.0 * 10**1e-6])
    y = np.array([0.5, 0.5])
    ends = tangent.run(problem, x, y)
    quiet = tangent.run(problem, np.array([1e-3]), np.array([1e-3])).parting[0]
    assert 0 < quiet < ends.parting[0]  # where nearly nothing is learned, neighbours stay together


def test_targets_lie_on_the_boundary(tmp_path: Path, tiny: scene.Scene) -> None:
    from render.explorer import targets

    plane = Plane(tiny.problem, tmp_path)
    wish = Look(Viewport(Fraction(1, 2), Fraction(1, 2), 1.0, 256, 256), (Fraction(1, 2),) * 2, 0.5, 47)
    with pytest.raises(RenderError, match="No boundary"):
        targets.find(plane, wish, 5, 1)
    with training() as trainer:
        trainer.wish(1, plane, wish.tiles())
        until(lambda: set(wish.tiles()) <= plane.stored)
    suggested = targets.find(plane, wish, 5, 1)
    decades = [target.decades for target in suggested if target.decades is not None]
    assert suggested and len(decades) == len(suggested)
    worth = [target.density * more for target, more in zip(suggested, decades, strict=True)]
    assert worth == sorted(worth, reverse=True)
    for target in suggested:
        around = np.linspace(-1, 1, 9) * target.width / 4
        x = [float(tiny.problem.x.value_from_unit(target.x + Fraction(d))) for d in around]
        y = [float(tiny.problem.y.value_from_unit(target.y + Fraction(d))) for d in around]
        grid = np.array([[a, b] for a in x for b in y])
        status = Engine(tiny.problem).run(grid[:, 0].copy(), grid[:, 1].copy()).status
        assert {True, False} == set((status == 0).tolist())
    assert all(0 <= more < 15 for more in decades) and decades[0] > 0


@pytest.mark.parametrize("held", [0x0660, 0x8001, 0xFFFE, 0x0010])
def test_targets_are_found_among_the_patches_that_a_film_left(tmp_path: Path, tiny: scene.Scene, held: int) -> None:
    """In those that are there, and by the neighbours that both are there: what is unknown is no boundary."""
    from render.explorer import targets

    tile = Tile(2, 2, 2)
    plane = Plane(tiny.problem, tmp_path)
    columns, rows = (index.ravel() for index in np.meshgrid(np.arange(SAMPLES), np.arange(SAMPLES)))
    places = references.points(tiny.problem, tile, rows, columns)
    field = Engine(tiny.problem).run(places.x, places.y)
    stored = Field.from_channels({name: part.reshape(SAMPLES, SAMPLES) for name, part in field.channels().items()})
    plane.store.put(tile, stored, held)
    plane.look_up([tile])
    assert plane.patches == {tile: held} and not plane.stored
    shown, blue = patches.samples(held), stored.status == 0
    pairs = [
        (bool(blue[a] != blue[b]), a, b)
        for a in np.ndindex(SAMPLES, SAMPLES)
        for b in ((a[0], a[1] + 1), (a[0] + 1, a[1]))
        if max(b) < SAMPLES and shown[a] and shown[b]
    ]
    view = Viewport(Fraction(5, 8), Fraction(5, 8), 0.2, 64, 64)
    look = Look(view, (Fraction(5, 8),) * 2, 0.5, 2)
    if not any(differ for differ, *_ in pairs):
        with pytest.raises(RenderError, match="No boundary"):
            targets.find(plane, look, 1, 1)
        return
    (target,) = targets.find(plane, look, 1, 1)
    assert target.density == pytest.approx(sum(differ for differ, *_ in pairs) / len(pairs))
    first_x, first_y = tile.first_sample
    place = int(target.y * (SAMPLES << 2)) - first_y, int(target.x * (SAMPLES << 2)) - first_x
    assert shown[place] and blue[place]
    assert any(differ and place in (a, b) for differ, a, b in pairs)


def test_dropped_scenes_do_not_pile_up(tmp_path: Path, tiny: scene.Scene) -> None:
    planes = Planes(tmp_path, None)
    names = [planes.drop(replace(tiny, name=f"s{i}")) for i in range(20)]
    assert planes.load(names[-1]).name == "s19"
    with pytest.raises(RenderError):
        planes.load(names[0])
