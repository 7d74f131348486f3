"""Sphinx's configuration: pages in Markdown, a reference from docstrings and declared data, nothing from a network."""

from __future__ import annotations

import re
from typing import Any

import benchmark

project = "reclust"
author = "the reclust authors"
release = benchmark.__version__
copyright = author
root_doc = "index"
exclude_patterns = [".doctrees"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]

default_role = "literal"  # docstrings write names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"reclust {release}"
html_copy_source = False
html_show_sourcelink = False


def as_text(line: str) -> str:
    """Return a line of a docstring in which bars and trailing underscores outside code are text: |C|, labels_."""
    parts = re.split(r"(`+[^`]*`+)", line)
    return "".join(
        part if place % 2 else re.sub(r"\||(?<=\w)_(?!\w)", r"\\\g<0>", part) for place, part in enumerate(parts)
    )


def setup(app: Any) -> None:
    """Have every docstring read so, before other extensions see it; Sphinx calls this."""
    app.connect("autodoc-process-docstring", _escaped, priority=100)


def _escaped(_app: Any, _what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = map(as_text, lines)
