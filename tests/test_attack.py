"""The sums that `pytest -m attack` prints are those of the tests that passed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support import attack


def report(*kinds: str, when: str = "call", **counted: int | str) -> SimpleNamespace:
    attack.begin()
    for kind, what in counted.items():
        if isinstance(what, int):
            attack.made(kind, what)
        else:
            attack.made(kind, name=what)
    return SimpleNamespace(when=when, user_properties=[*attack.found(kinds), ("other", 1)])


def test_a_test_is_one_of_its_kind_unless_it_counts_and_what_has_a_name_counts_once():
    reports = [report("files"), report("files", kills=3), report("methods", methods="x: y"), report(methods="x: y")]
    assert attack.sums(reports) == {"kills": 3, "methods": 1, "files": 1}
    assert attack.sums([report("files", when="setup")]) == {}


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(AssertionError, match="is one of kills, "):
        report("gremlins")
