"""DCN and VaDE of ClustPy: what the wrapper promises of labels, losses and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from benchmark.registry import load_plugins
from benchmark.spec import Budget, Protocol
from methods import ClustPyDCN, ClustPyVaDE

load_plugins()
pytestmark = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('clustpy')",
    reason="needs clustpy: pip install 'reclust[baselines]'",
)


def groups() -> tuple[np.ndarray, np.ndarray]:
    """Return separated groups (120, 8) with values in [0, 1], in no order, and their labels."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.arange(120) % 3)
    x = 8 * np.eye(3, 8)[truth] + rng.normal(size=(120, 8))
    return ((x - x.min()) / (x.max() - x.min())).astype(np.float32), truth


def small(method: Any, **arguments: Any) -> Any:
    phases = method.default_protocol.phases
    short = {n: p.model_copy(update={"batch_size": 20, "budget": Budget(amount=30)}) for n, p in phases.items()}
    return method(
        3, **{"protocol": Protocol(phases=short), "layers": (32, 16), "embedding": 4, "starts": 5, **arguments}
    )


@pytest.mark.parametrize("method", [ClustPyDCN, ClustPyVaDE])
def test_groups_are_found_the_same_way_each_time(method: Any) -> None:
    x, truth = groups()
    first, second = small(method).fit(x), small(method).fit(x)
    if method is ClustPyDCN:
        assert adjusted_rand_score(truth, first.labels_) > 0.9
    np.testing.assert_array_equal(first.labels_, second.labels_)
    assert first.embedding_.tobytes() == second.embedding_.tobytes()
    assert first.outcome_ == second.outcome_
    assert (first.outcome_.epochs, first.outcome_.steps) == (60, 360)


def test_losses_of_dcn_are_those_of_all_samples_with_half_the_weight() -> None:
    x, _ = groups()
    model = small(ClustPyDCN, clustering_weight=0.4, reconstruction_weight=2.0).fit(x)
    away = model.embedding_ - model.cluster_centers_[model.labels_]
    losses = model.outcome_.losses
    assert losses["clustering"] == pytest.approx((away**2).sum(axis=1).mean(), rel=1e-5)
    assert model.outcome_.loss == pytest.approx(0.2 * losses["clustering"] + 2 * losses["reconstruction"])


def test_the_objective_of_vade_falls_with_training() -> None:
    x, _ = groups()
    phases = small(ClustPyVaDE).protocol.phases
    once = {**phases, "clustpy-cluster": phases["clustpy-cluster"].model_copy(update={"budget": Budget(amount=1)})}
    assert (
        small(ClustPyVaDE).fit(x).outcome_.loss
        < small(ClustPyVaDE, protocol=Protocol(phases=once)).fit(x).outcome_.loss
    )


def test_vade_refuses_values_that_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match=r"needs values in \[0, 1\]"):
        small(ClustPyVaDE).fit(2 * groups()[0])
