"""The key of the catalogue changes with all that decides which plug-ins there are and what they answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.catalogue import sources
from benchmark.catalogue.sources import sources_key, stamps, stamps_elsewhere


def distribution(name: str, files: tuple[Path, ...] = ()) -> SimpleNamespace:
    """Return an installed distribution with some files."""
    return SimpleNamespace(name=name, version="1", files=list(files), locate_file=Path)


@pytest.fixture
def points(tmp_path: Path) -> list[SimpleNamespace]:
    """The entry points that are installed."""
    files = (tmp_path / "site-packages" / "losses.py", tmp_path / "site-packages" / "o-1.dist-info" / "METADATA")
    return [SimpleNamespace(name="plum", value="orchard.trees:Plum", dist=distribution("o", files))]


@pytest.fixture
def tree(tmp_path: Path, points: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a method and a data set, and an installed package with an entry point, in editable form."""
    home, other = tmp_path / "home", tmp_path / "other"
    for file in ("benchmark/spec.py", "methods/plum.py", "methods/parts/stone.py", "datasets/pears.py"):
        write(home / file, "WIDTH = 1\n")
    write(home / "datasets/recipes.toml", "width = 1\n")
    write(other / "orchard" / "__init__.py", "")
    write(other / "orchard" / "trees.py", "WIDTH = 1\n")
    write(other / "beside.py", "WIDTH = 1\n")
    write(other / "barn" / "__init__.py", "")
    monkeypatch.setattr(sources, "HOME", home)
    monkeypatch.syspath_prepend(other)
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group: points if group == "reclust.methods" else []
    )
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def append(name: str) -> Callable[[Path, list[SimpleNamespace]], None]:
    return lambda tree, points: write(tree / name, "WIDTH = 2\n")


CHANGES = {
    "a method": append("home/methods/plum.py"),
    "a part of methods": append("home/methods/parts/stone.py"),
    "a data set": append("home/datasets/pears.py"),
    "facts of data sets": append("home/datasets/recipes.toml"),
    "the suite": append("home/benchmark/spec.py"),
    "a new method": append("home/methods/quince.py"),
    "a method removed": lambda tree, points: (tree / "home/methods/plum.py").unlink(),
    "a method renamed": lambda tree, points: (tree / "home/methods/plum.py").rename(tree / "home/methods/prune.py"),
    "a method moved": lambda tree, points: (tree / "home/methods/plum.py").rename(tree / "home/methods/parts/plum.py"),
    "a module of another package": append("other/orchard/trees.py"),
    "a new module of another package": append("other/orchard/deep/roots.py"),
    "a module beside another package": append("other/beside.py"),
    "a module of a package beside another": append("other/barn/hay.py"),
    "a module that another package installed beside its own": append("site-packages/losses.py"),
    "another package removed": lambda tree, points: points.clear(),
    "another package installed": lambda tree, points: points.append(
        SimpleNamespace(name="fig", value="beside:Fig", dist=distribution("b"))
    ),
    "another version": lambda tree, points: setattr(points[0].dist, "version", "2"),
    "another place in the package": lambda tree, points: setattr(points[0], "value", "orchard.trees:Prune"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_key_sees(tree, points, change):
    before = sources_key()
    assert sources_key() == before
    change(tree, points)
    assert sources_key() != before


def test_the_key_sees_an_edit_of_equal_length_and_time(tree):
    file = tree / "home/methods/plum.py"
    before, seen = sources_key(), file.stat()
    file.write_text("WIDTH = 3\n")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert sources_key() != before


def test_the_key_sees_that_something_was_installed_or_removed(tree, monkeypatch):
    folder = tree / "lib" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder)
    before = sources_key()
    (folder / "fig-1.0.dist-info").mkdir()
    assert sources_key() != before


@pytest.mark.parametrize("place", ["__pycache__/plum.cpython-311.pyc", ".git/HEAD", ".venv/lib/x.py"])
def test_the_key_does_not_see_caches_and_hidden_folders(tree, place):
    before = sources_key()
    write(tree / "home/methods" / place, "else\n")
    write(tree / "other" / place, "else\n")
    assert sources_key() == before


def test_a_package_that_cannot_be_found_is_no_error(tree, points):
    points[0].value = "nowhere.to_be_found:Plum"
    assert sources_key()


def test_imported_files_elsewhere_are_stamped_and_installed_ones_are_not(tmp_path, monkeypatch):
    write(tmp_path / "linked_fruits.py", "WIDTH = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("linked_fruits")
    monkeypatch.setitem(sys.modules, "linked_fruits", sys.modules["linked_fruits"])
    found = stamps_elsewhere()
    assert str(tmp_path / "linked_fruits.py") in found
    assert not [file for file in found if "site-packages" in file or file == os.__file__ or file == sources.__file__]
    write(tmp_path / "linked_fruits.py", "WIDTH = 22\n")
    assert stamps(found) != found
