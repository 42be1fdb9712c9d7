"""The scripts by which shells complete commands: cyclopts' own, with names of scenes, and with paths through folders.

cyclopts' script for bash adds a blank after a folder, so that the path cannot be continued, and none of its scripts
knows scenes. Here the shell itself looks names up when Tab is pressed, in the same folders as `render`: in ./scenes and
among the scenes that come with render. Starting render for this would take a fifth of a second.
"""

from __future__ import annotations

import inspect
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from cyclopts import App, Parameter

_Shell = Literal["zsh", "bash", "fish", "powershell"]

# The line of cyclopts' script for bash that completes an argument or an option that takes a path.
_BASH_PATHS = 'COMPREPLY=( $(compgen -f -- "${cur}") )'

# Called within cyclopts' function, whose variables it sees: cur, the word that is completed; cmd_path, the command;
# positional_count, the arguments before this one; _value_prev, the option before it, if there is one.
_BASH = r"""
_render_paths() {
  local typed="${cur//\\/}" file is_scene=0
  if [[ " $options_with_values " != *" ${_value_prev:-} "* ]]; then
    case "${cmd_path[*]} ${positional_count}" in
      @SLOTS@) is_scene=1 ;;
    esac
  fi
  # With this, bash ends folders with a slash and quotes blanks. (bash 3 does not know it.)
  compopt -o filenames 2>/dev/null
  COMPREPLY=()
  while IFS= read -r file; do
    [[ $is_scene -eq 0 || -d ${file/#\~/$HOME} || $file =~ \.(@SUFFIXES@)$ ]] && COMPREPLY+=("$file")
  done < <(compgen -f -- "$typed")
  if [[ $is_scene -eq 1 && $typed != */* ]]; then
    for file in @SCENES@; do
      [[ -f $file ]] || continue
      file="${file##*/}"
      if [[ ${file%.toml} == "$typed"* ]]; then
        COMPREPLY+=("${file%.toml}")
      elif [[ $file == "$typed"* ]]; then  # the suffix is being typed
        COMPREPLY+=("$file")
      fi
    done
  fi
}

"""

_ZSH_BEGIN = "  local line state\n"
_ZSH = r"""
_render_scenes() {
  local -a names
  names=( @SCENES@ )
  names=( ${names:t:r} )
  _alternative 'scenes:scene:compadd -a names' 'files:file:_files -g "*.(@SUFFIXES@)(-.)"'
}

"""

_FISH = r"""
function __render_scenes
    for file in @SCENES@
        string replace -r '^.*/(.*)\.toml$' '$1' -- $file
    end
end

"""


class CompletingApp(App):
    """An application whose completion scripts complete names of scenes."""

    def generate_completion(self, *, prog_name: str | None = None, shell: _Shell | None = None) -> str:
        """Return the script for a shell. For PowerShell it is that of cyclopts, without names of scenes."""
        from cyclopts.completion.detect import detect_shell

        shell = shell or detect_shell()
        script = super().generate_completion(prog_name=prog_name, shell=shell)
        slots = list(_slots(self))
        if shell == "bash":
            return _bash(script, slots)
        if shell == "zsh":
            return _zsh(script, slots)
        return _fish(script, slots) if shell == "fish" else script


class _Slots(NamedTuple):
    """The first arguments of a command, which are scenes. more: whether all its arguments are, not only the first."""

    command: str
    more: bool
    helps: tuple[str, ...]


def _slots(app: App, path: tuple[str, ...] = ()) -> Iterator[_Slots]:
    """Yield the slots of all commands that take scenes: arguments of the type of `options.Scene`."""
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        if command.default_command is None:
            yield from _slots(command, (*path, name))
            continue
        arguments = inspect.signature(command.default_command, eval_str=True).parameters.values()
        scenes = [*itertools.takewhile(lambda argument: _is_scene(argument.annotation), arguments)]
        if scenes:
            helps = tuple(_help(argument.annotation) for argument in scenes)
            yield _Slots(" ".join((*path, name)), scenes[-1].kind is inspect.Parameter.VAR_POSITIONAL, helps)


def _is_scene(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated and {*get_args(get_args(annotation)[0])} == {str, Path}


def _help(annotation: Any) -> str:
    return next(str(part.help) for part in get_args(annotation) if isinstance(part, Parameter))


def _filled(template: str, **words: str) -> str:
    for name, text in words.items():
        template = template.replace(f"@{name}@", text)
    return template


def _suffixes() -> str:
    from render.scene import records

    return "|".join(["toml", *(suffix[1:] for suffix in records.SUFFIXES)])


def _scenes(qualifier: str = "") -> str:
    """Return the patterns of the files of all scenes that have names. qualifier: the end of each pattern."""
    from render.scene.files import folders

    return " ".join(f"{shlex.quote(str(folder))}/*.toml{qualifier}" for folder in folders())


def _bash(script: str, slots: list[_Slots]) -> str:
    patterns = " | ".join(f'"{command} "{"*" if more else 0}' for command, more, _ in slots)
    helper = _filled(_BASH, SLOTS=patterns, SUFFIXES=_suffixes(), SCENES=_scenes())
    return helper.lstrip() + script.replace(_BASH_PATHS, "_render_paths")


def _zsh(script: str, slots: list[_Slots]) -> str:
    # Descriptions are shortened, and their colons and quotes are escaped, but their first words are unchanged.
    begins = {re.split(r"[:'\[\]…]", help)[0][:40] for slot in slots for help in slot.helps}
    lines = script.splitlines(keepends=True)
    for i, line in enumerate(lines):
        if re.match(r" *'(\d+|\*):", line) and any(f":{words}" in line for words in begins):
            lines[i] = line.replace(":_files'", ":_render_scenes'")
    helper = _filled(_ZSH, SCENES=_scenes("(N)"), SUFFIXES=_suffixes())
    # It stands within cyclopts' function: zsh takes a file as that function only if nothing else is in it.
    return "".join(lines).replace(_ZSH_BEGIN, f"{_ZSH_BEGIN}{helper}", 1)


def _fish(script: str, slots: list[_Slots]) -> str:
    lines = [
        f"complete -c render -n '__fish_render_using_command {command}"
        + ("" if more else f"; and test (__fish_render_positional_index {len(command.split())}) -eq 0")
        + "' -a '(__render_scenes)' -d scene\n"
        for command, more, _ in slots
    ]
    return script + _filled(_FISH, SCENES=_scenes()) + "".join(lines)
