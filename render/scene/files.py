"""Scenes in files: found by name or by path, and read with care."""

from __future__ import annotations

import re
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tomli_w

import render
from render.errors import SceneError
from render.geometry import frame_rates
from render.machine import texts
from render.problem import own_model
from render.scene import missing, naming, own_files, records
from render.scene.checks import build, read_toml
from render.scene.layers import Layers, merged, with_values
from render.scene.tables import filled
from render.scene.values import OutputRecord, Scene, with_shape
from render.scene.wording import quoted

MOST_BYTES = 1_000_000

SCHEMA_NAME = "scene.schema.json"

# Editors read the schema's place from a comment among the first lines; a relative one starts at the file's folder.
_SCHEMA_LINE = re.compile(r"\A(?:[ \t\r]*(?:#[^\n]*)?\n)*?#:schema[ \t]+([^\r\n]*[^\s])")


def shipped() -> Path:
    """Return the folder of the scenes that come with render, and of their schema.

    An installed package holds them itself; in a checkout they are beside the package.
    """
    package = Path(render.__file__).resolve().parent
    inside = package / "scenes"
    return inside if inside.is_dir() else package.parent / "scenes"


def with_schema(text: str, folder: Path) -> str:
    """Return a scene's text whose line `#:schema` leads from a folder to the schema of scenes.

    Where the line names a file of the schema's name that is not there, it names the one that comes with render, in
    full. A text without such a line, or with another schema in it, stays as it is.
    """
    match = _SCHEMA_LINE.match(text)
    named = match[1] if match else ""
    url = urllib.parse.urlsplit(named)
    known = (shipped() / SCHEMA_NAME).resolve()
    if match is None or url.scheme not in ("", "file") or not named.endswith(SCHEMA_NAME) or not known.is_file():
        return text
    place = Path(urllib.request.url2pathname(url.path) if url.scheme else named)
    if missing.kind(folder / place) == "file":
        return text
    return text[: match.start(1)] + known.as_uri() + text[match.end(1) :]


def with_system(text: str, scene: Scene, folder: Path) -> str:
    """Return a scene's text whose problem names the user's file that the scene trains, from another folder.

    The text of a scene that trains a system of the catalogue stays as it is.
    """
    if not own_model.is_own(scene.problem.system):
        return text
    named = tomllib.loads(text)["problem"]["system"]
    path = own_files.written(scene.problem.system, folder)
    place = re.compile(rf"(\bsystem[ \t]*=[ \t]*)(\"|')({re.escape(named)})\2")
    moved = place.sub(lambda match: f'{match[1]}"{path}"', text, count=1)
    if tomllib.loads(moved)["problem"]["system"] != path:
        raise SceneError(
            f"{scene.name} names its file {quoted(named)} in a way that cannot be edited here; write it as "
            f'system = "{path}", and try again.'
        )
    return moved


def folders() -> list[Path]:
    """Return the folders in which scenes are looked up by name: this one, and that of the scenes in the package."""
    places = [Path("scenes"), shipped()]
    return [*places, *(place / "own" for place in places)]


def find(name_or_path: str | Path) -> Path:
    """Return the file of a scene, given its path, or its name in ./scenes or among those that come with render."""
    given = str(name_or_path)
    candidates = [Path(given), Path(given + ".toml")]
    if Path(given).name == given:  # a plain name: no folder, no tricks
        candidates += [folder / name for folder in folders() for name in (given, given + ".toml")]
    for path in candidates:
        if missing.kind(path) == "file" and (path.suffix == ".toml" or path.suffix in records.SUFFIXES):
            return path
    kind = missing.kind(Path(given)) if given else "none"
    if kind == "file":
        raise SceneError(
            f'{quoted(given)} is not a scene: a scene file ends in ".toml". (Pictures and films that '
            "render made, and the .json beside them, stand for their scenes too.)"
        )
    if kind == "folder":
        raise SceneError(f"{quoted(given)} is a folder; give the scene file in it.")
    if kind == "other":
        raise SceneError(f"{quoted(given)} is not a file that can be read.")
    raise SceneError(missing.message(given, names()))


def names() -> list[str]:
    """Return the names of the scenes that need no path, sorted; those that are no printable text are left out."""
    stems = {path.stem for folder in folders() if missing.kind(folder) == "folder" for path in folder.glob("*.toml")}
    return sorted(stem for stem in stems if naming.name_of(stem) == stem)


def load(
    name_or_path: str | Path,
    *more: str | Path,
    settings: Iterable[str] = (),
    shape: str | None = None,
    name: str | None = None,
) -> Scene:
    """Return the scene of a file, given its path or name; of several, each laid over those before it.

    A picture or film that render made, or the JSON beside it, stands for its scene. settings: such as
    "look.palette=vik", laid over all files. shape: a row of SHAPES. name: instead of the files' own.
    """
    layers, plain, stems, record_of_output, text = Layers(), Layers(), [], None, ""
    settings, folder = tuple(settings), Path.cwd()
    for i, path in enumerate(find(given) for given in (name_or_path, *more)):
        source = quoted(str(path))[1:-1] if len(str(path)) <= 60 else str(path)
        stem = naming.name_of(path.stem)
        if path.suffix in records.SUFFIXES:
            text, stem, record = records.read(path)
            record_of_output = record if i == 0 else record_of_output
        else:
            text = _read(path, source)
        raw, folder = read_toml(text, source), path.parent
        if path.suffix in records.SUFFIXES:
            folder = Path.cwd()  # where paths in records start at
        if more or settings or (record_of_output and record_of_output.changed_from):
            own_files.anchored(raw, folder)
        layers.lay(source, raw, text if path.suffix == ".toml" else "")
        plain.lay(source, raw if record_of_output is None or i > 0 else _unchanged(raw, record_of_output))
        stems.append(stem)
    for setting in settings:
        layers.set(setting)
    if len(stems) > 1 or settings:
        text = _toml(layers.raw)
    called = naming.joined(stems)
    scene = replace(
        build(layers.raw, called, text, layers.source_of, Path.cwd() if more or settings else folder),
        record=record_of_output,
        origins=layers.origins,
        first_file=layers.first,
        plain=_plain_scene(plain, called) if settings or (record_of_output and record_of_output.changed_from) else None,
    )
    if shape is not None:
        scene = _fitted(with_shape(scene, shape), layers, folder)
    return replace(scene, name=naming.checked(scene.name) if name is None else naming.checked_chosen_name(name))


def _fitted(scene: Scene, layers: Layers, folder: Path) -> Scene:
    """Return a scene whose frames got another shape with the views that fit their height or the whole plane into it."""
    output = scene.output
    size = {"output": {"size": [output.width_px, output.height_px]}}
    refitted = build(merged(layers.raw, size), scene.name, scene.text, layers.source_of, folder)
    views = (key.view for key in refitted.keyframes)
    fitted = tuple(replace(key, view=view) for key, view in zip(scene.keyframes, views, strict=True))
    return replace(scene, keyframes=fitted)


def _unchanged(raw: dict[str, Any], record: OutputRecord) -> dict[str, Any]:
    """Return the fields of a scene out of an output as its own files give them, without the settings of that output."""
    try:
        return with_values(raw, record.changed_from)
    except (LookupError, TypeError, AttributeError):
        return raw


def _plain_scene(layers: Layers, called: str) -> Scene | None:
    try:
        scene = build(layers.raw, called, _toml(layers.raw), layers.source_of, Path.cwd())
    except SceneError:
        return None
    return replace(scene, origins=layers.origins, first_file=layers.first)


def _read(path: Path, source: str) -> str:
    text = texts.read(path, source, MOST_BYTES)
    if path.stem.startswith("."):  # the stem names the film's folder
        raise SceneError(f"{source}: the name of a scene file must not start with a dot.")
    return text


def resolved(scene: Scene) -> str:
    """Return the whole scene as TOML, every default written out: the scene, and nothing else, parses from it.

    The path of a user's file starts at the current folder, and the digest of its code stands beside it.
    """
    raw = filled(own_files.taken_up(tomllib.loads(scene.text), scene.folder))
    if own_model.is_own(scene.problem.system):
        raw["problem"] |= {
            "system": own_files.written(scene.problem.system),
            "code": own_model.find(scene.problem.system).source.digest,
        }
    output = {key: value for key, value in asdict(scene.output).items() if value is not None}
    output["fps"] = frame_rates.plain(scene.output.fps)
    raw["output"] = {"size": [output.pop("width_px"), output.pop("height_px")], **output}
    return _toml(_plain(raw))


def with_origins(scene: Scene) -> str:
    """Return the same, with a comment on every field that the scene's own file does not give: where it came from."""
    lines, table, listed, entries = [], "", "", -1
    for line in resolved(scene).splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            if line.startswith("[["):
                listed, entries = name, entries + 1 if name == listed else 0
                table = f"{listed}[{entries}]"
            elif listed and name.startswith(f"{listed}."):  # a table of that entry
                table = f"{listed}[{entries}]{name.removeprefix(listed)}"
            else:
                table, listed = name, ""
        elif " = " in line:
            key = line.partition(" = ")[0].strip('"')
            origin = scene.origins.get(f"{table}.{key}" if table else key, "default")
            if origin != scene.first_file:
                line = f"{line}  # {origin}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _toml(raw: dict[str, Any]) -> str:
    """Return fields as TOML, with lists on one line."""
    one_line = re.compile(r"\[\n((?: {4}[^\n]*,\n)+)\]")
    return one_line.sub(lambda match: f"[{', '.join(re.findall(r'^ +(.*),$', match[1], re.M))}]", tomli_w.dumps(raw))


def _plain(value: Any) -> Any:
    """Return a value with whole floats as integers, so that it reads the same however often it is written."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
