"""Specifications: run ids that never change, the one canonical JSON behind them, and refusals in one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from benchmark.errors import UsageError
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import (
    Budget,
    Clip,
    DataSpec,
    Frozen,
    Optimiser,
    Phase,
    Protocol,
    RunSpec,
    canonical_json,
    validated,
    with_values,
)

GOLDEN = json.loads(Path(__file__).with_suffix("").joinpath("golden_run_ids.json").read_text(encoding="utf-8"))
SPEC = {
    "method": "ddc",
    "params": {"n_clusters": 10, "width": 0.15, "taps": ["a", "b"]},
    "data": {"name": "digits", "digest": "sha256:00", "samples": 100, "preprocess": ["symmetric"]},
    "protocol": {
        "phases": {
            "train": {
                "optimiser": {"name": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-7, "momentum": 0.0},
                "batch_size": 120,
                "sampler": "shuffled",
                "drop_last": True,
                "clip": {"kind": "tensor", "norm": 10.0},
                "budget": {"unit": "epochs", "amount": 200},
                "evaluate_every": 4,
                "keep": "best",
                "monitor": "total",
                "patience": 30,
            }
        }
    },
    "replicate": 0,
}
OTHER = {
    "method": "ddc-ae",
    "params.n_clusters": 11,
    "params.width": 0.150000000000001,
    "params.taps": ["b", "a"],
    "data.name": "usps",
    "data.digest": "sha256:01",
    "data.samples": None,
    "data.preprocess": [],
    "protocol.phases.train.optimiser.name": "sgd",
    "protocol.phases.train.optimiser.lr": 1e-4,
    "protocol.phases.train.optimiser.beta1": 0.5,
    "protocol.phases.train.optimiser.beta2": 0.99,
    "protocol.phases.train.optimiser.eps": 1e-8,
    "protocol.phases.train.optimiser.momentum": 0.9,
    "protocol.phases.train.optimiser.decay": 0.1,
    "protocol.phases.train.optimiser.decay_every": 100,
    "protocol.phases.train.optimiser.momentum_burnin": 10,
    "protocol.phases.train.optimiser.bias_rate": 2.0,
    "protocol.phases.train.evaluation_moves_statistics": True,
    "protocol.phases.train.batch_size": 121,
    "protocol.phases.train.sampler": "fixed",
    "protocol.phases.train.drop_last": False,
    "protocol.phases.train.clip.kind": "global",
    "protocol.phases.train.clip.norm": 9.0,
    "protocol.phases.train.budget.unit": "steps",
    "protocol.phases.train.budget.amount": 201,
    "protocol.phases.train.evaluate_every": 5,
    "protocol.phases.train.keep": "last",
    "protocol.phases.train.monitor": "separation",
    "protocol.phases.train.patience": None,
    "replicate": 1,
}


class Dog(Frozen):
    """A model as it was first released."""

    name: str
    legs: int = 4


class LaterDog(Dog):
    """The same model with two fields that were added later."""

    introduced: ClassVar[Mapping[str, Any]] = {"tail": "long", "tricks": ()}
    tail: str = "long"
    tricks: tuple[str, ...] = ()


class Kennel(Frozen):
    dogs: tuple[Dog | LaterDog, ...] = ()


def hashed(plain: Any) -> str:
    """Return the run id of plain JSON values, computed without the suite."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def leaves(plain: Any, prefix: str = "") -> Iterator[str]:
    for key, value in plain.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["id"])
def test_golden_run_id(entry):
    assert RunSpec.model_validate(entry["spec"]).run_id == entry["id"]
    assert hashed(entry["spec"]) == entry["id"]


def test_twenty_different_run_ids_are_pinned():
    assert len({entry["id"] for entry in GOLDEN}) == len(GOLDEN) == 20


def test_run_id_is_the_hash_of_the_canonical_json():
    spec = RunSpec.model_validate(SPEC)
    assert canonical_json(spec) == json.dumps(SPEC, sort_keys=True, separators=(",", ":"))
    assert spec.run_id == hashed(SPEC)
    assert len(spec.run_id) == 16


def test_every_field_is_changed_by_the_test_below():
    assert set(leaves(RunSpec.model_validate(SPEC).model_dump(mode="json"))) == set(OTHER)


def test_the_run_id_of_a_copy_is_that_of_its_own_values_whatever_was_computed_before():
    spec = RunSpec.model_validate(GOLDEN[0]["spec"])
    changes = (
        {"replicate": 7},
        {"method": "other"},
        {"method": "other", "replicate": 7},
        {"params": {**spec.params, "more": 1}},
        {"protocol": Protocol()},
        {"data": spec.data.model_copy(update={"samples": 3})},
        {},
    )
    for known in (False, True):
        for change in changes:
            copy = (spec if known else RunSpec.model_validate(GOLDEN[0]["spec"])).model_copy(update=change)
            again = copy.model_copy(update={"replicate": copy.replicate})
            for each in (copy, again):
                assert each.run_id == hashlib.sha256(canonical_json(each).encode()).hexdigest()[:16]
        assert spec.run_id
    assert spec == RunSpec.model_validate(GOLDEN[0]["spec"])
    assert canonical_json(spec) == canonical_json(RunSpec.model_validate(GOLDEN[0]["spec"]))


@pytest.mark.parametrize("path", OTHER)
def test_changing_any_field_changes_the_run_id(path):
    before = RunSpec.model_validate(SPEC)
    after = RunSpec.model_validate(with_values(SPEC, {path: OTHER[path]}))
    assert after.run_id != before.run_id


def test_a_spec_survives_the_way_through_json():
    spec = RunSpec.model_validate(SPEC)
    again = RunSpec.model_validate(json.loads(canonical_json(spec)))
    assert again == spec
    assert again.run_id == spec.run_id


def test_the_order_of_keys_does_not_count():
    turned = dict(reversed(SPEC.items())) | {"params": dict(reversed(SPEC["params"].items()))}
    assert list(turned["params"]) != list(SPEC["params"])
    assert RunSpec.model_validate(turned).run_id == hashed(SPEC)


def test_lists_and_tuples_are_the_same_but_their_order_counts():
    assert canonical_json({"a": (1, [2, 3])}) == canonical_json({"a": [1, (2, 3)]}) == '{"a":[1,[2,3]]}'
    assert canonical_json([1, 2]) != canonical_json([2, 1])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-3, "0.001"), (1e-7, "1e-07"), (0.1 + 0.2, "0.30000000000000004"), (1e22, "1e+22"), (10.0, "10.0"), (3, "3")],
)
def test_numbers_are_written_by_their_shortest_round_trip(value, text):
    assert canonical_json({"a": value}) == f'{{"a":{text}}}'
    assert json.loads(text) == value


def test_an_integer_in_a_field_of_floats_is_that_float():
    assert canonical_json(Clip(norm=10)) == canonical_json(Clip(norm=10.0)) == '{"kind":"none","norm":10.0}'


def test_text_is_escaped_to_ascii():
    assert canonical_json({"b": "é", "a": None, "c": True}) == '{"a":null,"b":"\\u00e9","c":true}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_refused(value):
    with pytest.raises(ValidationError):
        Optimiser(lr=value)
    with pytest.raises(ValidationError):
        RunSpec.model_validate(with_values(SPEC, {"params.width": value}))


def test_a_field_added_later_does_not_change_the_id_while_it_has_its_introduction_default():
    assert canonical_json(LaterDog(name="Rex")) == canonical_json(Dog(name="Rex")) == '{"legs":4,"name":"Rex"}'
    assert canonical_json(LaterDog(name="Rex", tail="long", tricks=())) == canonical_json(Dog(name="Rex"))
    assert canonical_json(Kennel(dogs=(LaterDog(name="Rex"),))) == '{"dogs":[{"legs":4,"name":"Rex"}]}'


def test_a_field_added_later_counts_when_it_has_another_value():
    assert canonical_json(LaterDog(name="Rex", tail="short")) == '{"legs":4,"name":"Rex","tail":"short"}'
    assert json.loads(canonical_json(Kennel(dogs=(LaterDog(name="Rex", tricks=["sit"]),)))) == {
        "dogs": [{"legs": 4, "name": "Rex", "tricks": ["sit"]}]
    }


def test_defaults_of_the_first_release_are_never_omitted():
    assert json.loads(canonical_json(Budget())) == {"unit": "epochs", "amount": 200}


def test_the_default_of_a_field_added_later_is_its_introduction_default():
    # Otherwise the canonical JSON of a stored run would be read back as another run.
    load_plugins()
    models = {RunSpec, DataSpec, Protocol, Phase, Budget, Clip, Optimiser} | {m.Params for m in METHODS.values()}
    for model in models:
        for name, value in model.introduced.items():
            assert model.model_fields[name].get_default() == value, (model, name)


@pytest.mark.parametrize("model", [RunSpec.model_validate(SPEC), Phase(), Optimiser(), DataSpec(name="a", digest="b")])
def test_specs_cannot_be_changed(model):
    name = next(iter(type(model).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model, name, getattr(model, name))


@pytest.mark.parametrize("path", ["seed", "data.size", "protocol.epochs", "protocol.phases.train.clip.value"])
def test_unknown_fields_are_refused(path):
    with pytest.raises(ValidationError, match="Extra inputs"):
        RunSpec.model_validate(with_values(SPEC, {path: 1}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicate", -1),
        ("data.samples", 0),
        ("protocol.phases.train.batch_size", 0),
        ("protocol.phases.train.optimiser.lr", 0.0),
        ("protocol.phases.train.optimiser.name", "lbfgs"),
        ("protocol.phases.train.evaluate_every", 0),
        ("protocol.phases.train.patience", 0),
        ("protocol.phases.train.budget.amount", -1),
    ],
)
def test_impossible_values_are_refused(path, value):
    with pytest.raises(ValidationError):
        RunSpec.model_validate(with_values(SPEC, {path: value}))


def test_with_values_replaces_dotted_paths_and_leaves_its_input_alone():
    model = {"a": {"b": {"c": 1, "d": 2}}, "e": 3}
    changed = with_values(model, {"a.b.c": 10, "a.new.f": 4, "e": {"g": 5}})
    assert changed == {"a": {"b": {"c": 10, "d": 2}, "new": {"f": 4}}, "e": {"g": 5}}
    assert model == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}
    changed["a"]["b"]["d"] = 99
    assert model["a"]["b"]["d"] == 2


def test_validated_gives_the_model():
    assert validated(Clip, {"kind": "tensor", "norm": 3}, "clip") == Clip(kind="tensor", norm=3.0)


def test_a_misspelt_field_is_answered_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        validated(Phase, {"bach_size": 3}, "the phase")
    assert str(caught.value) == "there is no field of the phase named 'bach_size'; did you mean 'batch_size'?"


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"batch_size": 0}, ("the phase", "batch_size", "0", "greater than or equal to 1")),
        ({"clip": {"kind": "tensr"}}, ("the phase", "clip.kind", "'tensr'", "'tensor'")),
        ({"optimiser": {"lr": "fast"}}, ("the phase", "optimiser.lr", "'fast'")),
        ({"sampler": "none", "batch_size": 0}, ("the phase", "batch_size")),
        ({"clip": {"limit": 3}}, ("the phase", "clip.limit")),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_it(values, parts):
    with pytest.raises(UsageError) as caught:
        validated(Phase, values, "the phase")
    message = str(caught.value)
    assert all(part in message for part in parts)
    assert "\n" not in message
    assert message.endswith((".", "?"))
