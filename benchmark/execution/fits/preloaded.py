"""What the process of which fits are copies has imported: all that each would else import for itself, in seconds.

Nothing is computed here, and no plug-in of another distribution is imported: a copy begins like a process of its own.
"""

from __future__ import annotations

import importlib

import torch._dynamo  # which the first step of an optimiser imports  # noqa: F401

from benchmark.execution.fits import trainer
from benchmark.registry import SIBLINGS, load_package

__all__ = ["trainer"]

load_package(importlib.import_module(SIBLINGS[0]), quiet=True)
