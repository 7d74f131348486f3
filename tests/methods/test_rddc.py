"""Models of sequences: lengths reach the network and the losses, and padding then has no effect."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Budget, Protocol

load_plugins()
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(3, 7, size=40)


def sequences(steps: int, filler: float = 0.0) -> np.ndarray:
    """Sequences of 3 values, of 3 to 6 steps, filled up to `steps`."""
    x = np.random.default_rng(1).normal(size=(40, 6, 3)).astype(np.float32)
    whole = np.full((40, steps, 3), filler, dtype=np.float32)
    for row, length in enumerate(LENGTHS):
        whole[row, :length] = x[row, :length]
    return whole


def small(name: str, **params: object) -> object:
    phase = METHODS[name].default_protocol.phases["train"]
    changes = {"batch_size": 10, "budget": Budget(amount=2), "evaluate_every": 1}
    return METHODS[name](4, protocol=Protocol(phases={"train": phase.model_copy(update=changes)}), **params)


def left(estimator: object) -> list[bytes]:
    arrays = [estimator.labels_, estimator.embedding_, *(p.numpy() for p in estimator.model_.state_dict().values())]
    return [array.tobytes() for array in arrays] + [repr(estimator.outcome_).encode()]


@pytest.mark.parametrize("name", ["rddc", "rdtkc"])
def test_padded_sequences_give_the_bits_of_unpadded_ones_where_lengths_are_used(name):
    plain = small(name).fit(sequences(6), lengths=LENGTHS)
    assert left(small(name).fit(sequences(9), lengths=LENGTHS)) == left(plain)
    assert left(small(name).fit(sequences(9, filler=7.0), lengths=LENGTHS)) == left(plain)


@pytest.mark.parametrize("name", ["rddc", "rdtkc"])
def test_without_lengths_every_step_counts(name):
    told = small(name).fit(sequences(9), lengths=LENGTHS)
    untold = small(name).fit(sequences(9))
    assert left(untold) != left(told)
    ignored = small(name, use_lengths=False).fit(sequences(9), lengths=LENGTHS)
    assert left(ignored) == left(untold)


def test_prediction_takes_lengths_too():
    fitted = small("rdtkc").fit(sequences(6), lengths=LENGTHS)
    np.testing.assert_array_equal(fitted.predict(sequences(6), lengths=LENGTHS), fitted.labels_)
    np.testing.assert_allclose(fitted.transform(sequences(6), lengths=LENGTHS), fitted.embedding_, atol=1e-6)
    assert not np.allclose(fitted.transform(sequences(6)), fitted.embedding_, atol=1e-6)


def test_a_companion_is_the_divergence_under_the_gaussian_kernel_of_the_last_states():
    """Recomputed in float64 from the states that the network gives: sigma = .15 median(d) (dtkc2019 Eq. 36, 38, 40)."""
    fitted = small("rdtkc").fit(sequences(6), lengths=LENGTHS)
    model, params = fitted.model_, fitted.checked_params()
    x, lengths = torch.from_numpy(sequences(6)), torch.from_numpy(LENGTHS)
    with torch.no_grad():
        output = model(x, params.taps, lengths)
        found = fitted.companions(output.assignments, output.taps, params)
    u = output.assignments.double().numpy()
    for number, tap in enumerate(output.taps, start=1):
        assert tap.shape == (40, 64)
        states = tap.double().numpy()
        d = np.sqrt(np.square(states[:, None] - states[None]).sum(axis=2))
        kernel = np.exp(-np.square(d) / (2 * (0.15 * np.median(d)) ** 2))
        parts = u.T @ kernel @ u
        pairs = [parts[i, j] / np.sqrt(parts[i, i] * parts[j, j]) for i in range(4) for j in range(i + 1, 4)]
        assert float(found[f"companion_{number}"]) == pytest.approx(np.mean(pairs), rel=1e-3)
