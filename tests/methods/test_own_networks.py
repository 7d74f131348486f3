"""Networks of one's own: a function that makes a module, where the name of a registered network stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.registry import NETWORKS
from benchmark.streams import Streams
from methods import DDC, DDCAE, DDCUCON, DEC, DECUCON, IDEC
from methods.parts.networks import BatchNorm, initialise
from methods.parts.own_networks import OwnNetwork, chosen_network
from methods.parts.vector_networks import MLP_SMALL

IMAGES = np.random.default_rng(0).random((40, 1, 12, 12), dtype=np.float32)
GIVEN = {"n_clusters": 3, "epochs": 1, "batch_size": 20}


def encoder(shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU())


def both(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    return encoder(shape), nn.Sequential(nn.Linear(16, 144), nn.Unflatten(1, shape))


@pytest.mark.parametrize(
    "estimator",
    [
        DDC(network=encoder, **GIVEN),
        DDCUCON(network=encoder, taps=("1",), **GIVEN),
        DDCAE(network=both, **GIVEN),
        DEC(network=both, pretraining="end-to-end", pretrain_epochs=1, **GIVEN),
        IDEC(network=both, pretraining="end-to-end", pretrain_epochs=1, **GIVEN),
        DECUCON(network=both, pretraining="end-to-end", pretrain_epochs=1, taps=("1",), **GIVEN),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_method_trains_a_network_of_ones_own_and_gives_the_same_bits_again(estimator):
    first = estimator.fit(IMAGES)
    embedded, labels = first.embedding_.copy(), first.predict(IMAGES)
    inner = first.model_.backbone.module
    assert isinstance(inner, nn.Sequential) and inner[1].out_features == 16
    torch.manual_seed(99)
    second = estimator.fit(IMAGES)
    assert second.embedding_.tobytes() == embedded.tobytes()
    assert second.predict(IMAGES).tolist() == labels.tolist()
    assert estimator.set_params(random_state=1).fit(IMAGES).embedding_.tobytes() != embedded.tobytes()


def test_it_is_trained_from_the_weights_that_it_came_with():
    def made(shape: tuple[int, ...]) -> nn.Module:
        module = encoder(shape)
        nn.init.constant_(module[1].weight, 0.25)
        return module

    network = OwnNetwork(made).backbone((1, 12, 12), BatchNorm(0.99, 1e-3))
    behind = nn.Sequential(network, nn.Linear(16, 3))
    initialise(behind, "glorot", Streams("", 0))
    assert (network.module[1].weight == 0.25).all()
    assert (behind[1].bias == 0).all() and (network.module[1].bias != 0).any()


def test_names_networks_and_functions_come_to_networks(monkeypatch):
    assert chosen_network("mlp-small") is chosen_network(MLP_SMALL) is MLP_SMALL
    assert chosen_network(encoder).tap_shapes((1, 12, 12)) == {"0": (144,), "1": (16,), "2": (16,)}
    monkeypatch.setitem(NETWORKS._entries, "mine", encoder)
    assert chosen_network("mine") == OwnNetwork(encoder)


@pytest.mark.parametrize(
    ("method", "network", "words"),
    [
        (DDC, encoder((1, 12, 12)), "a module is trained once"),
        (DDC, 5, "name of a registered network"),
        (DDC, lambda shape: "a module", "must return a torch.nn.Module"),
        (DDC, lambda shape: nn.Linear(9, 2), "does not take a batch of the shape"),
        (DDC, lambda shape: nn.Flatten(0), "with a row for each sample"),
        (DDCUCON, encoder, "no layer 'block1_pool' to tap: 0, 1, 2"),
        (DDCAE, encoder, "reconstructs samples"),
        (DDCAE, lambda shape: (encoder(shape), nn.Linear(16, 5)), "gives samples of the shape"),
        (IDEC, both, "pretraining='end-to-end'"),
    ],
)
def test_what_is_no_network_for_a_method_is_refused_in_one_sentence(method: Any, network: Any, words: str):
    with pytest.raises(ValueError, match=words) as caught:
        method(network=network, **GIVEN).fit(IMAGES)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
