"""Companions by classification against their printed sum in float64, and what they add to DDC."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.registry import METHODS, load_plugins
from methods.parts.companion_classifiers import Classifier, bernoulli_divergence

load_plugins()
RNG = np.random.default_rng(0)
U, V = (RNG.dirichlet(np.ones(4), size=7) for _ in range(2))


def printed(u: np.ndarray, v: np.ndarray) -> float:
    """The sum of dtkc2019 section 17.8, term by term."""
    total = 0.0
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            total += u[i, j] * np.log(v[i, j] / u[i, j]) + (1 - u[i, j]) * np.log((1 - v[i, j]) / (1 - u[i, j]))
    return -total


def test_the_companion_is_the_printed_sum_and_the_mean_divides_it_by_the_samples():
    u, v = torch.from_numpy(U), torch.from_numpy(V)
    assert float(bernoulli_divergence(u, v)) == pytest.approx(printed(U, V), rel=1e-12)
    assert float(bernoulli_divergence(u, v, "mean")) == pytest.approx(printed(U, V) / 7, rel=1e-12)


def test_its_gradients_are_those_of_the_formula():
    u, v = (torch.from_numpy(p).requires_grad_() for p in (U, V))
    bernoulli_divergence(u, v).backward()
    np.testing.assert_allclose(v.grad, -U / V + (1 - U) / (1 - V), rtol=1e-10)
    np.testing.assert_allclose(u.grad, np.log(U / V) - np.log((1 - U) / (1 - V)), rtol=1e-9, atol=1e-12)


def test_it_is_zero_for_equal_assignments_and_finite_for_hard_ones():
    u, hard = torch.from_numpy(U), torch.eye(4, dtype=torch.float64)
    assert float(bernoulli_divergence(u, u)) == pytest.approx(0.0, abs=1e-12)
    wrong = bernoulli_divergence(hard, hard.roll(1, 0))
    assert torch.isfinite(wrong) and float(wrong) > 0


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="reduction must be one of sum, mean"):
        bernoulli_divergence(torch.from_numpy(U), torch.from_numpy(V), "max")


def test_a_classifier_is_a_softmax_of_a_linear_map_of_the_flattened_layer():
    layer, tap = Classifier(12, 3), torch.from_numpy(RNG.normal(size=(5, 3, 2, 2)).astype(np.float32))
    w, b = (p.detach().double().numpy() for p in (layer.output.weight, layer.output.bias))
    logits = tap.double().numpy().reshape(5, -1) @ w.T + b
    np.testing.assert_allclose(
        layer(tap).detach(), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5
    )


def images(n: int = 24) -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(n, 1, 24, 24)).astype(np.float32)


def test_the_total_is_ddc_with_lambda_times_each_companion():
    method = METHODS["dtkc-sm"]
    params = method(3, companion_weight=0.25).checked_params()
    ddc = METHODS["ddc"](3)
    assert method(3).weights(params) == ddc.weights(ddc.checked_params()) | {"classifier_1": 0.25, "classifier_2": 0.25}


def fitted(**params: object) -> object:
    estimator = METHODS["dtkc-sm"](3, epochs=1, **params)
    spec = estimator.default_protocol.phases["train"].model_copy(update={"batch_size": 12})
    return estimator.set_params(protocol=estimator.default_protocol.model_copy(update={"phases": {"train": spec}})).fit(
        images()
    )


def test_companions_move_the_assignments_unless_they_are_detached():
    """With weight 0, or detached from weights that only the companions reach, the clustering layer trains as in DDC."""
    heads = {
        name: fitted(**params).model_.head.output.weight.detach()
        for name, params in {
            "none": {"companion_weight": 0.0},
            "detached": {"companion_weight": 10.0, "detach_assignments": True, "taps": ("block1_pool",)},
            "attached": {"companion_weight": 10.0, "taps": ("block1_pool",)},
        }.items()
    }
    assert not torch.equal(heads["none"], heads["attached"])
    assert not torch.equal(heads["detached"], heads["attached"])
