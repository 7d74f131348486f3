"""DEC and IDEC of ClustPy: what the wrapper promises, and that ClustPy does what the docstrings say of it."""

from __future__ import annotations

import random
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from benchmark.errors import UserError
from benchmark.execution.execute import execute
from benchmark.registry import DATASETS, load_plugins
from benchmark.spec import Budget, Clip, DataSpec, Optimiser, Protocol, RunSpec
from benchmark.streams import Streams
from benchmark.training import Diverged, RunContext
from methods.baselines import clustpy_baselines

load_plugins()
ClustPyDEC, ClustPyIDEC = clustpy_baselines.ClustPyDEC, clustpy_baselines.ClustPyIDEC
needs_clustpy = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('clustpy')", reason="needs clustpy")
PRETRAIN, CLUSTER = clustpy_baselines.PRETRAIN, clustpy_baselines.CLUSTER
both = pytest.mark.parametrize("method", [ClustPyDEC, ClustPyIDEC])


@cache
def groups() -> tuple[np.ndarray, np.ndarray]:
    """Return separated groups (120, 8), in no order, and their labels."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.arange(120) % 3)
    return (8 * np.eye(3, 8)[truth] + rng.normal(size=(120, 8))).astype(np.float32), truth


def protocol(phase: str | None = None, **changes: Any) -> Protocol:
    """Return the default protocol with few epochs of small batches, and changes to one phase."""
    phases = dict(ClustPyDEC.default_protocol.phases)
    for name, found in phases.items():
        short = {"batch_size": 40, "budget": Budget(amount=10)}
        phases[name] = found.model_copy(update={**short, **(changes if name == phase else {})})
    return Protocol(phases=phases)


def small(method: Any, **arguments: Any) -> Any:
    return method(3, **{"protocol": protocol(), "layers": (32, 16), "embedding": 4, **arguments})


@needs_clustpy
@both
def test_separated_groups_are_found_the_same_way_each_time(method):
    x, truth = groups()
    first, second = small(method).fit(x), small(method).fit(x)
    assert adjusted_rand_score(truth, first.labels_) > 0.9
    np.testing.assert_array_equal(first.labels_, second.labels_)
    assert first.embedding_.tobytes() == second.embedding_.tobytes()
    assert first.outcome_ == second.outcome_
    assert (first.outcome_.epochs, first.outcome_.steps) == (20, 60)


@needs_clustpy
def test_labels_are_those_of_the_nearest_centre_and_losses_those_of_all_samples():
    x, _ = groups()
    model = small(ClustPyIDEC, clustering_weight=0.5, reconstruction_weight=2.0).fit(x)
    z, centres = model.embedding_.astype(np.float64), model.cluster_centers_.astype(np.float64)
    d2 = ((z[:, None] - centres[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, d2.argmin(axis=1))
    q = 1 / (1 + d2)
    q /= q.sum(axis=1, keepdims=True)
    p = q**2 / q.sum(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    losses = model.outcome_.losses
    assert losses["clustering"] == pytest.approx((p * np.log(p / q)).sum() / len(x), rel=1e-3, abs=1e-7)
    assert model.outcome_.loss == pytest.approx(0.5 * losses["clustering"] + 2 * losses["reconstruction"])
    assert set(small(ClustPyDEC).fit(x).outcome_.losses) == {"clustering"}


@needs_clustpy
def test_reconstruction_is_a_sum_over_features_that_falls_with_pre_training():
    x, _ = groups()
    none = small(ClustPyIDEC, protocol=protocol(PRETRAIN, budget=Budget(amount=0)), epochs=1).fit(x)
    some = small(ClustPyIDEC, protocol=protocol(PRETRAIN, budget=Budget(amount=40)), epochs=1).fit(x)
    power = float((x**2).sum(axis=1).mean())
    # Without training, an auto-encoder gives nearly zeros.
    assert none.outcome_.losses["reconstruction"] == pytest.approx(power, rel=0.2)
    assert some.outcome_.losses["reconstruction"] < 0.5 * none.outcome_.losses["reconstruction"]


@needs_clustpy
@both
def test_the_only_randomness_is_the_stream_clustpy_and_generators_of_all_are_left_alone(
    method, capfd, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    random.seed(5)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    streams, seen = Streams("groups", 2), []
    run = RunContext(streams, protocol(), progress=lambda *report: seen.append(report))
    small(method).fit(groups()[0], run=run)
    assert streams.used - {"torch"} == {"clustpy"}  # every fit seeds the global generator of torch
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert seen == [(name, epoch, 10) for name in (PRETRAIN, CLUSTER) for epoch in range(1, 11)]
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@needs_clustpy
def test_the_parameters_reach_clustpy(monkeypatch):
    import clustpy.deep

    given: list[dict[str, Any]] = []
    original = clustpy.deep.IDEC

    def recorded(*args: Any, **kwargs: Any) -> Any:
        given.append(kwargs | {"n_clusters": args[0]})
        return original(*args, **kwargs)

    monkeypatch.setattr(clustpy.deep, "IDEC", recorded)
    sgd = Optimiser(name="sgd", lr=0.25, momentum=0.5)
    run = protocol(CLUSTER, optimiser=sgd, batch_size=30, budget=Budget(amount=2))
    model = small(ClustPyIDEC, protocol=run, starts=7, clustering_weight=0.3, reconstruction_weight=1e-3).fit(
        groups()[0]
    )
    assert model.outcome_.steps == 10 * 3 + 2 * 4
    (kwargs,) = given
    optimiser = kwargs.pop("optimizer_class")([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimiser, torch.optim.SGD)
    assert (optimiser.defaults["lr"], optimiser.defaults["momentum"]) == (0.25, 0.5)
    widths = [layer.out_features for layer in kwargs["neural_network"].encoder.block if hasattr(layer, "out_features")]
    assert widths == [32, 16, 4]
    expected = {"n_clusters": 3, "batch_size": 30, "clustering_epochs": 2, "embedding_size": 4}
    expected |= {"clustering_loss_weight": 0.3, "ssl_loss_weight": 1e-3, "initial_clustering_params": {"n_init": 7}}
    assert kwargs.items() >= expected.items()


@needs_clustpy
def test_defaults_are_those_of_clustpy():
    from clustpy.deep import DEC, IDEC

    for ours, theirs in ((ClustPyDEC(3), DEC()), (ClustPyIDEC(3), IDEC())):
        phases = ours.default_protocol.phases
        assert ours.weights(ours.checked_params())["clustering"] == theirs.clustering_loss_weight
        assert (ours.embedding, phases[CLUSTER].batch_size) == (theirs.embedding_size, theirs.batch_size)
        epochs = [phase.budget.amount for phase in phases.values()]
        assert epochs == [theirs.pretrain_epochs, theirs.clustering_epochs]
        found = theirs._check_parameters(np.zeros((9, 2)))[3:5]
        assert [phase.optimiser.lr for phase in phases.values()] == [params["lr"] for params in found]
        assert theirs.optimizer_class is torch.optim.Adam
    assert ClustPyIDEC(3).reconstruction_weight == IDEC().ssl_loss_weight


@needs_clustpy
def test_the_known_differences_from_the_authors_protocol_hold_in_the_installed_version():
    from clustpy.deep import DEC, mean_squared_error
    from clustpy.deep.dec import _DEC_Module
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    z = torch.from_numpy(groups()[0][:20, :4].copy())
    module = _DEC_Module(z[:3].numpy(), 1.0)
    whole, *halves = (module.dec_loss(part).item() for part in (z, z[:10], z[10:]))
    assert abs(whole - np.mean(halves)) > 1e-3  # the target is that of the batch
    assert float(mean_squared_error(torch.ones(5, 7), torch.zeros(5, 7))) == 7  # a sum over the features
    network = FeedforwardAutoencoder([4, 3, 2])
    assert any(isinstance(layer, torch.nn.LeakyReLU) for layer in network.encoder.block)
    model = DEC(3, pretrain_epochs=1, clustering_epochs=1, random_state=1).fit(groups()[0])
    again = torch.cdist(
        torch.from_numpy(model.transform(groups()[0])), torch.from_numpy(model.cluster_centers_).float()
    )
    np.testing.assert_array_equal(model.labels_, again.argmin(dim=1))  # the last k-means', not DEC's own


@needs_clustpy
def test_a_loss_that_is_lost_ends_the_run_as_diverged():
    x = groups()[0] / 20  # within [-1, 1]: else the samples are named as the cause
    wild = protocol(PRETRAIN, optimiser=Optimiser(name="sgd", lr=1e9))
    with pytest.raises(Diverged, match="pretrain"):
        small(ClustPyDEC, protocol=wild).fit(x)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sampler": "fixed"}, "sampler"),
        ({"drop_last": True}, "drop_last"),
        ({"clip": Clip(kind="global")}, "clip"),
        ({"keep": "best"}, "keep"),
        ({"patience": 3}, "patience"),
        ({"budget": Budget(unit="steps")}, "epochs"),
        ({"optimiser": Optimiser(decay=0.1, decay_every=5)}, "decay_every=0"),
    ],
)
def test_a_protocol_that_clustpy_cannot_follow_is_refused_in_one_sentence(changes, word):
    with pytest.raises(ValueError, match=word) as caught:
        small(ClustPyDEC, protocol=protocol(CLUSTER, **changes)).fit(groups()[0])
    assert "\n" not in str(caught.value)


@both
def test_without_clustpy_a_fit_and_a_run_say_what_to_install(method, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "clustpy"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "clustpy", None)  # an import of it fails
    with pytest.raises(UserError, match=r"^ClustPy is not installed: pip install 'reclust\[baselines\]'\.$"):
        small(method).fit(groups()[0])
    name = method.method_name
    params = small(method).checked_params().canonical()
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=60)
    record = execute(RunSpec(method=name, params=params, data=data, protocol=protocol(), replicate=0)).record
    assert record.status == "failed" and "pip install 'reclust[baselines]'" in record.error
