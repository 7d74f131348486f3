"""The options of a command as a TOML file: a study that can be kept, sent and run again."""

from __future__ import annotations

import json
import tomllib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.errors import UsageError, UserError, did_you_mean

UNSAVED = ("config", "print-config", "json", "help")
"""Options that say nothing about a study."""


def read_config(context: typer.Context, file: Path | None) -> Path | None:
    """Take the options of a TOML file as defaults of the command: what the command line says wins.

    Keys are the names of options without dashes; an option that may be repeated takes a list.
    """
    if file is None or context.resilient_parsing:
        return file
    options = _options(context)
    defaults: dict[str, Any] = {}
    for key, value in _values(file).items():
        if key not in options:
            raise UsageError(f"{file}: {did_you_mean(f'option of {context.command.name}', key, options)}")
        defaults[options[key].name] = _checked(f"{file}: {key}", value, options[key])
    context.default_map = {**(context.default_map or {}), **defaults}
    return file


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", is_eager=True, callback=read_config, help="Take options from this TOML file; others given win."
    ),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print these options as a file for --config, and run nothing.")
]


def config_text(context: typer.Context) -> str:
    """Return the options of a command, as they are in force, as TOML that `read_config` gives back."""
    lines = [f"# Options of `python -m benchmark {context.command.name}`: run with --config FILE."]
    for key, option in _options(context).items():
        value = _plain(context.params.get(option.name))
        if value not in (None, []):
            # The strings, lists, numbers and booleans of JSON are those of TOML.
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines)


def _options(context: typer.Context) -> dict[str, Any]:
    """Return the options of a command that a file may hold, by name."""
    named = {name[2:]: option for option in context.command.params for name in option.opts if name.startswith("--")}
    return {name: option for name, option in named.items() if name not in UNSAVED}


def _values(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config {file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {file} is no TOML file: {error}.") from None


def _checked(what: str, value: Any, option: Any) -> Any:
    flag = bool(getattr(option, "is_flag", False))
    if option.multiple:
        given = value if isinstance(value, list) else [value]
        right = all(isinstance(item, str) for item in given)
        if right:
            return given
    elif isinstance(value, bool) if flag else isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    form = "a list of texts" if option.multiple else "true or false" if flag else "one text or number"
    raise UsageError(f"{what} = {value!r} is refused: {form} stands here.")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
