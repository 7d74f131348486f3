"""From a paper's rules to run specifications: the readings of tkuco2024, layers, and what --set can do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmark.catalogue import method_facts
from benchmark.errors import UsageError
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import MethodRule, ProfileRule
from benchmark.papers.tables import Setting
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.plan.resolve import Overrides, Resolved, applies, parse_overrides, resolve
from benchmark.registry import DATASETS, METHODS, load_plugins
from tests.support.paper_files import written_rules

load_plugins()
PAPER = load_paper("tkuco2024")
RULES = written_rules("tkuco2024")
DDC_FAMILY = ("ddc", "ddc-ae", "ddc-uco-n", "ddc-uco-t")
NO_SETTING = Setting("", (), False)


def resolved(
    row: str = "ddc-uco-t",
    column: str = "mnist",
    reading: Any = "paper",
    profile: str | ProfileRule = "paper",
    setting: Setting = NO_SETTING,
    sets: tuple[str, ...] = (),
) -> Resolved:
    protocol = PAPER.protocol
    spent = protocol.profiles[profile] if isinstance(profile, str) else profile
    overrides = parse_overrides(sets, PAPER)
    return resolve(PAPER, protocol.methods[row], protocol.columns[column], reading, spent, setting, overrides)


def whole(found: Resolved) -> dict[str, Any]:
    """Return the specification with every field, those too that canonical JSON leaves out as introduced later."""
    params = METHODS[found.spec.method].Params(**found.spec.params).model_dump(mode="json")
    return found.spec.model_dump(mode="json") | {"params": params}


def value(found: Resolved, path: str) -> Any:
    """Return what stands at a dotted path of the specification."""
    plain: Any = whole(found)
    for part in (path if not path.startswith("phases.") else f"protocol.{path}").split("."):
        plain = plain[part]
    return plain


def flat(found: Resolved) -> dict[str, Any]:
    """Return the whole specification by dotted path."""

    def walk(plain: dict[str, Any], prefix: str) -> dict[str, Any]:
        leaves: dict[str, Any] = {}
        for key, item in plain.items():
            leaves |= walk(item, f"{prefix}{key}.") if isinstance(item, dict) else {prefix + key: item}
        return leaves

    return {path.removeprefix("protocol."): item for path, item in walk(whole(found), "").items()}


def changes(before: Resolved, after: Resolved) -> set[str]:
    old, new = flat(before), flat(after)
    assert set(old) == set(new)
    return {path for path in old if old[path] != new[path]}


READINGS_TABLE = [  # methods, path, paper, code: the table of readings
    (("ddc", "ddc-ae"), "phases.train.optimiser.lr", 1e-3, 1e-3),
    (("ddc-uco-n", "ddc-uco-t"), "phases.train.optimiser.lr", 1e-3, 1e-4),
    (DDC_FAMILY, "phases.train.optimiser.name", "adam", "adam"),
    (DDC_FAMILY, "phases.train.optimiser.eps", 1e-7, 1e-7),
    (DDC_FAMILY, "phases.train.batch_size", 120, 120),
    (DDC_FAMILY, "phases.train.drop_last", True, True),
    (DDC_FAMILY, "phases.train.clip.kind", "tensor", "tensor"),
    (DDC_FAMILY, "phases.train.clip.norm", 10.0, 10.0),
    (DDC_FAMILY, "phases.train.budget.unit", "epochs", "epochs"),
    (DDC_FAMILY, "phases.train.budget.amount", 200, 200),
    (DDC_FAMILY, "phases.train.evaluate_every", 4, 4),
    (DDC_FAMILY, "phases.train.keep", "best", "best"),
    (DDC_FAMILY, "phases.train.monitor", "total", "total"),
    (DDC_FAMILY, "phases.train.patience", None, None),
    (DDC_FAMILY, "params.initialisation", "glorot", "glorot"),
    (DDC_FAMILY, "params.network", "cnn-small", "cnn-small"),
    (DDC_FAMILY, "params.width", 0.15, 0.15),
    (DDC_FAMILY, "params.width_rule", "paper", "tkuco"),
    (DDC_FAMILY, "params.width_average", "median", "median"),
    (DDC_FAMILY, "params.orthogonality", "mean", "mean"),
    (DDC_FAMILY, "params.divergence_factor", "pairs", "pairs"),
    (("ddc-ae",), "params.reconstruction_weight", 0.1, 0.1),
    (("ddc-uco-n", "ddc-uco-t"), "params.companion_weight", 0.01, 0.01),
    (("ddc-uco-n", "ddc-uco-t"), "params.omega", "constant", "constant"),
    (("ddc-uco-n", "ddc-uco-t"), "params.taps", ["block1_pool", "block2_pool"], ["block1_conv2", "block2_pool"]),
    (DDC_FAMILY, "params.distance_gradient", "exact", "authors"),
    (("ddc",), "phases.train.evaluation_moves_statistics", False, False),
    (("ddc-ae", "ddc-uco-n", "ddc-uco-t"), "phases.train.evaluation_moves_statistics", False, True),
    (("ddc-uco-t",), "params.transpose", True, False),
    (("ddc-uco-t",), "params.projector_form", "projector", "trace"),
    (("ddc-uco-t",), "params.kernel_solver", "exact", "exact"),
    (("ddc-uco-t",), "params.ridge", 1e-6, 1e-6),
    (("ddc-uco-t",), "params.vector_kernel", "grassmann", "grassmann"),
]


@pytest.mark.parametrize(("methods", "path", "paper", "code"), READINGS_TABLE)
def test_fields_are_those_of_the_reading(methods, path, paper, code):
    for method in methods:
        assert value(resolved(method, reading="paper"), path) == paper
        assert value(resolved(method, reading="code"), path) == code


@pytest.mark.parametrize(
    ("column", "paper", "code", "preprocess", "shape"),
    [
        ("mnist", ("mnist", 60_000), ("mnist-full", 70_000), ["symmetric"], (28, 28)),
        ("fashion-mnist", ("fashion-mnist", 60_000), ("fashion-mnist-full", 70_000), ["symmetric"], (28, 28)),
        ("usps", ("usps", 9298), ("usps", 9298), ["symmetric", "resize:32x32"], (16, 16)),
        ("coil100-32px", ("coil100-32px", 7200), ("coil100-32px", 7200), [], (32, 32)),
    ],
)
def test_data_are_those_of_the_reading(column, paper, code, preprocess, shape):
    for reading, (name, size) in (("paper", paper), ("code", code)):
        found = resolved("ddc", column, reading)
        source = DATASETS[name]
        assert found.spec.data.name == name
        assert found.spec.data.digest == source.digest
        assert source.n_samples == size
        assert shape in (source.shape[:2], source.shape[-2:])
        assert value(found, "data.preprocess") == preprocess
        assert value(found, "params.n_clusters") == source.n_clusters


def test_the_two_readings_differ_in_nothing_but_what_the_table_of_readings_says():
    fields = {path for methods, path, paper, code in READINGS_TABLE if paper != code and "ddc-uco-t" in methods}
    before, after = (resolved("ddc-uco-t", "mnist", reading) for reading in ("paper", "code"))
    assert changes(before, after) == fields | {"data.name", "data.digest"}
    assert changes(resolved("ddc", "usps", "paper"), resolved("ddc", "usps", "code")) == {
        "params.width_rule",
        "params.distance_gradient",
    }


def test_later_origins_win():
    path = "params.companion_weight"
    profile = ProfileRule(runs=1, set={path: 0.5})
    setting = Setting("lambda=0.100", ((path, 0.1),), False)
    assert value(resolved(profile="paper"), path) == 0.01
    assert value(resolved(profile=profile), path) == 0.5
    assert value(resolved(profile=profile, setting=setting), path) == 0.1
    last = resolved(profile=profile, setting=setting, sets=(f"{path}=0.2",))
    assert value(last, path) == 0.2
    (origin,) = [(field.origin, field.ledger) for field in last.fields if field.path == path]
    assert origin == ("--set", ("W2",))


@pytest.mark.parametrize(
    ("profile", "epochs", "every", "samples"), [("quick", 8, 1, 1000), ("cpu", 20, 2, 10_000), ("paper", 200, 4, None)]
)
def test_profiles_spend_what_they_say(profile, epochs, every, samples):
    found = resolved("ddc", "mnist", "paper", profile)
    phase = found.spec.protocol.phases["train"]
    assert (phase.budget.amount, phase.evaluate_every, found.spec.data.samples) == (epochs, every, samples)


def test_a_cap_that_the_data_do_not_reach_is_no_cap():
    assert DATASETS["usps"].n_samples < 10_000
    assert resolved("ddc", "usps", profile="cpu").spec.data.samples is None
    assert resolved("ddc", "usps", sets=("samples=9298",)).spec.data.samples is None
    assert resolved("ddc", "usps", sets=("samples=9297",)).spec.data.samples == 9297
    assert resolved("ddc", "mnist", profile="cpu", sets=("samples=null",)).spec.data.samples is None


@pytest.mark.parametrize("column", ["digits", "mnist", "usps"])
def test_k_means_takes_the_samples_as_they_come(column):
    assert resolved("ddc", column).spec.data.preprocess != ()
    found = resolved("k-means", column)
    assert found.spec.data.preprocess == ()
    assert found.spec.protocol.phases == {}
    assert found.spec.params == {"n_clusters": 10, "starts": 20, "iterations": 300}


@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("profile", ["quick", "cpu", "paper"])
def test_methods_that_share_a_network_get_the_same_data(reading, profile):
    for column in ("digits", "mnist", "fashion-mnist", "coil-100", "coil100-32px", "usps"):
        data = [resolved(method, column, reading, profile).spec.data for method in DDC_FAMILY]
        assert data == [data[0]] * 4


@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("entry", sorted({entry for rule in RULES for entry in rule.get("ledger", ())}))
def test_a_ledger_entry_flips_exactly_the_fields_that_carry_it(entry, reading):
    other = "code" if reading == "paper" else "paper"
    carried = {}
    for rule in RULES:
        concerned = "ddc-uco-t" in rule.get("methods", ["ddc-uco-t"]) and "usps" in rule.get("datasets", ["usps"])
        if concerned and applies(rule["path"], method_facts("ddc-uco-t")):
            carried[rule["path"]] = rule
    expected = {p for p, rule in carried.items() if entry in rule.get("ledger", ()) and rule["paper"] != rule["code"]}
    before = resolved("ddc-uco-t", "usps", reading)
    assert changes(before, resolved("ddc-uco-t", "usps", reading, sets=(f"{entry}={other}",))) == expected
    assert changes(before, resolved("ddc-uco-t", "usps", reading, sets=(f"{entry}={reading}",))) == set()


def test_an_arm_sets_the_values_that_neither_reading_has_and_gives_way_to_other_sets():
    dec = {name: resolved("dec-conv", "usps", sets=sets) for name, sets in (("paper", ()), ("arm", ("D6=arm",)))}
    assert changes(dec["paper"], dec["arm"]) == {"phases.pretrain.drop_last", "phases.cluster.drop_last"}
    both = resolved("dec-conv", "usps", sets=("phases.cluster.drop_last=false", "D6=arm"))
    assert changes(dec["paper"], both) == {"phases.pretrain.drop_last"}
    (origin,) = [(f.origin, f.ledger) for f in dec["arm"].fields if f.path == "phases.cluster.drop_last"]
    assert origin == ("--set D6=arm", ("D6",))
    assert changes(resolved("ddc", "usps"), resolved("ddc", "usps", sets=("D6=arm",))) == set(), "no field of its own"


def test_an_arm_of_the_data_concerns_the_columns_that_carry_its_entry_and_no_row_with_steps_of_its_own():
    before, after = (resolved("ddc", "usps", sets=sets) for sets in ((), ("D4=arm",)))
    assert changes(before, after) == {"data.preprocess"}
    assert value(after, "data.preprocess") == ["truncated", "symmetric", "skimage_resize:32x32"]
    (origin,) = [field.origin for field in after.fields if field.path == "data.preprocess"]
    assert origin == "--set"
    for row, column in (("ddc", "mnist"), ("k-means", "usps")):
        assert changes(resolved(row, column), resolved(row, column, sets=("D4=arm",))) == set()
    own = resolved("ddc", "usps", sets=("D4=arm", 'preprocess=["symmetric"]'))
    assert value(own, "data.preprocess") == ["symmetric"]


def test_a_ledger_entry_of_a_column_flips_the_data():
    before, after = resolved("ddc", "mnist"), resolved("ddc", "mnist", sets=("C5=code",))
    assert changes(before, after) == {"data.name", "data.digest"}
    assert after.spec.data == resolved("ddc", "mnist", "code").spec.data
    assert resolved("ddc", "mnist", "code", sets=("C5=paper",)).spec.data == before.spec.data


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("phases.train.optimiser.lr=3e-4", "phases.train.optimiser.lr", 3e-4),
        ("lr=3e-4", "phases.train.optimiser.lr", 3e-4),
        ("batch_size=60", "phases.train.batch_size", 60),
        ("patience=30", "phases.train.patience", 30),
        ("params.width=1", "params.width", 1.0),
        ("width_rule=dtkc", "params.width_rule", "dtkc"),
        ('taps=["block1_pool"]', "params.taps", ["block1_pool"]),
        ("transpose=false", "params.transpose", False),
        ('preprocess=["resize:32x32"]', "data.preprocess", ["resize:32x32"]),
        ("samples=500", "data.samples", 500),
    ],
)
def test_a_field_is_set_by_its_path_or_by_its_last_part(text, path, expected):
    after = resolved("ddc-uco-t", "mnist", sets=(text,))
    assert changes(resolved("ddc-uco-t", "mnist"), after) == {path}
    assert value(after, path) == expected


def test_a_field_that_a_method_lacks_is_not_set():
    assert resolved("ddc", sets=("companion_weight=0.5",)).spec == resolved("ddc").spec


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("widht=0.3", ["there is no field", "'widht'", "did you mean", "'width'"]),
        ("K99=code", ["there is no field or ledger entry", "'K99'"]),
        ("width", ["'width'", "FIELD=VALUE"]),
        ("=3", ["'=3'", "FIELD=VALUE"]),
        ("K1=both", ["K1=both", "'paper'", "'code'"]),
        ("K1=arm", ["K1=arm", "'paper'", "'code'."]),
        ("D6=armm", ["D6=armm", "'paper'", "'code'", "or to its 'arm'"]),
        ("width_rule=papper", ["width_rule", "'papper'"]),
        ("width=-1", ["width", "-1"]),
        ("lr=NaN", ["lr", "nan"]),
        ("batch_size=many", ["batch_size", "'many'"]),
        ("samples=0", ["samples", "0"]),
        ("preprocess=symmetric", ["preprocess", "'symmetric'"]),
    ],
)
def test_a_wrong_set_gives_one_sentence(text, parts):
    with pytest.raises(UsageError) as caught:
        resolved("ddc-uco-t", sets=(text,))
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message


def test_an_ambiguous_last_part_is_refused_with_the_whole_paths():
    protocol, overrides = PAPER.protocol, parse_overrides(("lr=0.5",), PAPER)
    row = MethodRule(label="DEC", method="dec", preprocess=("flatten",))
    with pytest.raises(UsageError, match=r"any of phases\.cluster\.optimiser\.lr, .*lr of dec: give the whole path"):
        resolve(PAPER, row, protocol.columns["mnist"], "paper", protocol.profiles["paper"], NO_SETTING, overrides)


def test_a_last_part_is_that_of_each_methods_own_phase():
    assert value(resolved("ddc", sets=("lr=0.5",)), "phases.train.optimiser.lr") == 0.5
    assert parse_overrides(("lr=0.5",), PAPER).label == "lr=0.5"


def test_overrides_are_labelled_as_they_are_given():
    overrides = parse_overrides(("width=0.3", "K1=code", 'taps=["block1_pool"]'), PAPER)
    assert overrides.label == 'params.width=0.3;params.taps=["block1_pool"];K1=code'
    assert parse_overrides(("D6=arm", "K1=code"), PAPER).label == "K1=code;D6=arm"
    assert Overrides().label == ""


def test_replicates_differ_in_their_number_only():
    found = resolved()
    specs = [found.replicate(number) for number in range(20)]
    assert [spec.replicate for spec in specs] == list(range(20))
    assert len({spec.run_id for spec in specs}) == 20
    assert len({json.dumps({**spec.canonical(), "replicate": None}) for spec in specs}) == 1


def test_one_run_serves_every_cell_that_asks_for_the_same_thing():
    cells = plan_cells(Request(profile="paper", papers=("tkuco2024",), readings=("paper", "code")))
    ids = {(c.table, c.row, c.column, c.setting, c.reading): c.resolved.spec.run_id for c in cells if c.resolved}
    shared = "lambda=0.010;omega=constant"
    for reading in ("paper", "code"):
        assert ids["table2", "ddc-uco-t", "usps", "", reading] == ids["table4", "ddc-uco-t", "usps", shared, reading]
    assert ids["table2", "k-means", "usps", "", "paper"] == ids["table2", "k-means", "usps", "", "code"]
    assert ids["table2", "ddc", "usps", "", "paper"] != ids["table2", "ddc", "usps", "", "code"]
