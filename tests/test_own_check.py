"""`render new` writes a problem that trains as it stands, and `render check` finds what would spoil a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import scene
from render.cli import app
from render.errors import RenderError
from render.scene import own_files
from render.storage import trust
from render.storage.trust import Untrusted
from render.tools import own_check, own_new
from render.tools.doctor import Finding
from tests.helpers.own import NET, SCENE


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and a user who trusts nothing yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(text: str) -> dict[str, Finding]:
    Path("net.py").write_text(text)
    own_files.trusted("net.py")
    return {finding.what: finding for finding in own_check.examine(own_check.problem_of(Path("net.py")))}


def test_what_new_writes_is_checked_and_trained_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    app(["new", "my_net.py"], exit_on_error=False)
    assert capsys.readouterr().out.split() == ["my_net.py", "my_net.toml"]
    loaded = scene.load("my_net.toml")
    assert loaded.name == "my_net" and loaded.text.startswith("#:schema ")
    assert "NAME" not in Path("my_net.py").read_text() + Path("my_net.toml").read_text()
    by_name = {one.what: one for one in own_check.examine(own_check.problem_of(Path("my_net.py")))}
    assert [one for one in by_name.values() if one.state != "ok"] == []
    assert by_name["outcomes"].found.startswith("of 64 runs all over the plane: ")
    assert scene.load("my_net.toml").problem.describe()["system"] == own_files.read(Path("my_net.py")).name


@pytest.mark.parametrize("name", ["my_net", "my-net.py", "my net.py", "3.py", "net.txt"])
def test_new_asks_for_a_name_that_python_can_import(name: str) -> None:
    with pytest.raises(RenderError, match="must be named by letters, digits and _"):
        own_new.write(Path(name))


def test_new_replaces_nothing() -> None:
    Path("my_net.toml").write_text("mine")
    with pytest.raises(RenderError, match="my_net.toml is there already"):
        own_new.write(Path("my_net.py"))
    assert Path("my_net.toml").read_text() == "mine"
    assert not Path("my_net.py").exists()


def test_check_runs_nothing_that_is_not_trusted() -> None:
    Path("net.py").write_text(NET + '\nopen("ran", "w").close()\n')
    Path("net.toml").write_text(SCENE)
    for given in ("net.py", "net.toml"):
        with pytest.raises(Untrusted):
            app(["check", given], exit_on_error=False)
    assert not Path("ran").exists()


def test_check_refuses_what_is_no_users_file() -> None:
    with pytest.raises(RenderError, match="tiny trains mlp, which comes with render"):
        app(["check", "tiny"], exit_on_error=False)


def test_a_sound_file_is_found_sound(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.py").write_text(NET)
    Path("net.toml").write_text(SCENE)
    app(["check", "net.toml", "--trust", "net.py"], exit_on_error=False)
    printed = capsys.readouterr().out
    for what in ("file", "plane", "float64", "lanes", "again", "outcomes", "memory", "speed", "deep"):
        assert f"  {what} " in printed
    assert "BAD" not in printed


def test_lanes_that_look_at_each_other_are_found() -> None:
    renamed = NET.replace("def loss(", "def first_loss(").replace("def init(", "def first_init(")
    stepped = renamed.replace("def update(", "def first_update(") + (
        "\n\ndef start(hyper):\n    return {'w': hyper['lr'] * 0.0}\n"
        "\n\ndef step(state, hyper, t):\n"
        "    pull = state['w'] - hyper['lr'] + 1e-3 * state['w'].mean()\n"
        "    return {'w': state['w'] - 0.1 * pull}, pull * pull\n"
    )
    by_name = findings(stepped)
    assert by_name["lanes"].state == "bad"
    assert findings(stepped.replace("state['w'].mean()", "state['w']"))["lanes"].state == "ok"


def test_what_another_process_trains_otherwise_is_found() -> None:
    """Python's hash of a text differs from process to process, and not within one; so does the order of a set."""
    text = NET.replace("    return x, np.sin", "    x = x * (hash('a text') % 10**9)\n    return x, np.sin")
    assert findings(text)["again"].state == "bad"


def test_a_file_that_cannot_train_is_reported_with_its_line() -> None:
    by_name = findings(NET.replace("jnp.tanh(x @", "jnp.tanh(x.astype(jnp.float32) @"))
    assert list(by_name) == ["file", "plane", "training"]
    assert by_name["training"].state == "bad"
    assert "net.py: line 27: computes in float32" in by_name["training"].found


def test_operations_that_cannot_go_past_float64_are_named_with_their_line() -> None:
    by_name = findings(NET.replace("jnp.tanh(x", "jax.lax.erf(x"))
    assert by_name["deep"].state == "note"
    assert "erf (net.py: line 27)" in by_name["deep"].found
    # What all lanes share needs no rule.
    shared = findings(NET.replace("jnp.tanh(x", "jnp.tanh(jax.lax.erf(x)"))
    assert shared["deep"].state == "ok"


def test_a_plane_of_one_colour_is_noticed() -> None:
    by_name = findings(NET.replace('"range": ["1e-3", "100"]', '"range": ["1e-5", "1e-4"]'))
    assert by_name["outcomes"].state == "note"
    assert by_name["outcomes"].found.startswith("all of 64 runs over the plane converge")


def test_data_that_is_not_a_number_is_found_at_the_first_loss() -> None:
    by_name = findings(NET.replace("jnp.tanh(x @", "jnp.tanh(jnp.nan * x @"))
    assert by_name["outcomes"].state == "bad"
    assert by_name["outcomes"].found == "the first loss of every run is not finite"


def test_an_error_of_jax_in_several_lines_is_printed_in_full() -> None:
    """A loop whose carry changes its type: the second line says which."""
    loop = (
        "jax.lax.scan(lambda h, _: (h.astype(jnp.float32), None), jnp.zeros(3), None, length=2)[0].sum() + jnp.tanh(x @"
    )
    by_name = findings(NET.replace("jnp.tanh(x @", loop))
    assert by_name["training"].state == "bad"
    assert "carry" in by_name["training"].found and "float32" in by_name["training"].found


def test_a_file_without_ranges_gets_a_plane_about_its_defaults() -> None:
    Path("net.py").write_text(NET.replace(', "range": ["1e-3", "100"]', "").replace(', "range": [0, 1]', ""))
    problem = own_check.problem_of(Path("net.py"))
    assert float(problem.x.lo) == pytest.approx(-3) and float(problem.x.hi) == pytest.approx(1)
    assert [problem.y.lo, problem.y.hi] == [-1, 1]
