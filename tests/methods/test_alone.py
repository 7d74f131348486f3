"""Every estimator, imported alone: in a fresh process and in a worker process of joblib, as users have them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed

import methods
from benchmark.registry import METHODS, load_plugins
from tests.support import alone
from tests.support.checkout import ROOT

load_plugins()
OURS = [method for method in METHODS.values() if method.__module__.split(".")[0] == "methods"]


def offered(name: str) -> bool:
    return all(find_spec(package) for package in getattr(getattr(methods, name), "requires", ()))


NAMES = [name for name in sorted(methods.__all__) if offered(name)]


def test_every_registered_method_of_ours_can_be_imported_from_the_package():
    assert {method.__name__ for method in OURS} == set(methods.__all__)


@pytest.fixture(scope="module")
def fresh():
    """Give a pipe to a process that has the libraries and nothing of ours, and forks itself for each name."""
    spawned = multiprocessing.get_context("spawn")
    here, there = spawned.Pipe()
    process = spawned.Process(target=alone.serve, args=(there,))
    process.start()
    there.close()
    yield here
    here.close()
    process.join()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_estimator_fits_right_after_its_import_in_a_fresh_process(fresh, name):
    """Each in a process of its own, forked from one that has the libraries: importing them takes most of the time."""
    fresh.send(name)
    labels = fresh.recv()
    assert isinstance(labels, list) and len(labels) == 30, labels


def test_every_network_that_is_a_default_is_there_after_the_import_of_one_method(tmp_path):
    """The fast half of the test above: what failed where networks registered by side effect of the command line."""
    networks = {method(3).network for method in OURS if hasattr(method(3), "network")}
    script = "import sys\nfrom methods.{module} import {name}\nfrom methods.parts.networks import network_named\n"
    script += "for name in sys.argv[1:]: network_named(name)"
    for method in (methods.KMeans, methods.IDEC):
        text = script.format(module=method.__module__.removeprefix("methods."), name=method.__name__)
        done = subprocess.run([sys.executable, "-c", text, *networks], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def fit_in_worker(estimator: methods.KMeans, x: np.ndarray) -> methods.KMeans:
    return estimator.fit(x)


@pytest.mark.slow
def test_every_estimator_fits_in_workers_that_joblib_spawns():
    images = np.random.default_rng(0).random((30, 1, 24, 24), dtype=np.float32)
    jobs = []
    for name in NAMES:
        estimator = getattr(methods, name)(n_clusters=3, epochs=1, pretrain_epochs=1, batch_size=10, threads=1)
        jobs.append((estimator, alone.suited(estimator, images)))
    there = Parallel(n_jobs=2, backend="loky")(delayed(fit_in_worker)(*job) for job in jobs)
    for estimator, (own, x) in zip(there, jobs, strict=True):
        np.testing.assert_array_equal(estimator.labels_, own.fit(x).labels_)


def test_a_fitted_estimator_goes_to_a_worker_and_back(tmp_path: Path):
    x = np.random.default_rng(0).random((30, 6), dtype=np.float32)
    estimator = methods.IDEC(3, epochs=1, pretrain_epochs=1, batch_size=10, threads=1, initialisation="glorot").fit(x)
    (there,) = Parallel(n_jobs=2, backend="loky")([delayed(estimator.predict)(x)])
    np.testing.assert_array_equal(there, estimator.predict(x))
