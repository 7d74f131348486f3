"""A new method from a template: a file that runs and passes the contract tests at once, and a test of its own."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import UsageError
from benchmark.registry import METHODS

HOME = Path(__file__).resolve().parents[2]


def new_method(name: str, package: Path | None = None, home: Path = HOME) -> list[Path]:
    """Write the files of a method called `name`, and return their paths.

    Without `package`, they go to `methods/` and `tests/methods/` of the checkout `home`. With it, they make a
    package of their own there, with an entry point of the group ``reclust.methods``.

    Raises
    ------
    UsageError
        For a name that cannot be or is taken, files that are there already, or where `home` is no checkout.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(f"{name!r} cannot be a method's name: write small letters and digits, joined by hyphens.")
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise UsageError(f"{name!r} is a word of Python's own and cannot name a module: choose another name.")
    if name in METHODS:
        raise UsageError(f"there is a method {name!r} already ({METHODS[name].__module__}): choose another name.")
    if package is None and not (home / "pyproject.toml").is_file():
        raise UsageError("this reclust is installed, not a checkout: write a package of your own with --package DIR.")
    cls = "".join(part.capitalize() for part in name.split("-"))
    values = {"name": name, "cls": cls, "title": name.replace("-", " ").capitalize()}
    if package is None:
        places = {"method.py.j2": home / "methods" / f"{module}.py"}
        places |= {"test_method.py.j2": home / "tests" / "methods" / f"test_{module}.py"}
        return _write(places, values | {"module": f"methods.{module}"})
    places = {"method.py.j2": package / f"{module}.py", "pyproject.toml.j2": package / "pyproject.toml"}
    places |= {"test_method.py.j2": package / "tests" / f"test_{module}.py"}
    return _write(places, values | {"module": module})


def _write(places: Mapping[str, Path], values: Mapping[str, str]) -> list[Path]:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    for path in places.values():
        if path.exists():
            raise UsageError(f"{path} is there already: remove it, or choose another name.")
    loader = PackageLoader("benchmark.cli", "templates")
    templates = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    for template, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(templates.get_template(template).render(values), encoding="utf-8")
    return list(places.values())
