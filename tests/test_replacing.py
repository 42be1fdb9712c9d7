"""No output is replaced in silence: names tell requests apart, and records tell what a name cannot."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray

from render import api, cli, scene
from render.errors import RenderError, SceneError
from render.film import deliver, qualities, rendering
from render.film.job import Job
from render.film.replacing import record_path
from render.scene import Scene, records, tag
from render.scene.variants import MOST_TAG_BYTES

SHIPPED = scene.names()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds every sample of the tiny film."""
    root = tmp_path_factory.mktemp("replacing")
    rendering.video(rendering.prepare(qualities.named(scene.load("tiny"), "scene"), root / "store"), root / "film.mp4")
    return root


def loaded(*settings: str, of: str | Path = "tiny", more: Sequence[Path] = (), shape: str | None = None) -> Scene:
    return scene.load(of, *more, settings=settings, shape=shape)


def job_of(loaded: Scene, root: Path, quality: str = "scene") -> Job:
    return rendering.prepare_stored(loaded, quality, root / "store")


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_the_film_of_a_scene_as_it_is_has_no_tag(name: str) -> None:
    assert tag(scene.load(name)) == ""
    if name != "transformer_published":  # an hour of planning is no part of this law
        assert all(tag(scene.with_quality(scene.load(name), quality)) == "" for quality in scene.QUALITY)


def test_the_same_change_has_the_same_name_whichever_option_says_it(tmp_path: Path) -> None:
    assert tag(loaded("look.palette=viridis")) == tag(loaded('look.palette="viridis"')) == "viridis"
    assert tag(loaded("look.palette=bids:viridis")) == "viridis"
    assert tag(loaded("look.palette=vik", "look.palette=viridis")) == "viridis"
    assert tag(loaded("output.bits=8", "look.gap=0.25", "output.fps=5", "look.palette=Spectral")) == ""
    assert tag(loaded('problem.x.range=["0.001", "1e6"]')) == ""  # the same plane
    assert tag(loaded("output.size=[64, 64]")) == "64x64"
    assert loaded(shape="square").name == "tiny.square"
    assert tag(loaded(shape="square")) == ""  # the name has it


def test_a_setting_that_only_repeats_what_a_preset_would_replace_is_a_change() -> None:
    sized = scene.with_quality(loaded("output.fps=5"), "preview")  # the scene's own rate, and not the preset's
    assert float(sized.output.fps) == 5
    assert tag(sized) == "fps-5"
    assert tag(scene.with_quality(loaded("output.fps=24"), "preview")) == ""


CHANGES = (
    "look.palette=viridis",
    'look.palette=["#1a0633", "#f7f7f7", "#00441b"]',
    'look.palette=["#1a0633", "#f7f7f7", "#00441c"]',
    "look.gap=0.1",
    "look.gap=0.01",
    "look.background=#000000",
    "look.equalise=film",
    "output.bits=16",
    "output.fps=12",
    "output.size=[320, 180]",
    "output.crf=20",
    "output.caption=a",
    "output.caption=b c",
    "output.detail=0.25",
    "output.frames=20",
    "camera.keyframes[0].hold_s=0.3",
    "camera.keyframes[1].hold_s=0.3",
    "camera.keyframes[1].width_decades=0.25",
    "camera.octaves_per_s=3",
    "problem.seed=1",
    "problem.width=5",
    'problem.y.range=["1e-3", "1e5"]',
)


def test_no_two_requests_have_one_name() -> None:
    tags = {}
    for count in (1, 2, 4):
        for changes in itertools.combinations(CHANGES, count):
            fields = [change.partition("=")[0] for change in changes]
            if len({*fields}) < count or (count == 4 and CHANGES[0] not in changes):
                continue
            try:
                scene_loaded = tag(loaded(*changes))
            except SceneError:
                continue
            assert scene_loaded and len(scene_loaded) <= MOST_TAG_BYTES
            assert all(c.isalnum() or c in "._-" for c in scene_loaded)
            tags[changes] = scene_loaded
            if len(tags) > 400:
                break
    assert len({*tags.values()}) == len(tags) > 200


def test_names_of_several_files_and_shapes_are_left_alone_by_shells_and_urls(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[look]\ngap = 0.1\n")
    scene_loaded = loaded("output.bits=16", more=[tmp_path / "mine.toml"], shape="vertical")
    assert scene_loaded.name == "tiny.mine.vertical"
    assert tag(scene_loaded) == "bits-16"  # what the second file says is in the name


def test_a_scene_that_is_whole_only_with_its_settings_has_a_name_for_them(tmp_path: Path) -> None:
    text = Path(scene.find("tiny")).read_text().replace("octaves_per_s = 1.2", "")
    (tmp_path / "part.toml").write_text(text)
    one, other = (loaded(f"camera.octaves_per_s={n}", of=tmp_path / "part.toml") for n in (2, 3))
    assert tag(one) != tag(other)
    assert "" not in (tag(one), tag(other))


def test_every_palette_has_a_name_of_its_own() -> None:
    import cmap

    from render.picture import palettes
    from render.scene.variants import _word

    known = [*palettes.PALETTES, *cmap.Catalog().unique_keys(prefer_short_names=False)]
    assert len({_word("look.palette", name) for name in known}) == len(known)


# ---- what an output says of itself ----------------------------------------------------------------------------------


def test_what_an_output_makes_again_has_the_output_s_own_name(root: Path, tmp_path: Path) -> None:
    changes = ("look.palette=viridis", "output.bits=16", "camera.keyframes[1].hold_s=0.3")
    job = job_of(loaded(*changes), root)
    (still,) = deliver.stills(job, [7], tmp_path / "out")
    film = deliver.whole_film(job, deliver.film_path(tmp_path / "out", job))
    before = {path: path.read_bytes() for path in (still, *film)}
    for source in (still, record_path(still), film[0], film[1]):
        again = scene.load(source)
        assert scene.changed_from(again) == scene.changed_from(job.scene)
        same = job_of(again, root)
        assert deliver.stills(same, [7], tmp_path / "out") == [still]
    assert deliver.whole_film(job_of(scene.load(film[1]), root), film[0]) == film
    assert {path: path.read_bytes() for path in before if path.suffix != ".csv"} == {
        path: content for path, content in before.items() if path.suffix != ".csv"
    }
    # Back to what the scene says itself: that is the scene's own film.
    back = loaded("look.palette=Spectral", "output.bits=8", "camera.keyframes[1].hold_s=0.5", of=film[1])
    assert scene.changed_from(back) == {}
    assert deliver.film_path(tmp_path, job_of(back, root)).name == "tiny-scene.mp4"


# ---- what is not replaced -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [CHANGES[0:1], CHANGES[1:2], CHANGES[3:4], CHANGES[7:8], CHANGES[15:16]])
@pytest.mark.parametrize("kind", ["film", "sequence", "part", "still", "sheet"])
def test_no_request_replaces_the_result_of_another(
    root: Path, tmp_path: Path, kind: str, changes: tuple[str, ...]
) -> None:
    def make(*settings: str) -> list[Path]:
        scene_loaded = loaded(*settings, *(["output.codec=png"] if kind == "sequence" else []))
        out, store = tmp_path / "out", root / "store"
        if kind == "still":
            return api.frame(scene_loaded, "3", quality="scene", out=out, store=store)
        if kind == "sheet":
            return [api.contact_sheet(scene_loaded, count=2, quality="scene", out=out, store=store)]
        if kind == "part":
            return list(api.convert(scene_loaded, "3..5", quality="scene", out=out, store=store).files)
        return list(api.recolour(scene_loaded, quality="scene", out=out, store=store).files)

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    first = make()
    before = contents()
    assert {*make(*changes)}.isdisjoint(first)
    after = contents()
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)


def edited(tmp_path: Path, gap: float) -> Path:
    """A scene file that a person edits between two renders."""
    text = Path(scene.find("tiny")).read_text().replace("[look]", f"[look]\ngap = {gap}")
    (tmp_path / "mine.toml").write_text(text)
    return tmp_path / "mine.toml"


@pytest.mark.parametrize("kind", ["film", "sequence", "still", "sheet"])
def test_the_result_of_an_edited_scene_replaces_the_older_one_only_if_a_person_says_so(
    root: Path, tmp_path: Path, kind: str
) -> None:
    def make(gap: float, *, force: bool = False) -> Path:
        settings = ["output.codec=png"] if kind == "sequence" else []
        job = job_of(scene.load(edited(tmp_path, gap), settings=settings), root)
        out = tmp_path / "out"
        if kind == "still":
            return deliver.stills(job, [3], out, force=force)[0]
        if kind == "sheet":
            return api.contact_sheet(job.scene, count=2, quality="scene", out=out, store=root / "store", force=force)
        return deliver.whole_film(job, deliver.film_path(out, job), force=force)[0]

    first = make(0.25)
    before = sorted((path, path.read_bytes()) for path in first.parent.rglob("*") if path.is_file())
    with pytest.raises(RenderError, match=r"was made of another scene: .* in look\.gap\. Give --force .* or --name"):
        make(0.5)
    assert sorted((path, path.read_bytes()) for path in first.parent.rglob("*") if path.is_file()) == before
    assert make(0.25) == first
    assert make(0.5, force=True) == first
    assert make(0.5) == first
    record = record_path(first)
    if record.is_file():  # a film that a person removed to save room is still kept as its record
        for page in [first] if first.is_file() else list(first.iterdir()):
            page.unlink()
        with pytest.raises(RenderError, match="was made of another scene"):
            make(0.25)


def test_what_only_versions_and_machines_change_is_the_same_request(root: Path, tmp_path: Path) -> None:
    job = job_of(loaded(), root)
    path = deliver.film_path(tmp_path, job)
    record = deliver.whole_film(job, path)[1]
    fields = json.loads(record.read_text())
    fields |= {"render": "0.0.1", "made_with": {}, "numerics": {"device": "another"}, "sha256": "0"}
    # Written by a version that knew fewer fields: what they were then is what they are by default.
    fields["scene"] = "".join(line for line in fields["scene"].splitlines(True) if "shutter" not in line)
    record.write_text(json.dumps(fields))
    path.unlink()
    assert deliver.whole_film(job, path)[0] == path


def test_what_was_made_of_a_scene_that_is_not_understood_is_not_replaced(root: Path, tmp_path: Path) -> None:
    job = job_of(loaded(), root)
    path = deliver.film_path(tmp_path, job)
    path.parent.mkdir()
    path.write_bytes(b"a film")
    fields = job.provenance() | {"scene": job.provenance()["scene"].replace("shutter =", "of_another_time =")}
    record_path(path).write_text(json.dumps(fields))
    with pytest.raises(RenderError, match=r"cannot be read any more, .*of_another_time.* Give --force to replace it"):
        deliver.whole_film(job, path)
    assert path.read_bytes() == b"a film"
    assert deliver.whole_film(job, path, force=True)[0] == path


@pytest.mark.parametrize("record", ["", "{", "[]", '{"name": "tiny"}'])
def test_a_user_s_own_file_is_not_replaced_and_a_record_alone_is_in_no_way(
    root: Path, tmp_path: Path, record: str
) -> None:
    job = job_of(loaded(), root)
    path = deliver.film_path(tmp_path, job)
    path.parent.mkdir()
    path.write_bytes(b"no film")
    if record:
        record_path(path).write_text(record)
    with pytest.raises(RenderError, match=r"does not say that render made it, .* Give --force to replace it"):
        deliver.whole_film(job, path)
    assert path.read_bytes() == b"no film"
    path.write_bytes(b"")  # as mktemp leaves it
    assert deliver.whole_film(job, path)[0] == path


def test_a_still_does_not_mind_how_a_film_would_be_compressed(root: Path, tmp_path: Path) -> None:
    (one,) = deliver.stills(job_of(loaded(), root), [3], tmp_path)
    (other,) = deliver.stills(job_of(loaded("output.codec=hevc", "output.crf=30"), root), [3], tmp_path)
    assert one == other


def test_sheets_of_other_frames_or_layouts_have_other_names(root: Path, tmp_path: Path) -> None:
    def make(*frames: str, **layout: int) -> str:
        path = api.contact_sheet(
            loaded(),
            *frames,
            quality="scene",
            out=tmp_path,
            store=root / "store",
            **layout,  # type: ignore[arg-type]
        )
        return path.name

    names = [make(), make(count=3), make("3", "5"), make(columns=3), make(width_px=32), make("3", "5", columns=1)]
    assert names[0] == "tiny-scene.sheet.png"
    assert len({*names}) == len(names)


def test_the_refusal_comes_before_anything_is_trained(root: Path, tmp_path: Path) -> None:
    deliver.whole_film(job_of(scene.load(edited(tmp_path, 0.25)), root), tmp_path / "out/mine/mine-scene.mp4")
    text = edited(tmp_path, 0.25).read_text().replace("seed = 0", "seed = 7")
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RenderError, match=r"in problem\.seed\."):
        api.video(scene.load(tmp_path / "mine.toml"), quality="scene", out=tmp_path / "out", store=tmp_path / "store")
    assert list((tmp_path / "store").rglob("*.npz")) == []


def test_an_analysis_replaces_only_its_own_result(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*words: str) -> None:
        places = ["--store", str(root / "store"), "--out", str(tmp_path / "out")]
        asked = ["analyse", "dimension", str(tmp_path / "mine.toml"), *words, *places]
        cli.app(asked, exit_on_error=False, print_error=False)

    def results() -> dict[str, str]:
        return {path.name: path.read_text() for path in (tmp_path / "out/mine").glob("*.json")}

    edited(tmp_path, 0.25)
    variants: list[list[str]] = [
        ["--deepest", "1"],
        ["--deepest", "2"],
        ["--deepest", "1", "--set", "problem.steps=21"],
    ]
    for count, words in enumerate(variants, 1):
        before = results() if count > 1 else {}
        measure(*words)
        assert len(results()) == count and before.items() <= results().items()
    edited(tmp_path, 0.5)  # colours change nothing of what is measured
    measure("--deepest", "1")
    scene_file = tmp_path / "mine.toml"
    scene_file.write_text(scene_file.read_text().replace("seed = 0", "seed = 7"))
    with pytest.raises(
        RenderError, match=r"mine-dimension-deepest1\.json was made of another scene: .* in problem\.seed\."
    ):
        measure("--deepest", "1")
    measure("--deepest", "1", "--force")
    assert "seed = 7" in results()["mine-dimension-deepest1.json"]


# ---- exports and prints ---------------------------------------------------------------------------------------------

EXPORTS = ("a.npz", "a.zarr", "a.tif", "a.tiff", "a.exr")
PRINTS = ("p.tif", "p.btf")
PAPER: dict[str, Any] = {"cm": (4.0, 3.0), "dpi": 40.0, "detail": 0.25}


def written(root: Path, path: Path, *settings: str, **asked: Any) -> Path:
    """Write an export or a print, as the path's name says."""
    if path.name in EXPORTS:
        return api.export(loaded(*settings), path, **dict[str, Any](samples=16, store=root / "store") | asked)
    return api.poster(loaded(*settings), path, **PAPER | {"store": root / "store"} | asked)


def contents_of(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {file.name + str(file.parent): file.read_bytes() for file in files}


@pytest.mark.parametrize("name", [*EXPORTS, *PRINTS])
def test_an_export_or_a_print_is_replaced_by_the_same_request_alone(root: Path, tmp_path: Path, name: str) -> None:
    path = written(root, tmp_path / name)
    before = contents_of(path)
    assert written(root, path) == path
    others: list[tuple[tuple[str, ...], dict[str, Any]]] = [(("problem.seed=1",), {}), ((), {"at": "3"})]
    if name in EXPORTS:
        others += [((), {"samples": 64}), ((), {"window": ("1", "20", "1", "20")})]
    else:
        others += [(("look.palette=viridis",), {}), ((), {"bits": 16}), ((), {"bleed_mm": 3.0}), ((), {"dpi": 60.0})]
    for settings, asked in others:
        with pytest.raises(RenderError, match="another --out"):
            written(root, path, *settings, **asked, store=tmp_path / "none")
    assert contents_of(path) == before
    assert not (tmp_path / "none").exists(), "what cannot be kept must not be trained"
    written(root, path, *others[-1][0], **others[-1][1], force=True)
    assert contents_of(path) != before


@pytest.mark.parametrize("name", [*EXPORTS, *PRINTS])
def test_a_user_s_own_data_is_not_replaced_by_an_export_or_a_print(root: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.zarr":
        xarray.Dataset({"years": ("n", np.arange(3))}).to_zarr(path, zarr_format=3, consolidated=False)
    elif name == "a.npz":
        np.savez(path, years=np.arange(3))
    elif name == "a.exr":
        path.write_bytes(b"no OpenEXR")
    else:
        tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    before = contents_of(path)
    with pytest.raises(RenderError, match="does not say that render made it"):
        written(root, path, store=tmp_path / "none")
    assert contents_of(path) == before
    if path.is_file():
        path.write_bytes(b"")  # as mktemp leaves it
        written(root, path)


@pytest.mark.parametrize("name", [*EXPORTS, *PRINTS])
def test_an_export_or_a_print_carries_its_scene(root: Path, tmp_path: Path, name: str) -> None:
    path = written(root, tmp_path / name, "look.palette=viridis")
    text, called, fields = records.read_with_fields(path)
    scene_loaded = scene.parse(text, str(path), called, folder=tmp_path)
    assert scene.between(scene_loaded, loaded("look.palette=viridis")) == {}
    assert called == "tiny"
    assert json.loads(fields["numerics"])
    assert json.loads(fields["changed_from"]) == {"look.palette": "Spectral"}


def test_prints_that_differ_have_names_that_differ(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    requests: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"at": "3"}),
        ((), {"dpi": 50.0}),
        ((), {"bits": 16}),
        ((), {"bleed_mm": 2.0}),
        ((), {"cm": (4.0, 3.5)}),
        ((), {"detail": 0.5}),
        (("look.palette=viridis",), {}),
    ]
    paths = [api.poster(loaded(*settings), **PAPER | {"store": root / "store"} | asked) for settings, asked in requests]
    assert len({*paths}) == len(paths)
    assert paths[0] == Path("out/tiny/tiny-4x3cm-dpi-40-detail-0.25.tif")


@pytest.mark.parametrize("name", ["g.npz", "G.NPZ", "g.zarr", "g.exr", "file"])
def test_the_frames_of_a_film_are_a_folder(root: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RenderError, match=r"a folder of frames|must be a folder, and .* is a name for"):
        api.export_frames(loaded(), tmp_path / name, quality="scene", store=tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
