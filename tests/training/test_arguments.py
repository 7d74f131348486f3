"""The arguments that every method has: budgets, batches, seeds, devices, threads, callbacks, and what is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from benchmark.errors import UsageError
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from benchmark.training import CollapseWarning, Snapshot
from benchmark.training.arguments import computing_with, device_named, streams_of
from methods import DDC, DEC, IDEC, AEKMeans, KMeans
from methods.parts.vector_networks import Dense, VectorNetwork
from tests.support.checkout import ROOT

load_plugins()
X = np.random.default_rng(0).random((100, 1, 28, 28), dtype=np.float32)
FLAT = X.reshape(100, -1)[:, :40]
NARROW = VectorNetwork((Dense("layer1", 8), Dense("layer2", 8)), hidden=8)
DECS = {"network": NARROW, "initialisation": "glorot"}


def budgets(estimator: Any) -> dict[str, tuple[str, int, int, float]]:
    phases = estimator._standalone().protocol.phases
    return {n: (p.budget.unit, p.budget.amount, p.batch_size, p.optimiser.lr) for n, p in phases.items()}


def test_a_small_data_set_is_fitted_with_small_batches_and_without_them_the_error_names_the_argument():
    fitted = DDC(n_clusters=3, epochs=1, batch_size=50).fit(X)
    assert fitted.outcome_.steps == 2
    with pytest.raises(ValueError, match="smaller batch_size"):
        DDC(n_clusters=3, epochs=1).fit(X)
    assert "batch_size" in DDC(n_clusters=3).get_params()


def test_each_argument_reaches_every_phase_of_its_kind_whatever_unit_its_budget_has():
    default = budgets(IDEC(3))
    assert {unit for unit, *_ in default.values()} == {"steps"}
    changed = budgets(IDEC(3, epochs=3, pretrain_epochs=2, batch_size=32, learning_rate=0.5))
    rate = default["layer"][-1]
    assert changed == {
        "layer": ("epochs", 2, 32, rate),
        "pretrain": ("epochs", 2, 32, rate),
        "cluster": ("epochs", 3, 32, 0.5),
    }
    assert budgets(IDEC(3, epochs=3)) == default | {"cluster": ("epochs", 3, *default["cluster"][2:])}


def test_a_method_that_only_pretrains_takes_either_budget_and_the_rate():
    by_epochs = budgets(AEKMeans(3, epochs=2, learning_rate=0.5))
    assert by_epochs == {name: ("epochs", 2, 256, 0.5) for name in ("layer", "pretrain")}
    assert budgets(AEKMeans(3, pretrain_epochs=2, learning_rate=0.5)) == by_epochs
    assert budgets(AEKMeans(3, pretrain_epochs=2, epochs=9, learning_rate=0.5)) == by_epochs


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].default_protocol.phases])
def test_no_phase_of_any_method_keeps_its_budget_where_both_are_given(name):
    assert {found[:2] for found in budgets(METHODS[name](3, epochs=2, pretrain_epochs=2)).values()} == {("epochs", 2)}


def test_a_fit_makes_the_epochs_and_batches_asked_for():
    fitted = DEC(3, epochs=2, pretrain_epochs=1, batch_size=25, tolerance=0.0, **DECS).fit(FLAT)
    last = fitted.history_.groupby("phase", sort=False)[["step", "epoch"]].max()
    assert last.loc["cluster"].tolist() == [8, 2] and last.loc["pretrain"].tolist() == [4, 1]
    assert list(last.index) == ["layer-1", "layer-2", "layer-3", "pretrain", "cluster"]


def test_a_budget_in_steps_that_becomes_epochs_is_evaluated_ten_times_and_loses_its_patience_in_steps():
    phase = DEC.default_protocol.phases["cluster"].model_copy(update={"patience": 500})
    protocol = Protocol(phases={**DEC.default_protocol.phases, "cluster": phase})
    found = DEC(3, protocol=protocol, epochs=40)._standalone().protocol.phases["cluster"]
    assert (found.budget, found.evaluate_every, found.patience) == (Budget(amount=40), 4, None)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"learning_rate": 0.0}, {"pretrain_epochs": 0}, {"threads": 0}, {"callbacks": [3]}]
)
def test_arguments_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DDC(3, **wrong).fit(X)


class OwnBatchSize(KMeans):
    """A method whose own parameter has the name of a common argument."""

    class Params(KMeans.Params):
        batch_size: str = "its own"


def test_a_parameter_of_a_method_takes_precedence_over_a_common_argument_of_its_name():
    assert OwnBatchSize(3).batch_size == "its own"
    assert len(OwnBatchSize(3).fit(FLAT).labels_) == 100


def small(**arguments: Any) -> DDC:
    return DDC(3, epochs=1, batch_size=50, **arguments)


def test_equal_seeds_of_any_kind_give_equal_fits_and_a_generator_moves_on():
    x = X[:, :, ::2, ::2].copy()
    network = lambda shape: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(196, 8))  # noqa: E731

    def embedded(state: Any) -> bytes:
        return small(network=network, random_state=state).fit(x).embedding_.tobytes()

    assert embedded(3) == embedded(np.int64(3)) == embedded(Streams("", 3)) != embedded(4)
    for kind in (np.random.RandomState, np.random.default_rng):
        state = kind(5)
        first, second = embedded(state), embedded(state)
        assert first == embedded(kind(5)) != second
    before = np.random.get_state()
    try:
        np.random.seed(7)
        drawn = embedded(None)
        assert drawn != embedded(None)
        np.random.seed(7)
        assert drawn == embedded(None)
    finally:
        np.random.set_state(before)


@pytest.mark.parametrize("wrong", [-1, 1.5, "a", True, [1]])
def test_what_is_no_random_state_is_refused(wrong):
    with pytest.raises(UsageError, match="random_state"):
        streams_of(wrong)


def test_devices_come_by_name_or_as_they_are():
    assert device_named("cpu") == device_named(torch.device("cpu")) == torch.device("cpu")
    assert small(device=torch.device("cpu")).fit(X).device_ == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_devices_that_the_machine_lacks_are_refused_by_their_name(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: name == "cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for given in (name, torch.device(name)):
        with pytest.raises(UsageError, match=f"'{name}' on this machine"):
            device_named(given)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_named(name) == torch.device(name)


@pytest.mark.parametrize("wrong", ["spoon", 3.5, None])
def test_what_is_no_device_is_refused(wrong):
    with pytest.raises(ValueError, match="device"):
        small(device=wrong).fit(X)


def test_callbacks_see_every_evaluation_and_change_nothing():
    seen: list[Snapshot] = []

    def meddling(snapshot: Snapshot) -> None:
        seen.append(snapshot)
        torch.manual_seed(0)
        snapshot.assignments[:] = 0
        for parameter in snapshot.model().parameters():
            parameter.data.zero_()

    plain, watched = small().fit(X), small(callbacks=[meddling]).fit(X)
    assert plain.embedding_.tobytes() == watched.embedding_.tobytes()
    assert plain.labels_.tobytes() == watched.labels_.tobytes()
    shown = [(s.phase, s.step, s.epoch, s.total) for s in seen]
    assert shown == list(watched.history_[["phase", "step", "epoch", "loss"]].itertuples(index=False, name=None))
    small(callbacks=meddling).fit(X)
    assert len(seen) == 2 * len(shown)


def test_the_history_has_the_terms_whose_weighted_sum_is_the_loss():
    history = DDC(3, epochs=8, batch_size=50).fit(X).history_
    assert history["epoch"].tolist() == [0, 4, 8] and history["step"].tolist() == [0, 8, 16]
    terms = history[["separation", "orthogonality", "simplex"]]
    np.testing.assert_allclose(terms.sum(axis=1), history["loss"], rtol=1e-5)
    assert history["clusters"].between(1, 3).all()
    assert KMeans(3).fit(FLAT).history_.empty


def test_verbose_shows_phase_epoch_loss_and_the_time_left(capsys):
    DEC(3, epochs=2, pretrain_epochs=2, batch_size=25, tolerance=0.0, verbose=1, **DECS).fit(FLAT)
    shown = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in shown} == {"layer-1", "layer-2", "layer-3", "pretrain", "cluster"}
    assert shown[-1].startswith("dec: cluster  epoch 2/2  step 8/8  loss ")
    assert re.search(r"  0:00 left$", shown[-1])
    small().fit(X)
    assert capsys.readouterr().out == ""


def test_verbose_says_in_long_phases_how_long_they_last(capsys, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("benchmark.training.following.time.monotonic", lambda: 10.0 * next(clock))
    DDC(3, epochs=40, batch_size=50, verbose=1).fit(X[:, :, :20, :20].copy())
    between = [line for line in capsys.readouterr().out.splitlines() if re.search(r"epoch \d+/40  step \d+/80 ", line)]
    assert len(between) > 3
    assert all(re.search(r"loss [\d.]+  \d+:\d\d(:\d\d)? left$", line) for line in between)


def test_a_fit_that_collapses_warns_and_one_that_does_not_is_silent():
    alike = np.repeat(X[:1], 60, axis=0)
    with pytest.warns(CollapseWarning, match="all 60 samples are in one cluster") as caught:
        DDC(2, epochs=1, batch_size=20).fit(alike)
    assert caught[0].filename == __file__
    apart = np.concatenate([np.zeros((20, 2)), np.ones((20, 2))])
    KMeans(2).fit(apart)


def test_copies_share_callbacks_and_the_weights_to_start_from():
    start = small().fit(X)
    seen: list[Snapshot] = []
    copy = clone(small(pretrained=start, callbacks=seen.append))
    assert copy.pretrained is start and not hasattr(copy, "labels_")
    copy.fit(X)
    assert seen


THREADS = """
import sys, hashlib, numpy as np, torch
from methods import DDC
torch.set_num_threads(int(sys.argv[1]))
x = np.random.default_rng(0).random((240, 1, 28, 28), dtype=np.float32)
fitted = DDC(4, epochs=2, threads=1).fit(x)
assert torch.get_num_threads() == int(sys.argv[1])
print(hashlib.sha256(fitted.embedding_.tobytes() + fitted.predict_proba(x).tobytes()).hexdigest())
"""


def test_with_threads_1_the_number_of_threads_of_the_process_decides_nothing():
    calls = [[sys.executable, "-c", THREADS, number] for number in ("1", "2")]
    first, second = (subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True) for call in calls)
    assert first.stdout == second.stdout != ""


def test_the_number_of_threads_is_put_back_whatever_happens():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), computing_with(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError
    assert torch.get_num_threads() == before
