"""Text that does nothing but be read: what terminals, browsers and editors obey is written out instead.

Names of plug-ins are checked when they are registered; settings, labels, loss terms, error messages and what files hold
are anybody's. Each format makes them harmless at its own edge, in one place: `benchmark.cli.screen` for the terminal,
`benchmark.tables.csv_table`, `markdown` and `latex` for tables, `benchmark.report.site` for pages and
`benchmark.figures.kit` for pictures. JSON is ASCII with everything else escaped.
"""

from __future__ import annotations

import re

_OBEYED = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, all but tab and line feed
    "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or turning the direction of text
    "\u2028\u2029"  # line ends that not all programs see
    "\ud800-\udfff"  # halves of characters, which no file can hold
    "\U000e0000-\U000e007f"  # tags: invisible letters
    "]"
)


def printable(text: str) -> str:
    r"""Return `text` with what is not to be read written out, such as ``\x1b``; tabs and line feeds stay.

    >>> print(printable("acc\x1b[2J 90 %"))
    acc\x1b[2J 90 %
    """
    return _OBEYED.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
