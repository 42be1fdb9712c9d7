"""The command line as a person meets it: whole messages and exit codes, of a process or of what a process runs."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from render import cli, scene
from render.cli import messages, terminal
from render.film import rendering
from render.film.pace import Pace
from render.film.plan import Plan
from tests import test_sound
from tests.helpers import ROOT, oracle, published
from tests.helpers.command import refused, run, run_here

TINY = (ROOT / "scenes/tiny.toml").read_text()
COMMANDS = ["video", "preview", "frame", "sheet", "recolour", "encode", "plan", "show", "probe", "doctor", "clean"]
COMMANDS += ["explore", "export", "publish", "poster"]
COMMANDS += ["store ls", "store verify", "store prune", "store merge"]


@pytest.fixture
def scene_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for tests that need samples of `tiny`, and not a store without them."""
    return tmp_path_factory.mktemp("cli") / "store"


# ---- what works -----------------------------------------------------------------------------------------------------


def test_a_film_its_frames_and_its_plan_from_one_store(tmp_path: Path) -> None:
    places = ["--store", tmp_path / "store", "--out", tmp_path / "out"]
    done = run("video", "tiny", "--quality", "scene", *places)
    assert done.returncode == 0, done.stderr
    film = tmp_path / "out/tiny/tiny-scene.mp4"
    beside = [".mp4", ".mp4.json", ".frames.csv", ".poster.png", ".thumb.jpg", ".path.csv"]
    assert done.stdout.splitlines() == [str(film.with_name(f"tiny-scene{end}")) for end in beside]
    assert all(Path(line).stat().st_size > 0 for line in done.stdout.splitlines())
    assert film.stat().st_size > 1000
    assert "19,200 training runs to do" in done.stderr
    again = run_here("video", "tiny", "--quality", "scene", *places)
    assert ", 0 training runs to do: every sample is in" in again.stderr
    frames = run_here("frame", "tiny", "0", "50%,last", "--quality", "scene", *places)
    assert frames.returncode == 0, frames.stderr
    names = [Path(line).name for line in frames.stdout.splitlines()]
    assert names == ["tiny-scene-00000.png", "tiny-scene-00014.png", "tiny-scene-00029.png"]
    plan = run_here("plan", "tiny", "--quality", "scene", "--store", tmp_path / "store")
    assert plan.returncode == 0, plan.stderr
    assert "0 of them to do" in plan.stdout
    for word in ("levels", "tiles", "samples", "time", "disk"):
        assert word in plan.stdout


def test_planning_an_empty_store_leaves_it_without_tiles(tmp_path: Path) -> None:
    done = run_here("plan", "tiny", "--quality", "scene", "--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "19,200 training runs of 20 steps, 19,200 of them to do" in done.stdout
    assert list((tmp_path / "store").rglob("*.npz")) == []


def test_probe_says_what_happened_at_any_point(tmp_path: Path) -> None:
    x, y = 10.0 ** np.random.default_rng(3).uniform(-3, 4, (2, 2500))  # more than one batch, on both devices
    points = tmp_path / "points.csv"
    with open(points, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["note", " x ", "y"])
        table.writerows(("p", repr(float(a)), repr(float(b))) for a, b in zip(x, y, strict=True))
    done = run_here("probe", "tiny", "--points", points, "--out", tmp_path / "values.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "values.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["x", "y", "value", "status", "final_loss", "escape_step"]
    assert [float(row["x"]) for row in rows] == list(x)
    problem = scene.load("tiny").problem
    draws = published.draws(width=4, examples=8, steps=20)
    expected = oracle.run(
        *draws, activation="tanh", steps=20, names=(problem.x.name, problem.y.name), x=x, y=y
    ).converged
    agree = [(row["status"] == "converged") == bool(c) for row, c in zip(rows, expected, strict=True)]
    assert np.mean(agree) > 0.999
    assert {row["status"] for row in rows} == {"converged", "diverged", "escaped"}
    assert all((float(row["value"]) < 0) == (row["status"] == "converged") for row in rows)


def test_every_command_has_help_with_an_example() -> None:
    assert "render video" in run_here("--help").stdout
    for command in COMMANDS:
        done = run_here(*command.split(), "-h")
        assert done.returncode == 0
        assert f"render {command}" in done.stdout.partition("Try:")[2]
    assert all(name in run_here("video", "-h").stdout for name in scene.QUALITY)


def test_help_and_scene_checks_do_not_load_jax() -> None:
    code = "import sys, render.cli, render.scene; render.scene.load('tiny'); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_a_missing_scene_names_those_that_exist() -> None:
    message = refused("video", "mean_rl.toml")
    assert 'no scene "mean_rl.toml"' in message
    assert "mean_lr" in message


def test_every_fault_of_a_scene_is_reported_at_once(scene_file: Path) -> None:
    text = (
        TINY.replace("steps = 20", 'steps = "many"').replace("gap", "gpa").replace("size = [64, 36]", "size = [64, 35]")
    )
    scene_file.write_text(text.replace('palette = "Spectral"', 'palette = "Spektral"'))
    lines = refused("plan", scene_file).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"render: {scene_file}") and ", line " in line for line in lines), lines


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("0.140625", "nan", "width_decades"),
        ("0.140625", "-1e-9", "width_decades must be > 0"),
        ('["353", "0.2314"]', '["inf", "1"]', "centre"),
        ('["353", "0.2314"]', '["1e9", "1"]', "centre"),
        ("0.140625", "1e-130", "width_decades must be at least"),
        ("size = [64, 36]", "size = [64, 35]", "size"),
        ('name = "lr_input"', 'name = "lr_inptu"', "name"),
        ("fps = 5", 'fps = "fast"', "fps"),
    ],
)
def test_a_bad_scene_is_refused_with_its_file_and_place(scene_file: Path, old: str, new: str, says: str) -> None:
    assert old in TINY
    scene_file.write_text(TINY.replace(old, new))
    message = refused("video", scene_file, "--quality", "scene", "--store", scene_file.parent / "s")
    assert "mine" in message
    assert says in message
    assert not list(scene_file.parent.rglob("*.npz"))


def test_json_is_one_object_a_line_on_both_streams(tmp_path: Path) -> None:
    places = ["--store", tmp_path / "store", "--out", tmp_path / "out"]
    done = run_here("frame", "tiny", "0", "--quality", "scene", "--json", *places)
    assert done.returncode == 0, done.stderr
    (wrote,) = map(json.loads, done.stdout.splitlines())
    assert wrote["event"] == "wrote" and Path(wrote["path"]).exists()
    plan = run_here("plan", "tiny", "--quality", "scene", "--json", "--store", tmp_path / "store")
    (facts,) = map(json.loads, plan.stdout.splitlines())
    assert (facts["event"], facts["samples"], facts["frames"]) == ("plan", 19_200, 30)
    assert facts["total_s"] >= facts["training_s"] > 0
    table = run_here("plan", "tiny", "--quality", "scene", "--store", tmp_path / "store").stdout.splitlines()
    titles = [line.split()[0] for line in table if line[:1] != " "]
    assert titles == ["film", "zoom", "quality", "levels", "tiles", "samples", "time", "disk", "room", "problem"]
    assert table[0].startswith("film     30 frames, 64 x 36")
    wrong = run("video", "tiny", "--set", "output.fps=0", "--json")
    assert wrong.returncode == 2
    (error,) = map(json.loads, wrong.stderr.splitlines())
    assert error["event"] == "error" and error["faults"][0].startswith("--set output.fps=0: output.fps must be > 0")


def test_doctor_finds_this_machine_sound_and_a_broken_one_not(tmp_path: Path) -> None:
    places = ["--store", tmp_path / "store", "--out", tmp_path / "out"]
    sound = run("doctor", *places)
    assert sound.returncode == 0, sound.stdout
    words = [
        "python",
        "cache",
        "scratch",
        "ffmpeg",
        "film",
        "font",
        "store",
        "output",
        "settings",
        "devices",
        "kernel",
        "float64",
    ]
    assert [line.split()[1] for line in sound.stdout.splitlines() if line[:1] != " "] == words
    assert not (tmp_path / "store").exists()
    broken = run("doctor", *places, "--json", IMAGEIO_FFMPEG_EXE=str(tmp_path / "none"))
    assert broken.returncode == 1
    findings = {f["what"]: f for f in map(json.loads, broken.stdout.splitlines())}
    assert findings["ffmpeg"]["state"] == "bad" and "Install imageio-ffmpeg again" in findings["ffmpeg"]["found"]
    assert findings["float64"]["state"] == "ok"


def test_a_wrong_option_is_one_line() -> None:
    assert "quality" in refused("video", "tiny", "--quality", "ultra")
    assert "budget" in refused("video", "tiny", "--budget", "-1")
    refused("video", "tiny", "--nonsense")
    refused("explode")
    assert "frame" in refused("frame", "tiny", "1000000", "--quality", "scene", "--store", "/tmp/none-needed")


def test_a_scene_that_is_a_path_trick_is_refused(tmp_path: Path) -> None:
    for name in ("../../../etc/passwd", "/etc/hostname", str(tmp_path), "", "/dev/zero", "scenes/scene.schema.json"):
        message = refused("plan", name)
        assert "scene" in message or "file" in message


def test_an_output_that_cannot_be_written_costs_no_training(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    store = tmp_path / "store"
    message = refused("video", "tiny", "--quality", "scene", "--out", blocked, "--store", store)
    assert str(blocked) in message
    assert not list(store.rglob("*.npz"))
    assert str(blocked) in refused("plan", "tiny", "--store", blocked)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "columns x and y"),
        ("x,y\n", "at least one point"),
        ("x,y\n1,2\n3,nan\n", "line 3: y must be a finite number"),
        ("x,y\n1\n", "line 2: y must be a finite number"),
        ("x,y\nfoo,1\n", "line 2: x must be a finite number"),
    ],
)
def test_a_bad_table_of_points_is_refused(tmp_path: Path, text: str, says: str) -> None:
    points = tmp_path / "points.csv"
    points.write_text(text)
    assert says in refused("probe", "tiny", "--points", points, "--out", tmp_path / "v.csv")
    assert not (tmp_path / "v.csv").exists()
    assert "cannot be read" in refused("probe", "tiny", "--points", tmp_path / "no.csv", "--out", tmp_path / "v.csv")


def test_a_mistake_ends_a_process_with_one_line_and_debug_shows_the_traceback() -> None:
    done = run("video", "nope")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith('render: There is no scene "nope"')
    done = run("video", "nope", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


DOCS = sorted(path.relative_to(ROOT) for path in (ROOT / "assets" / "docs").glob("*.md"))


# ---- the README -----------------------------------------------------------------------------------------------------


def commands_of(page: str) -> list[str]:
    """Every `render` and `make` command of a page's code blocks."""
    lines = (ROOT / page).read_text().splitlines()
    commands = (line.split("  #")[0].strip() for line in lines if line.startswith("    "))
    return [line for line in commands if line.startswith(("render ", "make "))]


def readme_commands() -> list[str]:
    """Those of the README."""
    return commands_of("README.md")


def test_messages_are_printed_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("out/[bold]/x[/y] :smile:.mp4")
    messages.wrote(path)
    messages.note(f"no {path}")
    messages.show_table([("size", str(path))])
    with messages.working(f"reading {path}") as tell:
        tell(f"{path}")
    printed = capsys.readouterr()
    assert printed.out == f"{path}\nsize  {path}\n"
    assert printed.err == f"no {path}\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "none"),
        (0.2, "1 s"),
        (89, "89 s"),
        (94, "1 min 30 s"),
        (119, "2 min"),
        (594, "9 min 50 s"),
        (3000, "50 min"),
        (7500, "2 h 05 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    assert terminal.duration(seconds) == words


def test_a_slow_batch_is_no_new_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute without a result: the rate falls, and what is left is still told."""
    done = {0: 0, 10: 1000, 20: 2000, **dict.fromkeys(range(21, 51), 2000), 51: 3000, 61: 4000}
    clock = iter(done)
    monkeypatch.setattr("render.film.pace.time.monotonic", lambda: float(next(clock)))
    pace = Pace()

    def words_at(count: int) -> str:
        pace.add(now := rendering.Progress(0, 10, count, 10_000))
        return terminal._words(now, pace)

    notes = [words_at(count) for count in list(done.values())[1:]]
    rates = [int(re.search(r"(\d+) a second, \d+ [\w ]+ left", words)[1]) for words in notes]  # type: ignore[index]
    assert rates[:2] == [100, 100]
    assert rates[31] == pytest.approx(1000 / 40, abs=1)  # the last that was done, at 20, and the waiting since
    assert rates[-1] == pytest.approx(2000 / 21, abs=5)


def test_the_commands_of_the_production_page_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the tiny scene, so that what one makes is there for the next. In one process, and films of mean_lr as small as
    the tiny scene says, to be quick."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").symlink_to(ROOT / "scenes")
    (tmp_path / "mine.toml").write_text('[look]\npalette = "viridis"\n')
    test_sound.tone(tmp_path / "music.wav", 1.0)
    commands = commands_of("assets/docs/production.md")
    assert len(commands) > 15
    for command in commands:
        words = [word.replace("mean_lr", "tiny") for word in shlex.split(command)[1:]]
        if "tiny.toml" not in command:
            words = ["scene" if word == "preview" else word for word in words]
        if "--each" in words:  # here they are scenes; above, what is laid over one
            (tmp_path / "mine.toml").write_text(TINY)
            (tmp_path / "yours.toml").write_text(TINY)
        if words[:2] == ["store", "merge"]:
            shutil.copytree(tmp_path / "store", tmp_path / words[2])
        cli.app(words, exit_on_error=False, print_error=False)
        printed = capsys.readouterr().out.splitlines()
        if words[0] in ("video", "frame", "sheet", "recolour", "encode"):
            assert printed and all(Path(line).exists() for line in printed), command


@pytest.mark.parametrize("command", sorted(set(readme_commands())))
def test_every_command_of_the_readme_runs(command: str, tmp_path: Path, shared_store: Path) -> None:
    """On the tiny scene, which stands in for the named one; make targets are run to see what they would call.

    In a checkout, what it leaves is nothing that git would report: films, samples and tables are ignored.
    """
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    arguments = ["tiny" if word.endswith(".toml") and "/" not in word else word for word in words[1:]]
    arguments = [
        "scene" if before == "--quality" else word for before, word in zip(["", *arguments], arguments, strict=False)
    ]
    (tmp_path / "points.csv").write_text("x,y\n1,2\n")
    if words[1] in ("recolour", "encode", "store"):  # of what is there already
        preview = run_here("preview", "tiny", "--store", shared_store, "--out", tmp_path / "out")
        assert preview.returncode == 0, preview.stderr
    if arguments[0] not in ("show", "probe", "systems"):
        arguments += ["--store", str(shared_store)]
    done = run_here(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    left = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert left.stdout.splitlines() == ["?? .gitignore"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and editors make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = [re.sub(r"[`*]", "", heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    # Of equal ones the later have a number.
    return {f"{name}-{n}" if (n := plain[:i].count(name)) else name for i, name in enumerate(plain)}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *map(str, DOCS)])
def test_what_a_page_links_to_exists(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text())
    lost = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not link.startswith("http") and (not target.exists() or (anchor and anchor not in anchors(target))):
            lost.append(link)
    assert lost == []


def test_the_readme_links_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [str(page) for page in DOCS if f"]({page})" not in readme] == []


@pytest.mark.parametrize("quality", ["preview", "soft", "draft", "fine", "hd"])
def test_the_training_runs_of_the_page_on_scenes_are_the_plans(quality: str) -> None:
    """To the two digits that the table shows."""
    (row,) = [
        line
        for line in (ROOT / "assets/docs/scenes.md").read_text().splitlines()
        if re.match(rf"\| `{quality}`.*million", line)
    ]
    stated = float(row.split("|")[-2].split()[0])
    assert Plan(scene.with_quality(scene.load("mean_lr"), quality)).samples / 1e6 == pytest.approx(stated, rel=0.03)
