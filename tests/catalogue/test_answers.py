"""What plug-ins answered is remembered, never wrongly: not after changes, damage, or by others at the same time."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.catalogue import answers
from benchmark.catalogue.answers import KEPT, Catalogue, keep, read, remembered, use
from benchmark.errors import UsageError
from benchmark.registry import REGISTRIES, load_plugins

MODULES: dict[str, dict[str, str]] = {registry.kind: {} for registry in REGISTRIES}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of its own, and sources whose key is "k"."""
    load_plugins()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(answers, "sources_key", lambda: "k")
    yield tmp_path / "reclust" / "catalogue"
    answers._in_use.clear()


def catalogue(key: str = "k", **elsewhere: list[int]) -> Catalogue:
    return Catalogue(key, MODULES, elsewhere)


def learned(*questions: str, key: str = "k") -> None:
    """Learn the answer 1 to questions, and keep it, as a process of its own does."""
    use(read(key) or catalogue(key))
    for question in questions:
        assert remembered((question,), lambda: 1) == 1
    keep()


def never() -> int:
    raise AssertionError("it was asked")


def test_a_question_is_asked_once_and_answered_from_disk_by_later_processes():
    learned("width")
    use(read("k"))
    assert remembered(("width",), never) == 1


def test_a_refusal_is_remembered_with_its_sentence():
    def refuse() -> int:
        raise UsageError("no such width.")

    for answer in (refuse, never):
        use(read("k") or catalogue())
        with pytest.raises(UsageError, match=r"^no such width\.$"):
            remembered(("width",), answer)
        keep()


def test_an_error_of_another_kind_is_not_remembered():
    use(catalogue())
    with pytest.raises(ZeroDivisionError):
        remembered(("width",), lambda: 1 // 0)
    assert remembered(("width",), lambda: 2) == 2


def test_without_a_catalogue_every_question_is_asked():
    asked: list[int] = []
    for _ in range(2):
        remembered(("width",), lambda: asked.append(1))
    assert asked == [1, 1]


def test_an_answer_under_another_key_is_not_used():
    learned("width")
    assert read("other") is None


def test_nothing_is_kept_when_sources_changed_while_the_process_ran(place, monkeypatch):
    use(catalogue())
    remembered(("width",), lambda: 1)
    monkeypatch.setattr(answers, "sources_key", lambda: "changed")
    keep()
    assert not place.exists()


def test_a_changed_file_elsewhere_makes_the_catalogue_void(tmp_path):
    file = tmp_path / "linked.py"
    file.write_text("1")
    found = file.stat()
    use(catalogue(**{str(file): [found.st_size, found.st_mtime_ns]}))
    remembered(("width",), lambda: 1)
    keep()
    assert read("k") is not None
    file.write_text("22")
    assert read("k") is None
    file.unlink()
    assert read("k") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"key": "k"}', '{"key": "x", "modules": {}}', "\x00"])
def test_a_damaged_file_counts_as_none(place, content):
    learned("width")
    (file,) = place.glob("*.json")
    file.write_text(content)
    assert read("k") is None
    learned("width")
    assert read("k") is not None


def test_answers_of_two_processes_are_joined():
    use(catalogue())
    remembered(("mine",), lambda: 1)
    (mine,) = answers._in_use
    learned("theirs")
    use(mine)
    keep()
    use(read("k"))
    assert remembered(("mine",), never) == remembered(("theirs",), never) == 1


def _learn_one(number: int) -> None:
    learned(*(f"{number}-{question}" for question in range(50)))


def test_processes_at_the_same_time_leave_a_whole_file(place):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_learn_one, range(16))
    (file,) = place.iterdir()
    held = json.loads(file.read_text())
    assert held["key"] == "k" and len(held["answers"]) >= 50
    assert all(answer == {"is": 1} for answer in held["answers"].values())


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    learned("width")
    assert read("k") is None


def test_only_the_latest_catalogues_are_kept(place, monkeypatch):
    for number in range(KEPT + 3):
        monkeypatch.setattr(answers, "sources_key", lambda number=number: f"{number:032}")
        learned("width", key=f"{number:032}")
        file = place / f"{number:032}.json"
        os.utime(file, (number, number))
    assert len(list(place.iterdir())) == KEPT
    assert read(f"{KEPT + 2:032}") is not None and read(f"{0:032}") is None
