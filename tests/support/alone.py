"""Fit one estimator in a process in which nothing of ours was imported before it."""

from __future__ import annotations

import importlib
import sys
import traceback
import warnings
from multiprocessing.connection import Connection

LIBRARIES = ["torch", "torch._dynamo", "sklearn"]
"""What methods import anyway, the second when PyTorch makes an optimiser: there once, in the process that is forked."""

OURS = {"benchmark", "methods", "datasets", "paper_tables"}


def fit(name: str, answer: Connection) -> None:
    """Import one name of `methods`, fit it with a budget of nearly nothing, and send its labels or a traceback."""
    warnings.simplefilter("ignore")
    try:
        assert not {module.partition(".")[0] for module in sys.modules} & OURS
        np = importlib.import_module("numpy")
        estimator = getattr(importlib.import_module("methods"), name)
        images = np.random.default_rng(0).random((30, 1, 24, 24), dtype=np.float32)
        fitted = estimator(n_clusters=3, epochs=1, pretrain_epochs=1, batch_size=10)
        network = getattr(fitted, "network", None)
        if network == "mlp-dec":
            fitted.set_params(initialisation="glorot")
        sequences = str(network).startswith("gru")
        fitted.fit(images if network == "cnn-small" else images[:, 0] if sequences else images.reshape(30, -1))
        answer.send(fitted.labels_.tolist())
    except BaseException:
        answer.send(traceback.format_exc())
