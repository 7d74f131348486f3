"""What estimators say to wrong calls, in one sentence, and what they leave alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from benchmark.errors import UsageError
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import serial
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from benchmark.streams import Streams
from benchmark.training import Clusterer, ClusterParams, RunContext
from benchmark.training.estimator import as_samples

load_plugins()
X = np.random.default_rng(0).random((40, 1, 28, 28), dtype=np.float32)


def small(**changes: Any) -> Protocol:
    values = {"batch_size": 20, "budget": Budget(amount=1), "evaluate_every": 1, **changes}
    phases = METHODS["ddc"].default_protocol.phases
    return Protocol(phases={name: phase.model_copy(update=values) for name, phase in phases.items()})


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and text.endswith("."), text
    return text


def made(protocol: Protocol, results: Path) -> Finished:
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=60)
    params = METHODS["ddc"](10).checked_params().canonical()
    job = Job(RunSpec(method="ddc", params=params, data=data, protocol=protocol, replicate=0), Context())
    (end,) = [event for event in serial([job], Place(results)) if isinstance(event, Finished)]
    return end


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (Protocol(), ("'train'", "none")),
        (Protocol(phases={"trian": small().phases["train"]}), ("'train'", "'trian'")),
        (small(monitor="separatoin"), ("'separatoin'", "separation, orthogonality, simplex")),
    ],
    ids=["no phase", "another phase", "unknown monitor"],
)
def test_a_protocol_that_does_not_fit_the_method_is_one_sentence_and_no_record(tmp_path, protocol, words):
    with pytest.raises(UsageError) as caught:
        METHODS["ddc"](3).fit(X, run=RunContext(Streams("toy", 0), protocol))
    with pytest.raises(ValueError) as alone:
        METHODS["ddc"](3, protocol=protocol).fit(X)
    assert one_sentence(caught.value) == one_sentence(alone.value)
    assert all(word in str(caught.value) for word in words)
    end = made(protocol, tmp_path)
    assert end.record is None and end.error == str(caught.value)
    assert not list((tmp_path / "runs").glob("[0-9a-f]*"))


def test_a_term_of_the_loss_can_be_monitored():
    fitted = METHODS["ddc"](3, protocol=small(monitor="simplex")).fit(X)
    assert np.isfinite(fitted.outcome_.loss)


@pytest.mark.parametrize("call", ["predict", "transform"])
def test_prediction_before_fit_says_that_there_was_none(call):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(METHODS["ddc"](3), call)(X)


@pytest.mark.parametrize("call", ["predict", "transform"])
def test_prediction_of_samples_of_another_shape_names_both_shapes(call):
    fitted = METHODS["ddc"](3, protocol=small()).fit(X)
    for wrong in (X[:, :, :24, :24], X[:, 0], X.reshape(40, -1)):
        with pytest.raises(ValueError) as caught:
            getattr(fitted, call)(wrong)
        assert str(wrong.shape[1:]) in one_sentence(caught.value) and "(1, 28, 28)" in str(caught.value)


def test_prediction_uses_the_device_of_the_fit_whatever_was_set_since():
    fitted = METHODS["ddc"](3, protocol=small()).fit(X)
    labels = fitted.predict(X)
    fitted.set_params(device="meta")
    np.testing.assert_array_equal(fitted.predict(X), labels)
    assert fitted.device_ == torch.device("cpu")


@pytest.mark.parametrize("value", [1e300, -1e39, np.inf, np.nan])
def test_samples_that_float32_cannot_hold_are_refused_without_a_warning(value):
    x = np.zeros((5, 2))
    x[3, 1] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="float32") as caught:
            as_samples(x, 2)
    one_sentence(caught.value)


def test_fit_seeds_the_generator_of_its_device_alone(monkeypatch):
    def refuse(seed: int) -> None:
        raise AssertionError("torch.manual_seed reseeds the generators of all devices")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    before = torch.default_generator.get_state()
    METHODS["ddc"](3, protocol=small()).fit(X)
    assert torch.equal(torch.default_generator.get_state(), before)


def test_the_embedding_is_not_a_view_of_the_callers_array():
    x = np.ascontiguousarray(X)
    fitted = METHODS["k-means"](3).fit(x)
    kept = fitted.embedding_.copy()
    x += 1
    np.testing.assert_array_equal(fitted.embedding_, kept)


def test_a_method_that_only_clusters_and_names_a_pre_training_is_told_what_to_derive_from():
    with pytest.raises(UsageError, match="leave pretrained_by out") as caught:

        class Idle(Clusterer[ClusterParams]):
            pretrained_by = "ae-k-means"

            def cluster(self, x: Any, params: Any, context: Any) -> Any:
                """Do without the weights."""

    assert "Idle is pretrained_by 'ae-k-means'" in one_sentence(caught.value) and "DeepClusterer" in str(caught.value)

    class Taking(Clusterer[ClusterParams]):
        pretrained_by = "ae-k-means"

        def steps(self, x: Any, params: Any, context: Any) -> Any:
            """Take the weights over by itself."""

    assert Taking.pretrained_by
