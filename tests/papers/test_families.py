"""Protocols as they are written: groups of fields, values of both readings, and families that papers inherit from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import UsageError
from benchmark.papers.families import read_protocol

GROUP = '[[field]]\nsource = "section 1"\nledger = ["K1"]\n'


@pytest.fixture
def read(tmp_path):
    """Return a function that reads the protocol of a paper from its text and those of families."""

    def protocol(text: str, **families: str) -> dict[str, Any]:
        write(tmp_path / "new2030" / "protocol.toml", text)
        for name, family in families.items():
            write(tmp_path / "families" / f"{name}.toml", family)
        return read_protocol(tmp_path, "new2030")

    return protocol


def write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_a_field_that_agrees_is_written_once_and_one_that_does_not_by_reading(read):
    rules = read(GROUP + 'params.width = { both = 0.15 }\nparams.omega = { paper = "linear", code = "constant" }\n')
    shared = {"source": "section 1", "ledger": ["K1"]}
    assert rules["field"] == [
        {"path": "params.width", "paper": 0.15, "code": 0.15, **shared},
        {"path": "params.omega", "paper": "linear", "code": "constant", **shared},
    ]


def test_a_field_may_have_another_source_and_ledger_than_its_group(read):
    text = 'methods = ["ddc"]\nphases.train.keep = { both = "best", source = "Eq. 2", ledger = [] }\n'
    (rule,) = read(GROUP + text)["field"]
    assert rule["path"] == "phases.train.keep"
    assert (rule["source"], rule["ledger"], rule["methods"]) == ("Eq. 2", [], ["ddc"])


def test_data_of_a_column_and_values_of_a_profile_are_written_the_same_way(read):
    text = """
        columns.usps.both = { dataset = "usps", set.params = { network = "mlp" } }
        profiles.cpu.set.params.update_interval = { paper = 7, code = 1 }
        profiles.cpu.set.phases.train.batch_size = 64
    """
    found = read(text)
    data = {"dataset": "usps", "set": {"params.network": "mlp"}}
    assert found["columns"]["usps"] == {"paper": data, "code": data}
    expected = {"params.update_interval": {"paper": 7, "code": 1}, "phases.train.batch_size": 64}
    assert found["profiles"]["cpu"]["set"] == expected


def test_what_a_paper_says_stands_over_what_it_inherits(read):
    family = (
        "profiles.cpu = { runs = 5, samples = 10 }\nprofiles.paper.runs = 10\n"
        + GROUP
        + "params.width = { both = 1.0 }\n"
    )
    found = read('inherits = "ddc"\nprofiles.cpu.runs = 3\n' + GROUP + "params.width = { both = 2.0 }\n", ddc=family)
    assert found["profiles"] == {"cpu": {"runs": 3}, "paper": {"runs": 10}}
    assert [rule["paper"] for rule in found["field"]] == [1.0, 2.0], "a later rule wins"
    assert "inherits" not in found


def test_a_paper_may_inherit_several_families_and_a_family_another(read):
    families = {
        "base": GROUP + "params.a = { both = 1 }\n",
        "ddc": 'inherits = "base"\n' + GROUP + "params.b = { both = 1 }\n",
        "dec": GROUP + "params.c = { both = 1 }\n",
    }
    found = read('inherits = ["ddc", "dec"]\n', **families)
    assert [rule["path"] for rule in found["field"]] == ["params.a", "params.b", "params.c"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("params.width = { both = 1, paper = 2 }", ["params.width", "`both` beside `paper`"]),
        ("params.width = { both = 1, paper = 2, code = 3 }", ["params.width", "`both` beside `paper`"]),
        ("params.width = { paper = 2 }", ["params.width", "lacks `code`"]),
        ("params.width = { code = 2 }", ["params.width", "lacks `paper`"]),
        ("params.width = 0.15", ["params.width = 0.15", "{ both = ... }"]),
        ("params.width = { both = 1, legder = [] }", ["params.width", "'legder'", "'ledger'"]),
        ('params.width = { both = 1, ledger = "K1" }', ["params.width", "ledger = 'K1'", "a list of names"]),
        ('methdos = ["ddc"]\nparams.width = { both = 1 }', ["'methdos'", "'methods'"]),
        ('methods = "ddc"\nparams.width = { both = 1 }', ["methods = 'ddc'", "a list of names"]),
        ('datasets = ["usps"]', ["sets no field", "both"]),
    ],
)
def test_a_wrong_form_of_a_field_gives_one_sentence_that_names_it(read, line, words):
    with pytest.raises(UsageError) as caught:
        read(GROUP + line + "\n")
    assert is_a_sentence(str(caught.value), "new2030/protocol.toml: field.0", *words)


def test_a_field_without_a_source_is_refused(read):
    with pytest.raises(UsageError) as caught:
        read("[[field]]\nparams.width = { both = 1 }\n")
    assert is_a_sentence(str(caught.value), "params.width has no source")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("field = 3", ["[[field]]"]),
        ("columns = 3", ["columns = 3"]),
        ("columns.usps = 3", ["columns.usps = 3"]),
        ("columns.usps.both = 3", ["columns.usps.paper = 3"]),
        ('columns.usps.label = "USPS"', ["columns.usps", "lacks `paper` and `code`"]),
        ("inherits = 3", ["inherits = 3"]),
        ('inherits = "dcd"', ["no family of protocols named 'dcd'", "'ddc'"]),
        ('inherits = "../ddc"', ["no family of protocols named '../ddc'"]),
    ],
)
def test_a_wrong_form_of_a_protocol_gives_one_sentence_that_names_the_place(read, text, words):
    with pytest.raises(UsageError) as caught:
        read(text + "\n", ddc="")
    assert is_a_sentence(str(caught.value), "new2030/protocol.toml", *words)


def test_a_family_is_asked_for_in_vain_where_there_is_none(read):
    with pytest.raises(UsageError, match="no family of protocols named 'ddc'"):
        read('inherits = "ddc"\n')


@pytest.mark.parametrize(("one", "two"), [("one", ""), ("two", "one")])
def test_families_that_inherit_in_a_circle_are_named(read, one, two):
    inherit = {"one": f'inherits = "{one}"\n', "two": f'inherits = "{two}"\n' if two else ""}
    with pytest.raises(UsageError) as caught:
        read('inherits = "one"\n', **inherit)
    assert is_a_sentence(str(caught.value), "families/one.toml inherits", "in a circle")


def test_a_mistake_in_a_family_names_its_file(read):
    with pytest.raises(UsageError) as caught:
        read('inherits = "ddc"\n', ddc=GROUP + "params.width = 1\n")
    assert is_a_sentence(str(caught.value), "families/ddc.toml: field.0: params.width")


def is_a_sentence(message: str, *words: str) -> bool:
    return "\n" not in message and message.endswith((".", "?")) and all(word in message for word in words)
