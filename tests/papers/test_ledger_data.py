"""The paper data of tkuco2024, published numbers and ledger, against the text of the paper; and the ledgers of all."""

import csv
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from benchmark.errors import UsageError
from benchmark.papers.paper import ledger_ids, load_ledger, load_paper, paper_ids
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Phase
from tests.support.checkout import ROOT
from tests.support.paper_files import written_rules

PAPER = ROOT / "paper_tables" / "tkuco2024"
TEXTS = ("title", "what", "paper", "code", "choice")


@pytest.fixture(scope="module")
def entries() -> list[dict]:
    with (PAPER / "ledger.toml").open("rb") as file:
        return tomllib.load(file)["entry"]


@pytest.fixture(scope="module")
def published() -> list[dict[str, str]]:
    with (PAPER / "published.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_ledger_ids_are_unique(entries):
    assert [name for name, count in Counter(entry["id"] for entry in entries).items() if count > 1] == []


def test_ledger_holds_every_entry_that_concerns_the_paper(entries):
    wanted = {f"K{n}" for n in range(1, 16)} | {f"W{n}" for n in range(1, 4)} | {f"C{n}" for n in range(1, 21)}
    wanted |= {f"P{n}" for n in range(1, 6)} | {f"Q{n}" for n in range(1, 9)} | {f"D{n}" for n in range(1, 12)}
    wanted |= {"D20", "I6", "Y7", "N1", "N4", "N5", "N6", "N7", "N8", "N15"}
    assert {entry["id"] for entry in entries} == wanted


def test_every_ledger_entry_is_complete(entries):
    for entry in entries:
        keys = {"id", "severity", "evidence", "fields", "labels", *TEXTS}
        assert set(entry) - {"awaits", "arm", "keeps_loss"} == keys, entry["id"]
        assert entry["severity"] in {"A", "B", "C"}, entry["id"]
        assert isinstance(entry["labels"], bool), entry["id"]
        for key in TEXTS:
            assert entry[key].strip(), (entry["id"], key)
            assert entry[key] == " ".join(entry[key].split()), (entry["id"], key)


def test_every_ledger_entry_gives_evidence(entries):
    for entry in entries:
        assert entry["evidence"], entry["id"]
        assert all(isinstance(item, str) and item.strip() for item in entry["evidence"]), entry["id"]


def test_every_ledger_field_is_a_field_of_a_run(entries):
    load_plugins()
    known = {"data.dataset", "data.preprocess"}
    known |= {path for name in METHODS for path in paths(METHODS[name].Params, "params.")}
    phases = {phase for name in METHODS for phase in METHODS[name].default_protocol.phases}
    known |= {path for phase in phases for path in paths(Phase, f"phases.{phase}.")}
    for entry in entries:
        assert set(entry["fields"]) <= known, entry["id"]


def paths(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield the dotted paths of the fields of `model`, those of models inside it too."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from paths(field.annotation, f"{prefix}{name}.")


@pytest.mark.parametrize("name", ["protocol.toml", "tables.toml"])
def test_every_ledger_id_that_protocol_and_tables_cite_exists(entries, name):
    with (PAPER / name).open("rb") as file:
        cited = set(cited_ids(tomllib.load(file)))
    assert cited <= {entry["id"] for entry in entries}


def cited_ids(node: object) -> Iterator[str]:
    """Yield the members of every list called `ledger`, however deep in `node`."""
    if isinstance(node, dict):
        yield from node.get("ledger", ())
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from cited_ids(child)


def test_exactly_the_choices_made_by_labels_are_marked(entries):
    assert {entry["id"] for entry in entries if entry["labels"]} == {"P2", "Q8", "W2", "D11"}


@pytest.mark.parametrize("paper", ledger_ids())
def test_every_ledger_is_complete_and_says_where_its_entries_are_from(paper):
    ledger = load_ledger(paper)
    assert ledger
    with (PAPER.parent / paper / "ledger.toml").open("rb") as file:
        assert len(ledger) == len(tomllib.load(file)["entry"]), "an id stands twice"
    for entry in ledger.values():
        assert all(getattr(entry, key).strip() for key in TEXTS), entry.id
        assert entry.evidence and all(item.strip() for item in entry.evidence), entry.id


@pytest.mark.parametrize("paper", ledger_ids())
def test_an_entry_waits_only_for_fields_that_the_protocol_does_not_set(paper):
    """One that a protocol sets stands among the fields of its entry from then on."""
    set_by_it = {rule["path"] for rule in written_rules(paper)} if paper in paper_ids() else set()
    for entry in load_ledger(paper).values():
        assert not set(entry.awaits) & (set_by_it | set(entry.fields)), entry.id
        assert all(path.startswith(("params.", "phases.")) for path in entry.awaits), entry.id


@pytest.mark.parametrize("paper", ledger_ids())
def test_an_arm_has_values_of_the_fields_of_its_entry_that_neither_reading_has(paper):
    rules = written_rules(paper) if paper in paper_ids() else []
    for entry in load_ledger(paper).values():
        assert set(entry.arm) <= set(entry.fields), entry.id
        for path, value in entry.arm.items():
            held = [(rule["paper"], rule["code"]) for rule in rules if carries(rule, path, entry.id)]
            if path == "data.preprocess":
                columns = load_paper(paper).protocol.columns.values()
                held += [(c.paper.preprocess, c.code.preprocess) for c in columns if entry.id in c.paper.ledger]
                value = tuple(value)
            assert held and all(value not in pair for pair in held), (entry.id, path)


def carries(rule: dict[str, Any], path: str, entry: str) -> bool:
    return rule["path"] == path and entry in rule.get("ledger", ())


def fields_of(method: Any) -> set[str]:
    phases = {path for phase in method.default_protocol.phases for path in paths(Phase, f"phases.{phase}.")}
    return phases | set(paths(method.Params, "params."))


def test_ledgers_of_all_papers_are_found_with_what_carries_their_entries():
    assert "dynae2022" in ledger_ids()
    assert load_ledger("dynae2022")["Y15"].fields == ("params.critic",)


def test_an_unknown_ledger_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="'dynae2020'; did you mean 'dynae2022'"):
        load_ledger("dynae2020")


def test_every_published_number_is_there(published):
    # The counts are those of the printed tables: Table 2 has 31 pairs (ACC, NMI) with an sd for each number, and so on.
    assert Counter(row["table"] for row in published) == {"Table 2": 124, "Table 3": 42, "Table 4": 108, "Table 5": 96}
    assert {row["paper"] for row in published} == {"tkuco2024"}


def test_published_values_are_finite_numbers_with_a_known_statistic_and_unit(published):
    for row in published:
        assert math.isfinite(float(row["value"])), row
        assert row["statistic"] in {"best", "boot_sd", "slope", "R2"}, row
        assert row["unit"] == ("1" if row["table"] == "Table 3" else "%"), row
        if row["unit"] == "%":
            assert 0 <= float(row["value"]) <= 100, row


def test_no_published_cell_is_given_twice(published):
    cells = Counter(
        tuple(row[key] for key in ("table", "method", "dataset", "setting", "metric", "statistic")) for row in published
    )
    assert max(cells.values()) == 1


@pytest.mark.parametrize(
    ("table", "method", "dataset", "metric", "statistic", "setting", "printed"),
    [
        ("Table 2", "DDC-UCO_T", "MNIST", "ACC", "best", "", "96.0"),
        ("Table 2", "DDC-UCO_T", "MNIST", "ACC", "boot_sd", "", "6.4"),
        ("Table 2", "DDC", "USPS", "NMI", "best", "", "70.1"),
        ("Table 2", "PSSC", "COIL-100", "NMI", "boot_sd", "", "0.3"),
        ("Table 2", "DDC-UCO_T", "Reuters", "ACC", "best", "", "61.2"),
        ("Table 3", "DDC-UCO_T", "MNIST", "R-OFM_slope", "slope", "", "-0.816"),
        ("Table 3", "DDC-UCO_N", "COIL-100", "R-OFM_R2", "R2", "", "0.963"),
        ("Table 4", "DDC-UCO_T", "Reuters", "ACC", "best", "lambda=0.010;omega=linear", "71.7"),
        ("Table 4", "DDC-UCO_N", "10x73k", "ACC", "best", "lambda=0.100;omega=exp", "89.2"),
        ("Table 5", "DEC-Conv-UCO_T", "COIL-100", "ACC", "best", "", "38.9"),
    ],
)
def test_published_number_is_the_printed_one(published, table, method, dataset, metric, statistic, setting, printed):
    cell = {"table": table, "method": method, "dataset": dataset, "metric": metric, "statistic": statistic}
    values = [row["value"] for row in published if cell.items() <= row.items() and setting in ("", row["setting"])]
    assert values == [printed]
