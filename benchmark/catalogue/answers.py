"""The catalogue: which plug-ins there are, and what they answered, kept on disk for one state of all sources.

A plug-in is a class in a module that imports torch, and importing all of them takes seconds. What commands ask of one
(its fields, the completed parameters of a run, its parent, the digest of its code) depends on the sources only. So the
first command imports them, and what is answered is kept below the user's cache folder, under the hash of these sources;
later ones read it. A question that was not asked before is answered by the plug-in itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.catalogue.sources import Stamps, sources_key, stamps
from benchmark.errors import UsageError
from benchmark.files.writing import write_changed
from benchmark.registry import METHODS, REGISTRIES

KEPT = 12
"""For so many states of the sources a catalogue is kept: one for each checkout and environment that is in use."""

REFUSED = "refused"


@dataclass
class Catalogue:
    """The plug-ins by kind and name with the modules that register them, and answers by question.

    `elsewhere` are files that are not in the key, with their stamps. `broken` are the plug-ins that could not be
    imported, with the sentence that says why.
    """

    key: str
    modules: dict[str, dict[str, str]]
    elsewhere: Stamps = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    changed: bool = False
    broken: bool = False

    def values(self) -> dict[str, Any]:
        """Return what a file holds."""
        return {"key": self.key, "modules": self.modules, "elsewhere": self.elsewhere, "answers": self.answers}


_in_use: list[Catalogue] = []


def use(catalogue: Catalogue) -> None:
    """Have questions of this process answered from `catalogue`."""
    _in_use[:] = [catalogue]


def read(key: str) -> Catalogue | None:
    """Return the catalogue kept under a key; None where there is none, it is damaged, or files elsewhere changed."""
    return _read(_file(key), key)


def remembered(question: Sequence[str], answer: Callable[[], Any]) -> Any:
    """Return what was answered to a question before, else ask `answer`, a function of the plug-ins' sources only.

    An answer is of values as JSON has them. A refusal is remembered too.

    Raises
    ------
    UsageError
        Where `answer` does, or did.
    """
    if not len(METHODS) or not _in_use:  # the first makes sure that the registries are filled
        return answer()
    catalogue, key = _in_use[0], "\x1f".join(question)
    if key not in catalogue.answers:
        try:
            catalogue.answers[key] = {"is": answer()}
        except UsageError as error:
            catalogue.answers[key] = {REFUSED: str(error)}
        catalogue.changed = True
    found = catalogue.answers[key]
    if REFUSED in found:
        raise UsageError(found[REFUSED])
    return found["is"]


def keep() -> None:
    """Write what was learned to disk, unless sources changed since this process read them; then forget it.

    Nothing is kept where a plug-in could not be imported: what it lacks may come without a change of any source.
    """
    for catalogue in _in_use:
        if catalogue.changed and not catalogue.broken and sources_key() == catalogue.key:
            file = _file(catalogue.key)
            earlier = _read(file, catalogue.key)
            if earlier is not None:
                catalogue.answers = {**earlier.answers, **catalogue.answers}
            with contextlib.suppress(OSError):
                write_changed({file: json.dumps(catalogue.values(), separators=(",", ":")).encode()})
                _prune(file.parent)
            catalogue.changed = False


def _read(file: Path, key: str) -> Catalogue | None:
    try:
        held = json.loads(file.read_bytes())
        found = Catalogue(held["key"], held["modules"], held["elsewhere"], held["answers"])
        usable = found.key == key and {registry.kind for registry in REGISTRIES} <= set(found.modules)
        return found if usable and stamps(found.elsewhere) == found.elsewhere else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prune(folder: Path) -> None:
    """Remove the oldest catalogues."""
    held = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in held[KEPT:]:
        file.unlink(missing_ok=True)


def _file(key: str) -> Path:
    from pooch import os_cache

    return Path(os_cache("reclust")) / "catalogue" / f"{key[:32]}.json"
