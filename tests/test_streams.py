"""Named random streams: the seed is the stated hash, and nothing but data set, replicate and name decides it."""

from __future__ import annotations

import hashlib
import itertools
import weakref

import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state

from benchmark import streams as module
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext

torch.set_num_threads(1)

NAMES = ("init:backbone.0", "init:head", "batches:train", "batches:pretrain", "kmeans", "evaluation", "augment")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dataset", "replicate"), [("digits", 0), ("digits", 19), ("mnist-full", 3), ("", 0)])
def test_seed_is_the_first_63_bits_of_the_stated_hash(dataset, replicate, name):
    digest = hashlib.sha256(f"{dataset}\x1f{replicate}\x1f{name}".encode()).hexdigest()
    assert Streams(dataset, replicate).seed(name) == int(digest, 16) >> (256 - 63)


def test_seeds_never_change():
    pinned = {
        ("digits", 0, "kmeans"): 2729464121663902539,
        ("digits", 1, "batches:train"): 4370622905775364426,
        ("usps", 13, "init:head"): 7056862516478971715,
    }
    assert {key: Streams(*key[:2]).seed(key[2]) for key in pinned} == pinned


def test_first_values_never_change():
    streams = Streams("digits", 0)
    assert torch.randperm(10, generator=streams.torch("batches:train")).tolist() == [4, 2, 6, 0, 8, 1, 9, 3, 5, 7]
    assert streams.numpy("subset").bit_generator.random_raw(2).tolist() == [667733119879485331, 13426739905049647826]
    assert streams.integer("kmeans") == 1190351691


def test_every_name_replicate_and_data_set_has_a_stream_of_its_own():
    seeds = [
        Streams(dataset, replicate).seed(name)
        for dataset, replicate, name in itertools.product(("", "digits", "usps"), range(20), NAMES)
    ]
    assert len(set(seeds)) == len(seeds)


def test_the_parts_of_the_hash_do_not_run_into_each_other():
    assert Streams("coil1", 1).seed("x") != Streams("coil", 11).seed("x")
    assert Streams("coil", 1).seed("1x") != Streams("coil", 11).seed("x")


def test_a_stream_does_not_depend_on_what_was_asked_before():
    alone = torch.rand(5, generator=Streams("digits", 13).torch("kmeans"))
    for replicate in range(14):
        streams = Streams("digits", replicate)
        torch.rand(7, generator=streams.torch("augment"))
        again = torch.rand(5, generator=streams.torch("kmeans"))
    assert torch.equal(alone, again)


def test_a_stream_starts_afresh_each_time_it_is_asked_for():
    streams = Streams("digits", 0)
    assert torch.equal(torch.rand(3, generator=streams.torch("a")), torch.rand(3, generator=streams.torch("a")))
    np.testing.assert_array_equal(streams.numpy("a").random(3), streams.numpy("a").random(3))


def test_streams_leave_the_global_generators_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    streams = Streams("digits", 0)
    torch.rand(3, generator=streams.torch("a"))
    streams.numpy("b").random(3)
    streams.integer("c")
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_generators_are_those_of_the_cpu():
    assert Streams("digits", 0).torch("a").device == torch.device("cpu")


@pytest.mark.parametrize("replicate", range(50))
def test_integer_seeds_fit_what_libraries_take(replicate):
    seed = Streams("digits", replicate).integer("kmeans")
    assert 0 <= seed < 2**32
    assert seed == Streams("digits", replicate).seed("kmeans") & 0xFFFFFFFF
    check_random_state(seed)


def test_used_names_are_noted_once_and_for_each_run_alone():
    first, second = Streams("digits", 0), Streams("digits", 0)
    first.torch("batches:train")
    first.numpy("kmeans")
    first.integer("kmeans")
    first.seed("augment")
    assert first.used == {"batches:train", "kmeans", "augment"}
    assert second.used == set()
    assert first == second


def test_methods_that_share_a_network_start_from_the_same_weights():
    load_plugins()
    states = []
    for name in ("ddc", "ddc-uco-n", "ddc-uco-t", "ddc-ae"):
        method = METHODS[name](n_clusters=10)
        context = RunContext(Streams("digits", 4), Protocol())
        states.append(method.build(method.checked_params(), (1, 28, 28), context).state_dict())
    shared = set.intersection(*(set(state) for state in states))
    assert shared == set(states[0])
    for state in states[1:]:
        assert all(torch.equal(state[key], states[0][key]) for key in shared)
    other = METHODS["ddc"](n_clusters=10)
    context = RunContext(Streams("digits", 5), Protocol())
    fresh = other.build(other.checked_params(), (1, 28, 28), context).state_dict()
    weights = [key for key in shared if fresh[key].ndim > 1]
    assert weights
    assert not any(torch.equal(fresh[key], states[0][key]) for key in weights)


def test_generators_are_followed_where_those_of_torch_cannot_be_referred_to_weakly(monkeypatch):
    class Generator:  # as torch's was until some release after 2.11
        __slots__ = ("seed",)

        def manual_seed(self, seed):
            self.seed = seed
            return self

        def get_state(self):
            return self.seed

    with pytest.raises(TypeError, match="weak reference"):
        weakref.ref(Generator())
    monkeypatch.setattr(torch, "Generator", Generator)
    module._torch_generator.cache_clear()
    try:
        streams = Streams("digits", 0)
        generator = streams.torch("augment")
        assert streams.states() == [("augment", 0, generator.seed)] and generator.seed == streams.seed("augment")
    finally:
        module._torch_generator.cache_clear()
