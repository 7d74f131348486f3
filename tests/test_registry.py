"""Names to plug-ins: help for typing errors, no silent replacement, and packages that resolve beside benchmark."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from benchmark import registry
from benchmark.errors import UsageError, UserError
from benchmark.registry import DATASETS, METHODS, NETWORKS, Registry, check_siblings, load_plugins
from tests.support.checkout import ROOT


@pytest.fixture
def fruits() -> Registry[object]:
    found: Registry[object] = Registry("fruit")
    for name in ("pear", "apple", "orange"):
        found.add(name, f"a {name}")
    return found


def class_from_module(module: str) -> type:
    """Return a class `Plum`, made anew as a reload of `module` would make it."""
    namespace = ModuleType(module).__dict__
    exec("class Plum: pass", namespace)
    return namespace["Plum"]


def test_registry_is_a_mapping_in_the_order_of_names(fruits):
    assert list(fruits) == ["apple", "orange", "pear"]
    assert len(fruits) == 3
    assert fruits["pear"] == "a pear"
    assert "pear" in fruits
    assert "plum" not in fruits


def test_a_wrong_name_is_answered_with_the_nearest_right_one(fruits):
    with pytest.raises(UsageError) as caught:
        fruits["orang"]
    assert str(caught.value) == "there is no fruit named 'orang'; did you mean 'orange'?"


def test_a_name_in_capitals_is_near(fruits):
    with pytest.raises(UsageError, match="did you mean 'orange'"):
        fruits["ORANGE"]


def test_a_name_far_from_all_is_answered_with_all_of_them(fruits):
    with pytest.raises(UsageError) as caught:
        fruits["zzz"]
    assert str(caught.value) == "there is no fruit named 'zzz'; known: apple, orange, pear."


def test_a_second_entry_of_one_name_is_refused_and_the_first_stays(fruits):
    first, second = class_from_module("here"), class_from_module("elsewhere")
    fruits.add("plum", first)
    with pytest.raises(UsageError) as caught:
        fruits.add("plum", second)
    assert str(caught.value) == "two fruits are named 'plum': here.Plum and elsewhere.Plum."
    assert fruits["plum"] is first


def test_the_same_entry_may_be_registered_again(fruits):
    fruits.add("pear", "a pear")
    assert len(fruits) == 3


def test_a_class_of_a_reloaded_module_replaces_its_former_self(fruits):
    fruits.add("plum", class_from_module("here"))
    reloaded = class_from_module("here")
    fruits.add("plum", reloaded)
    assert fruits["plum"] is reloaded


def test_a_wrong_call_is_an_error_of_the_user():
    assert issubclass(UsageError, UserError)


def test_load_plugins_finds_the_methods_data_sets_and_networks_of_the_siblings():
    load_plugins()
    assert {"k-means", "ddc", "ddc-ae", "ddc-uco-n", "ddc-uco-t"} <= set(METHODS)
    assert {"digits", "mnist", "mnist-full", "usps", "coil-100", "coil100-32px"} <= set(DATASETS)
    assert "cnn-small" in NETWORKS


def test_load_plugins_is_idempotent():
    load_plugins()
    before = [dict(r) for r in (METHODS, DATASETS, NETWORKS)]
    load_plugins()
    after = [dict(r) for r in (METHODS, DATASETS, NETWORKS)]
    for old, new in zip(before, after, strict=True):
        assert list(old) == list(new)
        assert all(old[name] is new[name] for name in old)


def test_plugins_know_the_name_under_which_they_are_registered():
    load_plugins()
    assert {name: METHODS[name].method_name for name in METHODS} == {name: name for name in METHODS}
    assert {name: DATASETS[name].name for name in DATASETS} == {name: name for name in DATASETS}


def test_register_method_gives_a_class_back_with_its_name(monkeypatch):
    monkeypatch.setattr(registry, "METHODS", Registry("method"))
    plum = class_from_module("here")
    assert registry.register_method("plum")(plum) is plum
    assert plum.method_name == "plum"
    assert registry.METHODS["plum"] is plum


@pytest.mark.parametrize("group", ["reclust.methods", "reclust.datasets"])
def test_entry_points_of_other_packages_are_loaded(monkeypatch, group):
    loaded = []
    point = SimpleNamespace(name="plum", load=lambda: loaded.append(group))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [point] if group == wanted else [])
    wanted = group
    load_plugins()
    assert loaded == [group]


def test_siblings_of_this_checkout_are_accepted():
    check_siblings()


@pytest.mark.parametrize("name", ["datasets", "methods", "paper_tables"])
def test_a_package_of_the_same_name_in_the_working_directory_is_refused(tmp_path, name):
    decoy = tmp_path / name
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise RuntimeError('the decoy was imported')\n")
    script = "from benchmark.registry import UsageError, load_plugins\ntry:\n    load_plugins()\n"
    script += "except UsageError as error:\n    print(error)\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"the package {name!r} must lie beside benchmark" in done.stdout
    assert str(ROOT / name) in done.stdout
    assert str(decoy.resolve()) in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_missing_sibling_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="Python finds it at nowhere"):
        check_siblings()
