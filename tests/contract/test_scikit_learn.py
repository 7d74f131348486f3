"""scikit-learn's own checks of estimators, on one method of each family."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from benchmark.spec import Budget, Optimiser, Phase, Protocol
from methods import (
    DDC,
    DDCUCOT,
    IDEC,
    LSNMF,
    SEC,
    SSCOMP,
    AEKMeans,
    Agglomerative,
    ClustPyDEC,
    EnSC,
    GaussianMixture,
    KernelKMeans,
    KMeans,
    Spectral,
)
from methods.parts.vector_networks import Dense, VectorNetwork

NARROW = VectorNetwork(tuple(Dense(f"layer{number}", 8) for number in (1, 2, 3)), hidden=8)
DDCS = {"network": NARROW, "epochs": 10, "batch_size": 8, "learning_rate": 3e-3, "threads": 1}
ADAM = Phase(
    optimiser=Optimiser(lr=3e-3),
    batch_size=8,
    drop_last=False,
    budget=Budget(amount=5),
    evaluate_every=5,
    keep="last",
)
DECS = {
    "network": NARROW,
    "initialisation": "glorot",
    "pretraining": "end-to-end",
    "protocol": Protocol(phases={"pretrain": ADAM, "cluster": ADAM}),
    "threads": 1,
}
QUICK = [KMeans(2, starts=2), SEC(2, neighbours=3, starts=2)]
TRAINED = [DDC(2, **DDCS), DDCUCOT(2, taps=("layer1",), **DDCS), AEKMeans(2, **DECS), IDEC(2, **DECS)]
CLASSICAL = [
    GaussianMixture(2), Agglomerative(2), Spectral(2), EnSC(2), SSCOMP(2), LSNMF(2), KernelKMeans(2)
]  # fmt: skip
CLUSTPY = [ClustPyDEC(2, layers=(8,), epochs=1, pretrain_epochs=1, batch_size=8)] if find_spec("clustpy") else []

ONE_CLUSTER = "it sets n_clusters = 1: that is no clustering, and is refused"

OWN_REASONS = {
    "SSCOMP": {"check_clustering": "its clusters are subspaces through the origin, and those of the check are blobs"},
    "LSNMF": {"check_clustering": "it makes no more clusters than samples have values, of three in the plane"},
    "KernelKMeans": {"check_clustering": "one of three clusters loses all its samples, and stays empty"},
}
"""Checks that one method does not pass, with the reason, by its name."""


def expected_failed_checks(estimator: Any) -> dict[str, str]:
    """Return the checks that a method does not pass, with the reason."""
    return OWN_REASONS.get(type(estimator).__name__, {}) | {
        "check_dont_overwrite_parameters": ONE_CLUSTER,
        "check_methods_subset_invariance": ONE_CLUSTER,
        "check_fit2d_1sample": ONE_CLUSTER,
        "check_fit2d_1feature": ONE_CLUSTER,
        "check_fit2d_predict1d": ONE_CLUSTER,
    }


@pytest.mark.filterwarnings("default")
@parametrize_with_checks(QUICK, expected_failed_checks=expected_failed_checks, xfail_strict=True)
def test_check_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@parametrize_with_checks(CLASSICAL, expected_failed_checks=expected_failed_checks, xfail_strict=True)
def test_check_of_scikit_learn_on_a_classical_method(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@parametrize_with_checks([*TRAINED, *CLUSTPY], expected_failed_checks=expected_failed_checks, xfail_strict=True)
def test_check_of_scikit_learn_on_a_method_that_trains(estimator, check):
    check(estimator)


X = np.random.default_rng(0).normal(size=(40, 6)) + np.repeat([[0.0], [6.0]], 20, axis=0)
FITTED = [KMeans(2), SEC(2), DDC(2, **DDCS), IDEC(2, **DECS)]
every_fitted = pytest.mark.parametrize("estimator", FITTED, ids=lambda estimator: type(estimator).__name__)


@every_fitted
def test_what_the_checks_with_one_cluster_ask_holds_with_two(estimator):
    before = estimator.get_params()
    fitted = estimator.fit(X)
    assert {name for name in vars(fitted) if not name.endswith("_")} == set(before) == set(fitted.get_params())
    for call in ("predict", "predict_proba", "transform"):
        if hasattr(fitted, call):
            whole = getattr(fitted, call)(X)
            parts = np.concatenate([getattr(fitted, call)(part) for part in np.array_split(X, 20)])
            np.testing.assert_allclose(whole, parts, atol=1e-5)
    with pytest.raises(ValueError, match="Reshape your data"):
        fitted.predict(X[0])
    with pytest.raises(ValueError, match="1 sample"):
        estimator.fit(X[:1])
    assert len(set(estimator.fit(X[:, :1]).labels_)) in (1, 2)


@pytest.mark.parametrize("estimator", FITTED[2:], ids=lambda estimator: type(estimator).__name__)
def test_the_embedding_comes_as_a_data_frame_where_that_is_set(estimator):
    fitted = estimator.fit(X)
    plain = fitted.transform(X)
    fitted.set_output(transform="pandas")
    table = fitted.transform(X)
    assert list(table.columns) == [f"{type(fitted).__name__.lower()}{number}" for number in range(plain.shape[1])]
    np.testing.assert_array_equal(table.to_numpy(), plain)
    fitted.set_output(transform="default")
