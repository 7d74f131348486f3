"""Where the checkout is that these tests belong to."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds benchmark/, tests/ and pyproject.toml."""
