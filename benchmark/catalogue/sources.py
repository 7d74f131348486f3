"""What the plug-ins' answers depend on, as one hash: our sources, those of other packages, and what is installed.

Too much rather than too little: a change that does not matter costs some seconds, one that is missed a wrong answer.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.registry import SIBLINGS

HOME = Path(__file__).resolve().parents[2]
"""The folder in which `benchmark` and its siblings lie."""

GROUPS = ("reclust.methods", "reclust.datasets")

_INSTALLED = ("site-packages", "dist-packages")
_SKIPPED = frozenset(("__pycache__", "node_modules", *_INSTALLED))

Stamps = dict[str, list[int]]
"""Size and time of change of files, by path; a file that is not there has none of them."""


def sources_key() -> str:
    """Return the hash of all that decides which plug-ins there are, and what they answer.

    These are the sources of `benchmark` and of the packages of plug-ins beside it; the entry points of other packages,
    with the sources of these and of what lies beside them; Python; and the folders of installed packages, which change
    when anything is installed or removed.
    """
    digest = hashlib.sha256()
    for text in (sys.version, sys.prefix, str(HOME), *_installed()):
        digest.update(f"{text}\0".encode())
    for name in ("benchmark", *SIBLINGS[:2]):
        for path in _files(HOME / name):
            _add(digest, path, path.relative_to(HOME).as_posix())
    tops = set()
    for text, top in _entry_points():
        digest.update(f"{text}\0".encode())
        tops.add(top)
    for top in sorted(tops):
        for path in _sources_of(top):
            _add(digest, path, str(path))
    for path in _installed_with_plug_ins():
        _add(digest, path, str(path))
    return digest.hexdigest()


def stamps_elsewhere() -> Stamps:
    """Return the stamps of imported files that `sources_key` does not see: those of packages that are linked here.

    A plug-in may take its parameters from a package that is installed in editable form, elsewhere.
    """
    ours = tuple(str(HOME / name) + os.sep for name in ("benchmark", *SIBLINGS))
    standard = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    found = {str(Path(file).absolute()) for file in files if file}
    return stamps(sorted(f for f in found if not f.startswith((*ours, *standard)) and not _is_installed(Path(f))))


def stamps(files: Iterable[str]) -> Stamps:
    """Return the stamps of `files`."""
    return {file: _stamp(Path(file)) for file in files}


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _is_installed(path: Path) -> bool:
    return any(part in _INSTALLED for part in path.parts)


def _installed() -> Iterator[str]:
    """Yield the folders of installed packages with their times of change."""
    for entry in dict.fromkeys(sys.path):
        if _is_installed(Path(entry)):
            yield f"{entry} {_stamp(Path(entry))}"


def _entry_points() -> list[tuple[str, str]]:
    """Return for each entry point of ours what it says, with its distribution, and the top-level module it names."""
    found = []
    for group in GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            distribution = point.dist
            version = f"{distribution.name} {distribution.version}" if distribution else ""
            found.append((f"{group} {point.name} {point.value} {version}", point.value.partition(":")[0].split(".")[0]))
    return sorted(found)


def _sources_of(top: str) -> Iterator[Path]:
    """Yield the files of a top-level module, and the sources beside it where that is no folder of installed packages.

    There `_installed_with_plug_ins` says what belongs to it.

    Nothing is imported. Those beside it, modules and packages, count as a plug-in's own code (`benchmark.provenance`).
    """
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    origins = [Path(spec.origin)] if spec.origin and not places else []
    for place in places:
        yield from _files(place)
    yield from origins
    for folder in sorted({path.absolute().parent for path in (*places, *origins)}):
        if folder.name not in _INSTALLED:
            yield from sorted(folder.glob("*.py"))
            for package in sorted(found.parent for found in folder.glob("*/__init__.py")):
                yield from (path for path in _files(package) if path.suffix == ".py")


def _installed_with_plug_ins() -> Iterator[Path]:
    """Yield the sources that the distributions of plug-ins installed, wherever they lie."""
    found = {
        point.dist.name: point.dist
        for group in GROUPS
        for point in importlib.metadata.entry_points(group=group)
        if point.dist is not None
    }
    for name in sorted(found):
        for file in sorted(found[name].files or (), key=str):
            if file.suffix == ".py":
                yield Path(str(found[name].locate_file(file)))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, in order; caches, hidden folders and environments are left out."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith(".") and f != "venv")
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        yield from (Path(root, name) for name in sorted(names) if not name.endswith((".pyc", ".pyo")))


def _add(digest: hashlib._Hash, path: Path, name: str) -> None:
    """Add a file: a source by its content, any other by its stamp, as it may be large."""
    if path.suffix in (".py", ".toml", ".json", ".j2"):
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        digest.update(f"{name} {len(content)}\0".encode() + content)
    else:
        digest.update(f"{name} {_stamp(path)}\0".encode())
