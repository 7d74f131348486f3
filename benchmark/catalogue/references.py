"""What to cite: BibTeX entries of papers, methods and data sets, from the references.bib beside each kind.

An entry is written with the field ``for``, the names that it is cited for. Methods and data sets of other packages say
theirs by themselves, in an attribute ``bibtex``.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.registry import DATASETS, METHODS, SIBLINGS

FILE = "references.bib"

_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_FOR = re.compile(r"^ *for = \{(?P<names>[^}]*)\},\n", re.MULTILINE)


@dataclass(frozen=True)
class Reference:
    """A BibTeX entry: its key, the names that it is cited for, and its text without these."""

    key: str
    names: tuple[str, ...]
    text: str


@cache
def known_references() -> tuple[Reference, ...]:
    """Return the entries that come with the suite, papers before methods before data sets."""
    packages = sorted(SIBLINGS, reverse=True, key=lambda name: (name != "datasets", name != "methods"))
    return tuple(entry for name in packages for entry in _entries(importlib.resources.files(name).joinpath(FILE)))


def _entries(file: importlib.resources.abc.Traversable) -> Iterable[Reference]:
    for found in _ENTRY.finditer(file.read_text(encoding="utf-8")):
        named = _FOR.search(found[0])
        names = tuple(name.strip() for name in named["names"].split(",")) if named else ()
        yield Reference(found["key"], names, _FOR.sub("", found[0]))


def references(names: Iterable[str]) -> list[str]:
    """Return the entries to cite for papers, methods and data sets, each once.

    Raises
    ------
    UsageError
        For a name that nothing here has, with the nearest.
    UserError
        For a method or data set of another package that says nothing to cite.
    """
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(_of(name))
    return list(found)


def _of(name: str) -> list[str]:
    texts = [entry.text for entry in known_references() if name in entry.names]
    if texts:
        return texts
    plugin = METHODS[name] if name in METHODS else DATASETS.get(name)
    if plugin is None:
        cited = {known for entry in known_references() for known in entry.names}
        raise UsageError(did_you_mean("paper, method or data set", name, cited | set(METHODS) | set(DATASETS)))
    own = str(getattr(plugin, "bibtex", "")).strip()
    if not own:
        raise UserError(f"{name} says nothing to cite: a method or data set may have an attribute `bibtex`.")
    return [own + "\n"]
