"""Methods as parameters of tests, skipped where a package that they wrap is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from benchmark.registry import METHODS


def offered(name: str) -> Any:
    """Return the name as a parameter that is skipped, saying why, where a package that the method wraps is missing."""
    missing = [package for package in getattr(METHODS[name], "requires", ()) if find_spec(package) is None]
    return pytest.param(name, marks=pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}"))
