"""Tables of declared facts: a header and rows of text, from tables.toml or from a CSV file beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from typing import Any

from benchmark.errors import UsageError
from benchmark.papers.families import read_text

KEYS = ("header", "facts", "file", "source")
"""What a table of facts says beside its title: header and rows, or a file that has both, and where they are from."""


def with_facts(values: dict[str, Any], folder: Traversable, what: str) -> dict[str, Any]:
    """Return the values of a table with its facts as rows of text, those of a file read; other kinds as they are.

    Raises
    ------
    UsageError
        Where header, rows or source are missing, rows are not as long as the header, something is no text or whole
        number, or a table of another kind declares facts.
    """
    if values.get("kind") != "facts":
        given = [key for key in KEYS if key in values]
        if given:
            raise UsageError(f"{what}: `{given[0]}` is for tables of kind `facts` only.")
        return values
    source = values.get("source")
    if not isinstance(source, str) or not source:
        raise UsageError(f'{what}: a table of facts says where they are from: source = "...".')
    header, rows = _read(values, folder, what)
    for place, row in enumerate(rows):
        if len(row) != len(header):
            raise UsageError(f"{what}: row {place} has {len(row)} facts for {len(header)} columns.")
    rest = {key: value for key, value in values.items() if key not in KEYS}
    return rest | {"header": tuple(header), "facts": tuple(map(tuple, rows)), "source": source}


def _read(values: dict[str, Any], folder: Traversable, what: str) -> tuple[list[str], list[list[str]]]:
    if "file" in values:
        if "header" in values or "facts" in values:
            raise UsageError(f"{what}: facts come from `file` or from `header` and `facts`, not from both.")
        if not isinstance(values["file"], str):
            raise UsageError(f"{what}: file = {values['file']!r} is no name of a file.")
        lines = [line for line in csv.reader(read_text(folder, values["file"]).splitlines()) if line]
        header, rows = (lines[0], lines[1:]) if lines else ([], [])
    else:
        header = _texts(values.get("header", ()), f"{what}: header")
        given = values.get("facts", ())
        if not isinstance(given, list | tuple):
            raise UsageError(f"{what}: facts = {given!r} is refused: a list of rows stands here.")
        rows = [_texts(row, f"{what}: facts.{place}") for place, row in enumerate(given)]
    if not header or not rows:
        raise UsageError(f"{what}: a table of facts has a header and at least one row.")
    return header, rows


def _texts(row: Any, what: str) -> list[str]:
    """Return a row as texts; decimals are written in quotes, so that a number is shown as the paper prints it."""
    if not isinstance(row, Sequence) or isinstance(row, str):
        raise UsageError(f"{what} = {row!r} is refused: a list of texts and whole numbers stands here.")
    for item in row:
        if not isinstance(item, str | int) or isinstance(item, bool):
            raise UsageError(f"{what}: {item!r} is neither a text nor a whole number; write it in quotes.")
    return [str(item) for item in row]
