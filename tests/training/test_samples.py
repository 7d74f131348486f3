"""Samples of every form: taken, or refused in one sentence that says the mend; and the mend works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix

from methods import DDC, IDEC, SEC, AEKMeans, KMeans
from methods.parts.networks import CNN_SMALL
from methods.parts.recurrent_networks import GRU_2X32
from methods.parts.vector_networks import Dense, VectorNetwork

IMAGES = np.random.default_rng(0).random((40, 1, 28, 28), dtype=np.float32)
FLAT = IMAGES.reshape(40, -1)[:, :36]
NARROW = VectorNetwork((Dense("layer1", 8), Dense("layer2", 8)), hidden=8)
DDCS = {"epochs": 1, "batch_size": 20}
DECS = {"network": NARROW, "initialisation": "glorot", "pretrain_epochs": 1, **DDCS}


def refused(estimator: Any, x: Any) -> str:
    with pytest.raises(ValueError) as caught:
        estimator.fit(x)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


MENDED: list[tuple[str, Any, str, Callable[[Any], Any]]] = [
    ("bytes", (IMAGES * 255).astype(np.uint8), "divide by 255", lambda X: X / 255),
    ("bytes, a tensor", torch.from_numpy((IMAGES * 255).astype(np.uint8)), "divide by 255", lambda X: X / 255),
    ("no channel", IMAGES[:, 0], "X[:, None]", lambda X: X[:, None]),
    ("channels last", IMAGES.transpose(0, 2, 3, 1), "X.transpose(0, 3, 1, 2)", lambda X: X.transpose(0, 3, 1, 2)),
    (
        "colours last",
        np.repeat(IMAGES.transpose(0, 2, 3, 1), 3, axis=3),
        "X.transpose(0, 3, 1, 2)",
        lambda X: X.transpose(0, 3, 1, 2),
    ),
    ("flat", IMAGES.reshape(40, -1), "X.reshape(-1, 1, 28, 28)", lambda X: X.reshape(-1, 1, 28, 28)),
    (
        "requires grad",
        torch.from_numpy(IMAGES).requires_grad_(),
        "X.detach().cpu()",
        lambda X: X.detach().cpu(),
    ),
    ("half precision", torch.from_numpy(IMAGES).bfloat16(), "X.float()", lambda X: X.float()),
]


@pytest.mark.parametrize(("x", "words", "mend"), [row[1:] for row in MENDED], ids=[row[0] for row in MENDED])
def test_the_sentence_says_the_mend_which_works(x, words, mend):
    assert words in refused(DDC(3, **DDCS), x)
    assert DDC(3, **DDCS).fit(mend(x)).labels_.shape == (40,)


@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
@pytest.mark.parametrize("estimator", [KMeans(3), IDEC(3, **DECS)])
def test_sparse_matrices_are_refused_with_the_mend(kind, estimator):
    assert "X.toarray()" in refused(estimator, kind(FLAT))
    estimator.fit(kind(FLAT).toarray())


def test_images_for_a_network_of_vectors_are_to_be_flattened():
    assert "X.reshape(len(X), -1)" in refused(IDEC(3, **DECS), IMAGES)


@pytest.mark.parametrize("shape", [(3,), (4, 5, 6), (1, 1, 28, 28)])
def test_networks_say_what_shapes_they_take_instead(shape):
    for network in (CNN_SMALL, GRU_2X32, NARROW):
        if isinstance(network, VectorNetwork) and len(shape) == 1:
            continue
        if network is CNN_SMALL and len(shape) == 3:
            continue
        with pytest.raises(ValueError, match=r"X[.\[]"):
            network.tap_shapes(shape)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((0, 5)), "0 samples"),
        (np.zeros((20, 0)), "0 feature(s)"),
        (np.zeros(20), "Reshape your data"),
        (FLAT + 1j, "Complex data not supported"),
        (np.array([np.zeros(3), np.zeros(4)], dtype=object), "np.stack(X)"),
        (np.array([["a", "b"]] * 20), "numbers"),
    ],
    ids=["no samples", "no values", "one dimension", "complex", "objects of two shapes", "text"],
)
@pytest.mark.parametrize("estimator", [KMeans(3), DDC(3, **DDCS)], ids=["k-means", "ddc"])
def test_what_holds_no_samples_is_refused_in_one_sentence(estimator, x, words):
    assert words in refused(estimator, x)


def test_objects_that_are_numbers_are_numbers_and_others_are_a_type_error():
    fitted = KMeans(3).fit(FLAT.astype(object))
    np.testing.assert_array_equal(fitted.labels_, KMeans(3).fit(FLAT).labels_)
    x = FLAT.astype(object)
    x[0, 0] = {"no": "number"}
    with pytest.raises(TypeError, match="numbers"):
        KMeans(3).fit(x)


@pytest.mark.parametrize(
    "estimator", [AEKMeans(3, learning_rate=0.1, **{**DECS, "epochs": 3}), IDEC(3, **{**DECS, "pretrain_epochs": 3})]
)
def test_a_fit_that_diverges_on_samples_far_outside_the_unit_interval_says_to_divide(estimator):
    text = refused(estimator, FLAT * 255 * 100)
    assert "divide by 255" in text and "[-1, 1]" in text


def test_bytes_that_need_no_scale_are_taken():
    x = (FLAT * 255).astype(np.uint8)
    np.testing.assert_array_equal(KMeans(3).fit(x).labels_, KMeans(3).fit(x.astype(float)).labels_)
    assert SEC(3).fit(x).labels_.shape == (40,)
    DDC(3, **DDCS).fit((IMAGES > 0.5).astype(np.uint8))  # 0 and 1


def test_prediction_says_what_is_wrong_with_the_shape_too():
    fitted = DDC(3, **DDCS).fit(IMAGES)
    for x, words in ((IMAGES[0], r"X\[None\]"), (IMAGES.reshape(40, -1), r"X.reshape\(-1, 1, 28, 28\)")):
        with pytest.raises(ValueError, match=words):
            fitted.predict(x)
    with pytest.raises(ValueError, match="divide by 255"):
        fitted.predict((IMAGES * 255).astype(np.uint8))


def test_columns_of_another_name_or_order_are_refused():
    table = pd.DataFrame(FLAT, columns=[f"c{number}" for number in range(36)])
    fitted = KMeans(3).fit(table)
    assert list(fitted.feature_names_in_) == list(table.columns)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(table[table.columns[::-1]])
