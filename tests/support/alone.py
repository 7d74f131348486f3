"""Fit one estimator in a process in which nothing of ours was imported before it."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import traceback
import warnings
from multiprocessing.connection import Connection
from typing import Any

LIBRARIES = [
    *("torch", "torch._dynamo", "pydantic", "rich.traceback", "safetensors.torch"),
    *("sklearn.cluster", "sklearn.decomposition", "sklearn.manifold", "sklearn.mixture", "sklearn.neighbors"),
]
"""What methods import anyway, `_dynamo` when PyTorch makes an optimiser: there once, in the process that is forked."""

OURS = {"benchmark", "methods", "datasets", "paper_tables"}


def suited(estimator: Any, images: Any) -> Any:
    """Return images (n, 1, h, w) as an estimator's network takes them, and have a deep one begin where it can learn."""
    network = getattr(estimator, "network", None)
    if network == "mlp-dec":
        estimator.set_params(initialisation="glorot")
    if network == "cnn-small":
        return images
    return images[:, 0] if str(network).startswith("gru") else images.reshape(len(images), -1)


def fit(name: str, answer: Connection) -> None:
    """Import one name of `methods`, fit it with a budget of nearly nothing, and send its labels or a traceback."""
    warnings.simplefilter("ignore")
    try:
        assert not {module.partition(".")[0] for module in sys.modules} & OURS
        np = importlib.import_module("numpy")
        estimator = getattr(importlib.import_module("methods"), name)
        images = np.random.default_rng(0).random((30, 1, 24, 24), dtype=np.float32)
        fitted = estimator(n_clusters=3, epochs=1, pretrain_epochs=1, batch_size=10)
        answer.send(fitted.fit(suited(fitted, images)).labels_.tolist())
    except BaseException:
        answer.send(traceback.format_exc())


def serve(names: Connection) -> None:
    """Import the libraries, then answer each name that comes with `fit` in a process forked for it.

    It ends when the pipe is closed. It is a process of its own: Python has one server of forked processes in each
    process, and where the suite has started its own, that one has the suite imported.
    """
    for library in LIBRARIES:
        importlib.import_module(library)
    forked = multiprocessing.get_context("fork")
    while True:
        try:
            name = names.recv()
        except EOFError:
            return
        process = forked.Process(target=fit, args=(name, names))
        process.start()
        process.join()
        if process.exitcode:
            names.send(f"{name}: its process ended with {process.exitcode}")
