"""What papers do to data sets, as data: steps that exist, and columns of the tables that agree with them."""

from __future__ import annotations

import numpy as np
import pytest

import datasets
from benchmark.papers.paper import load_paper, paper_ids
from benchmark.registry import DATASETS
from datasets.preprocessing import apply_steps, parse_step
from datasets.recipes import recipes, recipes_of

datasets.load_dataset("digits")

# Every data set that the five papers use, by the name that it has here.
USED = {
    "uco2021": "mnist mnist-0-3 fashion-mnist usps coil-100",
    "tkuco2024": "mnist mnist-full fashion-mnist fashion-mnist-full usps coil-100 reuters 10x73k",
    "dtkc2019": "mnist fashion-mnist usps svhn umist coil-20 coil100-128px character-trajectories spoken-arabic-digits",
    "dynae2022": "mnist-full mnist-test fashion-mnist-full usps",
    "idec2017": "mnist-full usps reuters10k",
}


def test_every_data_set_of_every_paper_has_its_recipe() -> None:
    assert {paper: set(sets) for paper, sets in recipes().items()} == {
        paper: set(names.split()) for paper, names in USED.items()
    }
    for sets in recipes().values():
        for name, readings in sets.items():
            assert name in DATASETS and set(readings) <= {"paper", "code"} and "paper" in readings
            for steps in readings.values():
                for step in steps:
                    parse_step(step)


def test_columns_of_the_tables_agree_with_the_recipes() -> None:
    compared = 0
    for paper in paper_ids():
        for column in load_paper(paper).protocol.columns.values():
            for reading in ("paper", "code"):
                data = getattr(column, reading)
                known = recipes().get(paper, {}).get(data.dataset)
                if known is not None:
                    assert data.preprocess == tuple(known.get(reading, known["paper"])), (paper, column.label)
                    compared += 1
    assert compared >= 12


def test_recipes_of_a_data_set_are_named_by_paper() -> None:
    assert recipes_of("coil-20") == {"dtkc2019": ("minmax",)}
    assert recipes_of("digits") == {}
    assert DATASETS["svhn"].recipes == {"dtkc2019": ("minmax",)}


def test_idec_divides_pixels_of_mnist_by_fifty() -> None:
    pixels = np.array([[[[0, 50, 255]]]], dtype=np.float32)
    np.testing.assert_allclose(
        apply_steps(pixels / 255, recipes_of("mnist-full")["idec2017"]), [[0, 1, 5.1]], rtol=1e-6
    )


@pytest.mark.parametrize("samples", [np.zeros((2, 1, 4, 4)), np.ones((2, 7))])
def test_scaling_constant_samples_gives_zeros(samples: np.ndarray) -> None:
    assert not apply_steps(samples.astype(np.float32), ["minmax"]).any()


def test_read_only_images_are_resized() -> None:
    images = np.zeros((2, 1, 16, 16), dtype=np.float32)
    images.flags.writeable = False
    assert apply_steps(images, ["resize:32x32"]).shape == (2, 1, 32, 32)


GOLDEN = {
    "coil-100": "sha1:402d86b63cf3ace831f2af03bc9889e5e5c3dd1a",
    "coil-20": "sha256:d5a59e0c2187af5ff173efd3bb15d05665e7bfc798cdea57248726048bcb08f2",
    "coil100-32px": "sha256:49ff13d71eb1a811cf3bad33f3924c972c652a29d3ef768fcfb5dc2a1a935f93",
    "coil100-64px": "sha256:bc67f30cbdad68ac25f1fb628e51128bed979f31a406ac9243f6561ce3dd6b80",
    "digits": "sha256:86e5bcb61653a5450932f43da883d41e99bd99b1bfd75e8da6cc33101bb29ba8",
    "fashion-mnist": "sha256:44e4788819163e5436bbd55d9e03f0bea59ba6255bb642510bb3fd5d210bc55a",
    "fashion-mnist-full": "sha256:840d498d1f12805c0a85d0dda28f53c62164ce5d00759d11727af7fc6c5a40f8",
    "mnist": "sha256:9e70b61b1999beb86e36815bad42015cefb379ba028f6103fe5d6f2e65fa64ba",
    "mnist-full": "sha256:e26e37df1d4996e2647df0b7e75b9b917031f4a3208e0174a26d0fe737172567",
    "mnist-test": "sha256:1d16ec113d2ba5d1d4a0d5d52bad1180ebdc1bedb4cda88f9f0e3e20aa6baa6b",
    "usps": "sha256:44b6ebb2b5e5addc968cbef8b13b201cd2e83e2cd7e00c6a87984b19f4882989",
}
"""Digests that stored runs were made with."""


def test_digests_that_stored_runs_carry_never_change() -> None:
    assert {name: DATASETS[name].digest for name in GOLDEN} == GOLDEN
