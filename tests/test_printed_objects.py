"""Python prints the objects of the public API as one readable line."""

from pathlib import Path

from render import api, scene


def test_objects_that_are_printed_are_one_readable_line(tmp_path: Path) -> None:
    loaded = scene.load("tiny")
    window = api.field(loaded, "last", samples=32, store=tmp_path)
    outlook = api.plan(loaded, store=tmp_path)
    rows, columns = window.field.value.shape
    words = {
        loaded: ("tiny", "mlp", "lr_input", "lr_output", "2 keyframes", "64 x 36 pixels"),
        window: (f"{columns} values", f"{rows} values", f"level: {window.level}", "converged", "channels: value, "),
        outlook: ("tiny", f"{outlook.job.frame_count} frames", f"{outlook.job.plan.samples:,} training runs", "about"),
    }
    for what, expected in words.items():
        printed = repr(what)
        assert "\n" not in printed and len(printed) < 200, printed
        assert printed.startswith(f"{type(what).__name__}(") and all(word in printed for word in expected), printed


def test_equal_scenes_are_equal_whatever_is_printed() -> None:
    one, other = scene.load("tiny"), scene.load("tiny", settings=["look.gap=0.1"])
    assert repr(one) == repr(scene.load("tiny")) and one == scene.load("tiny") and one != other
