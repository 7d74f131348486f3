"""Papers as data: every folder loads, its parts fit each other and the methods, and mistakes give one sentence."""

from __future__ import annotations

import csv
import importlib.resources
import shutil
from itertools import product
from typing import Any

import pytest

from benchmark.catalogue import method_facts
from benchmark.errors import UsageError
from benchmark.papers.paper import load_paper, paper_ids
from benchmark.papers.protocol import PROFILES, ProtocolFile
from benchmark.papers.tables import settings
from benchmark.plan.resolve import applies
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Phase, validated
from tests.support.paper_files import PAPERS, raw, written_rules

load_plugins()
NO_DATA = {"reuters", "10x73k"}


def own_methods(paper: str) -> set[str]:
    return {rule["method"] for rule in raw(paper, "protocol.toml")["methods"].values() if "method" in rule}


def exists_in_a_phase(path: str) -> bool:
    """Whether `path`, without ``phases.<name>.``, leads to a field of a phase."""
    model: Any = Phase
    for part in path.split(".")[2:]:
        if part not in getattr(model, "model_fields", {}):
            return False
        model = model.model_fields[part].annotation
    return True


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Return a function that loads a copy of tkuco2024 in which one text of one file is replaced."""

    def load(name: str, old: str, new: str) -> Any:
        shutil.copytree(PAPERS / "tkuco2024", tmp_path / "broken2024")
        shutil.copytree(PAPERS / "families", tmp_path / "families")
        file = tmp_path / "broken2024" / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
        return load_paper("broken2024")

    load_paper.cache_clear()
    yield load
    load_paper.cache_clear()


def test_every_folder_with_a_protocol_is_a_paper():
    assert paper_ids() == tuple(sorted(path.parent.name for path in PAPERS.glob("*/protocol.toml")))
    assert "tkuco2024" in paper_ids()


@pytest.mark.parametrize("name", paper_ids())
def test_every_paper_loads_with_all_its_parts(name):
    paper = load_paper(name)
    assert paper.id == name
    assert set(paper.tables) == set(raw(name, "tables.toml"))
    assert set(paper.ledger) == {entry["id"] for entry in raw(name, "ledger.toml")["entry"]}
    assert len(paper.protocol.field) == len(written_rules(name))
    assert set(paper.protocol.profiles) == set(PROFILES)
    assert {row["paper"] for row in paper.published} == {name}


GUESTS = {("dtkc2019", "params.distance_gradient")}
"""Rules for methods that are not at home in the paper yet, and are run beside its tables by name."""


@pytest.mark.parametrize("name", paper_ids())
def test_every_rule_concerns_known_methods_and_applies_to_one_of_them(name):
    own = own_methods(name)
    assert own <= set(METHODS)
    for rule in written_rules(name):
        concerned = set(METHODS) if (name, rule["path"]) in GUESTS else set(rule.get("methods", own))
        assert concerned <= own or (name, rule["path"]) in GUESTS, rule["path"]
        assert any(applies(rule["path"], method_facts(method)) for method in concerned), rule["path"]
        assert not rule["path"].startswith("phases.") or exists_in_a_phase(rule["path"]), rule["path"]


@pytest.mark.parametrize("name", paper_ids())
def test_profiles_and_grids_set_only_fields_that_a_method_has(name):
    paths = {path for rule in load_paper(name).protocol.profiles.values() for path in rule.set}
    paths |= {axis["path"] for table in raw(name, "tables.toml").values() for axis in table.get("grid", ())}
    for path in paths:
        assert any(applies(path, method_facts(method)) for method in own_methods(name)), path


@pytest.mark.parametrize("name", paper_ids())
def test_tables_name_only_rows_columns_and_metrics_that_the_protocol_has(name):
    protocol = load_paper(name).protocol
    for table in load_paper(name).tables.values():
        assert {*table.rows, *table.reference} <= set(protocol.methods)
        assert set(table.columns) <= set(protocol.columns)
        assert set(table.metrics) <= set(protocol.metrics)


@pytest.mark.parametrize("name", paper_ids())
def test_columns_have_registered_data_but_for_those_known_to_be_missing(name):
    columns = load_paper(name).protocol.columns.values()
    assert {rule.dataset for column in columns for rule in (column.paper, column.code)} - set(DATASETS) <= NO_DATA


@pytest.mark.parametrize("name", paper_ids())
def test_every_ledger_entry_that_the_protocol_cites_exists(name):
    protocol, ledger = load_paper(name).protocol, load_paper(name).ledger
    cited = {entry for rule in (*protocol.field, *protocol.metrics.values()) for entry in rule.ledger}
    cited |= {entry for column in protocol.columns.values() for entry in (*column.paper.ledger, *column.code.ledger)}
    assert cited
    assert cited <= set(ledger)


@pytest.mark.parametrize("name", paper_ids())
def test_every_field_of_the_ledger_is_the_path_of_a_rule_or_of_the_data_or_a_parameter(name):
    known = {rule["path"] for rule in written_rules(name)} | {"data.dataset", "data.preprocess"}
    known |= {f"params.{field}" for method in own_methods(name) for field in METHODS[method].Params.model_fields}
    known |= {"phases.train.patience"}  # None in all readings, and settable
    for entry in load_paper(name).ledger.values():
        assert set(entry.fields) <= known, entry.id


@pytest.mark.parametrize(("table", "count"), [("table2", 124 // 2), ("table4", 108)])
def test_every_published_best_value_is_found_for_its_cell(table, count):
    paper = load_paper("tkuco2024")
    rule = paper.tables[table]
    with (PAPERS / "tkuco2024" / "published.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == rule.published]
    printed = {
        (r["method"], r["dataset"], r["metric"], r["setting"] if rule.grid else "", r["statistic"]): r for r in rows
    }
    found = {}
    for row, column, metric, setting in product(rule.rows, rule.columns, rule.metrics, settings(rule)):
        protocol = paper.protocol
        parts = (protocol.methods[row], protocol.columns[column], protocol.metrics[metric])
        value = paper.published_value(rule, parts[0], parts[1], setting.label, parts[2], "best")
        if value is not None:
            found[(*(part.published for part in parts), setting.label)] = value
    assert len(found) == count
    assert set(found) == {key[:4] for key in printed}
    for key, value in found.items():
        assert value.value == float(printed[(*key, "best")]["value"])
        sd = printed.get((*key, "boot_sd"))
        assert value.sd == (float(sd["value"]) if sd else None)
        assert (value.sd is not None) == (table == "table2")


@pytest.mark.parametrize(("row", "column"), [("k-means", "usps"), ("ddc", "digits"), ("ddc", "coil100-32px")])
def test_reference_rows_and_stand_ins_have_no_published_value(row, column):
    paper = load_paper("tkuco2024")
    rule, protocol = paper.tables["table2"], paper.protocol
    parts = (protocol.methods[row], protocol.columns[column], "", protocol.metrics["acc"], "best")
    assert paper.published_value(rule, *parts) is None


def test_a_statistic_that_the_paper_does_not_give_has_no_published_value():
    paper = load_paper("tkuco2024")
    rule, protocol = paper.tables["table2"], paper.protocol
    parts = (protocol.methods["ddc"], protocol.columns["usps"], "", protocol.metrics["acc"])
    assert paper.published_value(rule, *parts, "mean") is None


def test_settings_are_all_points_of_the_grid_labelled_as_published():
    paper = load_paper("tkuco2024")
    points = list(settings(paper.tables["table4"]))
    assert {point.label for point in points} == {r["setting"] for r in paper.published if r["table"] == "Table 4"}
    assert len(points) == 9
    values = {dict(point.values)["params.companion_weight"] for point in points}
    assert values == {0.001, 0.01, 0.1}
    assert {point.label for point in points if point.quick} == {
        f"lambda={weight};omega=constant" for weight in ("0.010", "0.100")
    }


def test_a_table_that_varies_nothing_has_one_setting_without_label():
    (point,) = settings(load_paper("tkuco2024").tables["table2"])
    assert (point.label, point.values) == ("", ())


@pytest.mark.parametrize("wrong", ["tkuco2042", "../tkuco2024", ""])
def test_an_unknown_paper_is_refused_with_the_known_ones(wrong):
    with pytest.raises(UsageError, match=r"there is no paper named .*tkuco2024"):
        load_paper(wrong)


def test_an_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="there is no table of tkuco2024 named 'tabel2'; did you mean 'table2'"):
        load_paper("tkuco2024").table("tabel2")


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        ("protocol.toml", "title =", "title ", ["protocol.toml", "line"]),
        ("protocol.toml", "runs = 3", "runs = 0", ["protocol.toml", "profiles.quick.runs", "0"]),
        ("protocol.toml", 'readings = ["paper"]', 'readings = ["papre"]', ["protocol.toml", "'papre'"]),
        ("protocol.toml", "params.width = {", "parms.width = {", ["protocol.toml", "field.", "'parms'", "'params'"]),
        ("protocol.toml", "citation =", "quotation =", ["protocol.toml", "citation"]),
        ("tables.toml", "priority = 1", 'priority = "high"', ["tables.toml", "table2", "priority", "'high'"]),
        ("tables.toml", "statistic =", "statistics =", ["tables.toml", "table2", "statistics", "'statistic'"]),
        ("tables.toml", "[table1]", "[table1", ["tables.toml", "line"]),
        ("ledger.toml", 'severity = "A"', 'severity = "Z"', ["ledger.toml", "severity", "'Z'"]),
    ],
)
def test_a_mistake_in_a_file_gives_one_sentence_that_names_the_place(broken, name, old, new, parts):
    with pytest.raises(UsageError) as caught:
        broken(name, old, new)
    message = str(caught.value)
    assert "broken2024" in message
    assert all(part in message for part in parts), message
    assert "\n" not in message
    assert message.endswith((".", "?"))


def test_a_missing_file_gives_one_sentence_that_names_it(tmp_path, monkeypatch):
    shutil.copytree(PAPERS / "tkuco2024", tmp_path / "broken2024")
    shutil.copytree(PAPERS / "families", tmp_path / "families")
    (tmp_path / "broken2024" / "ledger.toml").unlink()
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(UsageError, match=r"ledger\.toml cannot be read"):
        load_paper("broken2024")


def test_a_paper_that_lacks_a_profile_is_refused_with_the_table_to_write():
    values = {"title": "t", "citation": "c", "metrics": {}, "columns": {}, "methods": {}}
    with pytest.raises(UsageError, match=r"protocol\.toml.*cpu and paper spend, as \[profiles\.cpu\]"):
        validated(ProtocolFile, values | {"profiles": {"quick": {"runs": 1}}}, "x/protocol.toml")
    assert validated(ProtocolFile, values | {"profiles": {name: {"runs": 1} for name in PROFILES}}, "x").title == "t"
