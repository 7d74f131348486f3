"""Protocols as they are written: fields in groups, values of both readings in one place, families that papers share.

protocol.toml is written for people. From it follow the plain rules, columns and profiles that the models of a paper
check: `read_protocol` reads the file and those of the families that it inherits, and returns them as one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from typing import Any

from benchmark.errors import UsageError, did_you_mean

FAMILIES = "families"
"""The folder beside the papers with the protocols that several of them share, a TOML file for each family."""

READING_KEYS = ("both", "paper", "code")
SHARED_KEYS = ("source", "ledger", "methods", "datasets")
"""What a group of fields says once for all of them; `source` and `ledger` may be replaced for one field."""
OWN_KEYS = ("source", "ledger")

HEADS = ("params", "phases")
SECTIONS = ("profiles", "metrics", "columns", "methods")


def read_protocol(papers: Traversable, paper: str) -> dict[str, Any]:
    """Return the protocol of a paper as plain values, with that of its families below its own.

    A profile, metric, column or method of the paper replaces the family's of the same name as a whole; its rules come
    after those of the family, and therefore win.

    Raises
    ------
    UsageError
        For a file that cannot be read, a wrong form, an unknown family, or families that inherit in a circle.
    """
    return _inherited(papers, f"{paper}/protocol.toml", ())


def read_toml(folder: Traversable, name: str) -> dict[str, Any]:
    """Return a TOML file, or raise UsageError with one sentence."""
    try:
        return tomllib.loads(read_text(folder, name))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{folder.joinpath(name)} cannot be read: {error}.") from None


def read_text(folder: Traversable, name: str) -> str:
    """Return the text of a file, or raise UsageError with one sentence."""
    try:
        return folder.joinpath(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder.joinpath(name)} cannot be read: {error}.") from None


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted paths; a table by reading (``{ paper = ..., code = ... }``) stays a value.

    >>> dotted({"params": {"width": 0.2, "ridge": {"paper": 0.0, "code": 1e-6}}})
    {'params.width': 0.2, 'params.ridge': {'paper': 0.0, 'code': 1e-06}}
    """
    paths: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and not set(value) & set(READING_KEYS):
            paths |= dotted(value, f"{prefix}{name}.")
        else:
            paths[prefix + name] = value
    return paths


def _inherited(papers: Traversable, file: str, below: tuple[str, ...]) -> dict[str, Any]:
    """Return the protocol of a file over those that it inherits; `below` are the files that lead to it."""
    if file in below:
        raise UsageError(f"{' inherits '.join((*below, file))}: families must not inherit in a circle.")
    own = read_toml(papers, file)
    whole: dict[str, Any] = {}
    for family in _families(papers, file, own.pop("inherits", ())):
        whole = _over(whole, _inherited(papers, f"{FAMILIES}/{family}.toml", (*below, file)))
    return _over(whole, _plain(own, file))


def _families(papers: Traversable, file: str, given: Any) -> Sequence[str]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{file}: inherits = {given!r} is neither the name of a family nor a list of names.")
    folder = papers.joinpath(FAMILIES)
    files = folder.iterdir() if folder.is_dir() else ()
    known = sorted(item.name.removesuffix(".toml") for item in files if item.name.endswith(".toml"))
    for name in names:
        if name not in known:
            raise UsageError(f"{file}: {did_you_mean('family of protocols', name, known)}")
    return names


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return two protocols as one: entries of `own` replace those of `base`, its rules follow them."""
    whole = base | own
    for section in SECTIONS:
        if section in base and section in own:
            whole[section] = base[section] | own[section]
    if "field" in base or "field" in own:
        whole["field"] = [*base.get("field", ()), *own.get("field", ())]
    return whole


def _plain(written: dict[str, Any], file: str) -> dict[str, Any]:
    """Return a written protocol with a rule for each field, data for each reading, and dotted paths."""
    plain = dict(written)
    for section in (name for name in SECTIONS if name in written):
        _table(written[section], f"{file}: {section}")
        plain[section] = {name: _table(e, f"{file}: {section}.{name}") for name, e in written[section].items()}
    if "columns" in plain:
        plain["columns"] = {name: _column(entry, f"{file}: columns.{name}") for name, entry in plain["columns"].items()}
    if "profiles" in plain:
        plain["profiles"] = {name: _dotted_set(entry) for name, entry in plain["profiles"].items()}
    if "field" in written:
        groups = written["field"]
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            raise UsageError(f"{file}: fields are written in groups, each under its own [[field]].")
        plain["field"] = [
            rule for place, group in enumerate(groups) for rule in _rules(group, f"{file}: field.{place}")
        ]
    return plain


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} = {value!r} is refused: a table of TOML stands here.")
    return value


def _column(entry: dict[str, Any], what: str) -> dict[str, Any]:
    rest = {key: value for key, value in entry.items() if key not in READING_KEYS}
    data = _by_reading(entry, what)
    return rest | {name: _dotted_set(_table(part, f"{what}.{name}")) for name, part in data.items()}


def _dotted_set(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"set": dotted(entry["set"])} if isinstance(entry.get("set"), dict) else entry


def _rules(group: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
    """Yield the rules of a group: path, value under each reading, and what the group says for all."""
    shared = {key: value for key, value in group.items() if key in SHARED_KEYS}
    _checked_words(shared, what)
    fields = {key: value for key, value in group.items() if key not in SHARED_KEYS}
    for key in fields:
        if key.partition(".")[0] not in HEADS:
            raise UsageError(f"{what}: {did_you_mean('key of a group of fields', key, (*SHARED_KEYS, *HEADS))}")
    if not dotted(fields):
        raise UsageError(f"{what} sets no field: write lines such as `params.width = {{ both = 0.15 }}`.")
    for path, value in dotted(fields).items():
        where = f"{what}: {path}"
        if not isinstance(value, dict):
            raise UsageError(
                f"{where} = {value!r} says no reading: write {{ both = ... }} or {{ paper = ..., code = ... }}."
            )
        own = {key: item for key, item in value.items() if key not in READING_KEYS}
        for key in own:
            if key not in OWN_KEYS:
                raise UsageError(f"{where}: {did_you_mean('key of a field', key, (*READING_KEYS, *OWN_KEYS))}")
        _checked_words(own, where)
        rule = {"path": path} | shared | own
        if "source" not in rule:
            raise UsageError(f"{where} has no source: give it one, or its group.")
        yield rule | _by_reading(value, where)


def _checked_words(values: Mapping[str, Any], what: str) -> None:
    """Raise UsageError where a source is no text, or another of the `SHARED_KEYS` no list of names."""
    for key, value in values.items():
        words = [value] if key == "source" else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            form = "a text" if key == "source" else "a list of names"
            raise UsageError(f"{what}: {key} = {value!r} is refused: {form} stands here.")


def _by_reading(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the values of the paper's and of the code's reading, which `both` gives where they agree."""
    given = [key for key in READING_KEYS if key in value]
    if given == ["both"]:
        return {"paper": value["both"], "code": value["both"]}
    if "both" in given:
        raise UsageError(f"{what} has `both` beside `{given[1]}`: `both` stands alone, where the readings agree.")
    if given != ["paper", "code"]:
        missing = " and ".join(f"`{key}`" for key in ("paper", "code") if key not in given)
        raise UsageError(f"{what} lacks {missing}: write `paper` and `code`, or `both` where they agree.")
    return {"paper": value["paper"], "code": value["code"]}
