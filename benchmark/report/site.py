"""A folder of static pages from templates: works from file://, asks nothing of any network."""

from __future__ import annotations

import importlib.resources
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from numbers import Number
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmark.errors import UsageError
from benchmark.printable import printable

NUMBER = ' class="number"'

ASSETS = ("style.css", "report.js", "find.js")


class Site:
    """Writes pages below `out`; `common` are values that every page has."""

    def __init__(self, out: Path, common: Mapping[str, Any]) -> None:
        self.out = out
        self._environment = _environment()
        self._common = dict(common)
        self.pages = 0

    def write(self, path: str, template: str, title: str, **values: Any) -> None:
        """Write one page at `path` below the folder, nowhere else."""
        root = "../" * path.count("/")
        text = self._environment.get_template(template).render(**self._common, **values, title=title, root=root)
        place = self.out / path
        if not place.resolve().is_relative_to(self.out.resolve()):
            raise UsageError(f"the page {path!r} would lie outside of {self.out}: a name in it is no name.")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(printable(coded(text)), encoding="utf-8")
        self.pages += 1

    def write_text(self, path: str, text: str) -> None:
        """Write a file that is no page, such as an index, at `path` below the folder."""
        (self.out / path).write_text(text, encoding="utf-8")

    def write_assets(self) -> None:
        """Write style sheet and script."""
        folder = importlib.resources.files("benchmark.report").joinpath("pages")
        self.out.mkdir(parents=True, exist_ok=True)
        for name in ASSETS:
            (self.out / name).write_text(folder.joinpath(name).read_text(encoding="utf-8"), encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = PackageLoader("benchmark.report", "pages")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, auto_reload=False
    )
    environment.filters["shown"] = shown
    environment.globals["body"] = body
    return environment


class Rounded(float):
    """A number that pages show with so many decimals, as the tables do, with its sign if it is a difference."""

    decimals: int
    signed: bool

    def __new__(cls, value: float, decimals: int, *, signed: bool = False) -> Rounded:
        """Return `value` as a number that knows how it is shown."""
        made = super().__new__(cls, value)
        made.decimals, made.signed = decimals, signed
        return made


def rounded(value: float | None, decimals: int, *, signed: bool = False) -> Rounded | None:
    """Return a number to be shown with so many decimals; None stays None.

    >>> shown(rounded(67.94, 1)), shown(rounded(-0.04, 1, signed=True)), shown(rounded(None, 1))
    ('67.9', '+0.0', '–')
    """
    return None if value is None else Rounded(value, decimals, signed=signed)


def shown(value: Any) -> str:
    """Return a value as a page shows it: numbers to six digits, nothing as a dash."""
    if isinstance(value, Markup):
        return value
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Rounded):
        return f"{float(value):{'+' if value.signed else ''}z.{value.decimals}f}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "–"
    return str(value)


def body(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Markup:
    """Return the lines of a table: of each row the values of `keys` as pages show them, escaped.

    >>> body([{"a": 1.5, "b": "x < y"}, {"a": None}], ["a", "b"]).splitlines()[0]
    Markup('<tr><td class="number">1.5</td><td>x &lt; y</td></tr>')
    """
    lines = []
    for row in rows:
        values = [row.get(key) for key in keys]
        cells = [f"<td{NUMBER if isinstance(value, Number) else ''}>{escape(shown(value))}</td>" for value in values]
        lines.append(f"<tr>{''.join(cells)}</tr>\n")
    return Markup("".join(lines))


def coded(page: str) -> str:
    """Return a page in which words between backticks, as texts of this suite have them, are code.

    Only in running text: not in attributes, scripts, pictures, nor in what is code or preformatted already.

    >>> coded("<p title='`a`'>from `acai`, <code>`x`</code></p>")
    "<p title='`a`'>from <code>acai</code>, <code>`x`</code></p>"
    """
    if "`" not in page:
        return page
    parts, end = [], 0
    for apart in _APART.finditer(page):
        parts += [_QUOTED.sub(r"<code>\1</code>", page[end : apart.start()]), apart[0]]
        end = apart.end()
    return "".join([*parts, _QUOTED.sub(r"<code>\1</code>", page[end:])])


_QUOTED = re.compile(r"`([^`\n]+)`")
_VERBATIM = "script|style|svg|pre|code|title|textarea|option"
_APART = re.compile(rf"((?s:<({_VERBATIM})\b.*?</\2>)|<[^>]*>)")
"""What is no running text of a page: tags, and elements whose content is not."""


def link(target: str, text: str) -> Markup:
    """Return a link; target and text are escaped."""
    return Markup('<a href="{}">{}</a>').format(target, text)


def inline_svg(data: bytes, prefix: str, label: str) -> Markup:
    """Return an SVG file as an element of a page: no prologue, ids of its own, and a name for screen readers."""
    text = data.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    seen: Counter[str] = Counter()

    def own_id(found: re.Match[str]) -> str:
        seen[found[1]] += 1  # equal images within one picture have equal ids
        return f'id="{prefix}-{found[1]}"' if seen[found[1]] == 1 else f'id="{prefix}-{found[1]}-{seen[found[1]]}"'

    text = re.sub(r'\bid="([^"]+)"', own_id, text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    name = Markup('<svg role="img" aria-label="{}"').format(label)
    return Markup(text.replace("<svg", str(name), 1))


def slug(*parts: str) -> str:
    """Return a name of a file made of `parts`.

    >>> slug("table4", "lambda=0.1;omega=exp")
    'table4-lambda-0.1-omega-exp'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(part for part in parts if part)).strip("-")
