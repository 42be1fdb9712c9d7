"""Scenes from several sources: files over files, settings over files, shapes, outputs that stand for their scene."""

import re
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from render import encode, scene
from render.errors import SceneError
from render.scene import QUALITY, SHAPES, Scene, with_quality, with_shape
from render.scene.layers import EITHER, keys_of, path_of
from render.scene.tables import AxisTable, CameraTable, KeyframeTable

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "scenes").glob("*.toml"))


def bare(of: Scene) -> Scene:
    return replace(of, text="", name="", record=None)


def set_(*settings: str) -> Scene:
    return scene.load("tiny", settings=settings)


def refused(*settings: str) -> list[str]:
    with pytest.raises(SceneError) as caught:
        set_(*settings)
    return list(caught.value.faults)


# ---- the whole scene as text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [None, "preview", "uhd"])
def test_a_resolved_scene_parses_to_the_same_scene_and_resolves_to_itself(quality: str | None) -> None:
    wrong = []
    for name in NAMES:
        loaded = scene.load(name)
        loaded = loaded if quality is None else with_quality(loaded, quality)
        text = scene.resolved(loaded)
        again = scene.parse(text, "resolved", name)
        if bare(again) != bare(loaded) or scene.resolved(again) != text:
            wrong.append(name)
    assert len(NAMES) > 20 and wrong == []


def test_a_resolved_scene_names_every_field_that_has_a_default() -> None:
    text = scene.resolved(scene.load("mean_lr"))
    for line in ('easing = "smooth"', "hold_s = 0", "gap = 0.25", "rest_detail = 1", 'codec = "h264"', "seed = 0"):
        assert line in text.splitlines()
    assert 'centre_log10 = ["-0.707606951648894", "1.591348039935772"]' in text


# ---- settings -------------------------------------------------------------------------------------------------------


def test_a_setting_changes_its_field_and_nothing_else() -> None:
    plain = scene.load("tiny")
    assert set_("look.palette=viridis").look == replace(plain.look, palette="viridis")
    assert set_('look.palette="viridis"').look == replace(plain.look, palette="viridis")
    assert set_("output.size=[32, 64]", "output.fps = 5").output == replace(
        plain.output, width_px=32, height_px=64, fps=Fraction(5)
    )
    assert set_("camera.keyframes[-1].hold_s=3").keyframes[-1].hold_s == 3
    assert bare(replace(set_("output.overlay=true"), output=plain.output)) == bare(plain)


def test_the_last_of_two_settings_wins() -> None:
    assert set_("output.fps=5", "output.fps=7").output.fps == 7


def test_a_setting_replaces_the_field_that_says_the_same_in_another_way() -> None:
    slow, fast = set_("camera.decades_per_s=0.1"), set_("camera.decades_per_s=10")
    assert fast.keyframes[-1].time_s < slow.keyframes[-1].time_s
    moved = set_('camera.keyframes[1].centre_log10=["1", "1"]')
    assert moved.keyframes[1].view.x == moved.keyframes[1].view.y


def test_every_pair_of_ways_is_of_one_table() -> None:
    for ways in EITHER:
        assert any(set(ways) <= set(table.model_fields) for table in (AxisTable, CameraTable, KeyframeTable))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("camera.speed=2", 'camera has no field "speed"; its fields are'),
        ("look.palete=x", 'look has no field "palete"; did you mean "palette"?'),
        ("loook.palette=viridis", 'the scene has no field "loook"; did you mean "look"?'),
        ("camera.keyframes[2].hold_s=1", "camera.keyframes has 2 entries, [0] to [1], and no [2]."),
        ("camera.keyframes[1].hold_s=-1", "camera.keyframes[1].hold_s must be >= 0, not -1."),
        ("camera[0]=1", "camera is not a list, and has no entry [0]."),
        ("output.fps.x=1", 'output.fps is not a table, and has no field "x".'),
        ("output=3", "output must be a table, not 3."),
        ("problem.steps=many", 'problem.steps must be a whole number, not "many".'),
        ("output.size=[10, 36]", "output.size[0] must be >= 16, not 10."),
        ("camera.octaves_per_s=1e-6", "camera: the film must last at most 3600 s"),
        ("steps", "a setting must be FIELD=VALUE"),
        ("=3", "a setting must be FIELD=VALUE"),
        ("a..b=3", "a setting must be FIELD=VALUE"),
        ("look.palette=" + "x" * 10_000, "a setting must have at most 10000 characters, not 10013."),
        ("output.fps=60\noutput.overlay=true", "output.fps must be a number"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_own_words(setting: str, says: str) -> None:
    (fault,) = refused("output.fps=12", setting)
    assert fault.startswith(f"--set {setting[:20]}".split("\n")[0])
    assert says in fault


def test_faults_of_file_and_settings_are_reported_at_once_each_with_its_own_source(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[look]\ngap = 2\n[camera]\nspeed = 3\n")
    with pytest.raises(SceneError) as caught:
        scene.load("tiny", mine, settings=["output.fps=0"])
    faults = sorted(caught.value.faults)
    assert len(faults) == 3
    assert faults[0].startswith("--set output.fps=0: output.fps must be > 0")
    assert all(re.match(rf"{re.escape(str(mine))}, line \d+: ", fault) for fault in faults[1:])


def test_keys_and_paths_are_inverse() -> None:
    for path in ("look.palette", "camera.keyframes[1].centre[0]", "a"):
        assert path_of(keys_of(path)) == path


# ---- files over files -----------------------------------------------------------------------------------------------


def test_of_several_files_the_later_one_wins_field_by_field(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text('[look]\npalette = "viridis"\ngap = 0.1\n[output]\nfps = 5\n')
    two.write_text("[look]\ngap = 0.5\n")
    loaded = scene.load("tiny", one, two, settings=["output.fps=6"])
    assert [loaded.look.palette, loaded.look.gap, loaded.output.fps] == ["viridis", 0.5, 6]
    assert loaded.name == "tiny.one.two"
    assert loaded.problem == scene.load("tiny").problem
    assert bare(scene.parse(loaded.text, "", "")) == bare(loaded)


def test_lists_are_replaced_whole(tmp_path: Path) -> None:
    one = tmp_path / "one.toml"
    one.write_text('[[camera.keyframes]]\ncentre_log10 = ["1", "1"]\nwidth_decades = 1.0\n')
    assert len(scene.load("tiny", one).keyframes) == 1


def test_a_name_is_a_plain_file_name() -> None:
    assert scene.load("tiny", name="my film").name == "my film"
    for bad in ("", ".x", "a/b", "-x", "a\nb", ".."):
        with pytest.raises(SceneError, match="--name must be a plain file name"):
            scene.load("tiny", name=bad)


# ---- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("quality", ["hd", "uhd"])
def test_a_shape_keeps_the_shorter_side_whatever_the_quality(shape: str, quality: str) -> None:
    loaded = with_quality(with_shape(scene.load("mean_lr"), shape), quality)
    across, up = SHAPES[shape]
    assert min(loaded.output.width_px, loaded.output.height_px) == QUALITY[quality].side_px
    assert abs(loaded.output.width_px * up - loaded.output.height_px * across) <= 2 * max(across, up)
    assert loaded.name == f"mean_lr.{shape}"


def test_vertical_and_square_hd_and_4k_are_what_sites_ask_for() -> None:
    def size(shape: str, quality: str) -> tuple[int, int]:
        output = with_quality(scene.load("mean_lr", shape=shape), quality).output
        return output.width_px, output.height_px

    assert size("vertical", "hd") == (1080, 1920)
    assert size("square", "hd") == (1080, 1080)
    assert size("portrait", "hd") == (1080, 1350)
    assert size("wide", "uhd") == (3840, 2160)


def test_a_wrong_shape_is_refused_with_the_nearest() -> None:
    with pytest.raises(SceneError, match='shape must be one of .*, not "sqare"; did you mean "square"?'):
        scene.load("tiny", shape="sqare")


# ---- outputs that stand for their scene -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_picture_without_a_scene_is_refused(tmp_path: Path) -> None:
    import numpy as np

    encode.write_png(tmp_path / "plain.png", np.zeros((16, 16, 3), np.uint8), {})
    (tmp_path / "plain.json").write_text("[1, 2]")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    for name, says in (
        ("plain.png", "must carry the scene"),
        ("plain.json", "must carry the scene"),
        ("broken.json", "must carry the scene"),
        ("film.mp4", "must be a readable film"),
    ):
        with pytest.raises(SceneError, match=says):
            scene.load(tmp_path / name)


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a\\b"])
def test_a_record_cannot_lead_file_names_elsewhere(tmp_path: Path, name: str) -> None:
    import numpy as np

    fields = {"scene": scene.load("tiny").text, "name": "tiny", "quality": "scene", "numerics": "{}"}
    for bad in ({"name": name}, {"quality": name}):
        encode.write_png(tmp_path / "p.png", np.zeros((16, 16, 3), np.uint8), fields | bad)
        with pytest.raises(SceneError, match="must carry the scene"):
            scene.load(tmp_path / "p.png")


# ---- what outweighs a preset, and where each value came from ---------------------------------------------------------


@pytest.mark.parametrize("preset", QUALITY)
def test_a_setting_or_a_later_file_outweighs_a_preset(preset: str, tmp_path: Path) -> None:
    later = tmp_path / "later.toml"
    later.write_text("[output]\nfps = 12\n")
    for loaded in (scene.load("tiny", settings=["output.fps=12"]), scene.load("tiny", later)):
        assert with_quality(loaded, preset).output.fps == 12
        assert with_quality(loaded, preset).output.detail == QUALITY[preset].detail
    sized = with_quality(scene.load("tiny", settings=["output.size=[320, 320]"]), preset).output
    assert [sized.width_px, sized.height_px, sized.fps] == [320, 320, QUALITY[preset].fps]


def test_a_preset_outweighs_the_own_file_of_a_scene_and_a_preset_before_it() -> None:
    assert with_quality(with_quality(scene.load("tiny"), "hd"), "preview") == with_quality(
        scene.load("tiny"), "preview"
    )
    assert scene.load("tiny").output.fps != QUALITY["preview"].fps
    assert with_quality(scene.load("tiny"), "preview").output.fps == QUALITY["preview"].fps


def test_detail_given_alone_lifts_the_detail_at_rest_of_a_preset_and_contradictions_are_refused() -> None:
    output = with_quality(
        scene.load("tiny", settings=["output.detail=0.4", "output.rest_detail=0.5"]), "preview"
    ).output
    assert (output.detail, output.rest_detail) == (0.4, 0.5)
    resting = scene.load("mean_lr", settings=["output.detail=0.1", "output.rest_detail=0.2"])
    resting = replace(resting, origins={"output.rest_detail": resting.origins["output.rest_detail"]})
    with pytest.raises(SceneError, match='must be at least the detail 0.71 of quality "hd", not 0.2'):
        with_quality(resting, "hd")


def test_every_field_says_where_it_came_from(tmp_path: Path) -> None:
    later = tmp_path / "later.toml"
    later.write_text('[look]\npalette = "vik"\n')
    loaded = with_quality(
        scene.load("tiny", later, settings=["output.fps=12", "camera.keyframes[-1].hold_s=2"]), "preview"
    )
    text = scene.with_origins(loaded)
    assert tomllib.loads(text) == tomllib.loads(scene.resolved(loaded))
    lines = [line for line in text.splitlines() if "  # " in line]
    for expected in (
        "fps = 12  # --set output.fps=12",
        f'palette = "vik"  # {later}',
        "hold_s = 2  # --set camera.keyframes[-1].hold_s=2",
        "detail = 0.08  # quality preview",
        "shutter = 0  # default",
    ):
        assert expected in lines or any(line.startswith(expected[:40]) for line in lines), expected
    assert not any(line.startswith(("steps", "width", "overlay")) for line in lines)
    assert loaded.laid_over().keys() >= {"output.fps", "look.palette"}
