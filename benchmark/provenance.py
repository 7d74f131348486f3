"""Where a record comes from: the digest of the code that made it, and the environment it was made in.

The digest covers the project modules that a run uses, as their syntax trees: comments, docstrings, formatting and the
annotations of functions don't count, and neither does the version of Python that reads them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.registry import UsageError

PROJECT = frozenset({"benchmark", "methods", "datasets"})
_HOME = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class _Module:
    """A parsed module: its normalised syntax tree as text, and the names it may import."""

    text: str
    imports: frozenset[str]


def imported_modules(modules: Iterable[str]) -> tuple[str, ...]:
    """Return `modules` and all modules that they import, directly or not, within their and the project's packages.

    Imports are read from the sources, those inside functions too, those under TYPE_CHECKING not. Importing `a.b`
    doesn't count `a/__init__.py` unless a name is taken from it: else every method would hang on every other one.
    UsageError where one of `modules` has no source.
    """
    wanted = sorted(set(modules))
    for name in wanted:
        if _source(name) is None:
            raise UsageError(
                f"the module {name!r} has no Python source that could be digested: write it in a module of its own."
            )
    packages = PROJECT | {name.partition(".")[0] for name in wanted}
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in found and name.partition(".")[0] in packages and _source(name) is not None:
            found.add(name)
            wanted += _module(name).imports
    return tuple(sorted(found))


def code_digest(modules: Iterable[str]) -> str:
    """Return 16 hex digits of the SHA-256 over the normalised sources of `imported_modules(modules)`."""
    digest = hashlib.sha256()
    for name in imported_modules(modules):
        digest.update(f"{name}\0{_module(name).text}\0".encode())
    return digest.hexdigest()[:16]


@cache
def _source(name: str) -> Path | None:
    """Return the source file of a module, found without importing its parents, or None."""
    head, *parts = name.split(".")
    try:
        spec = importlib.util.find_spec(head)
    except ValueError:  # such as __main__
        return None
    if spec is None or (parts and not spec.submodule_search_locations):
        return None
    if not parts:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for root in spec.submodule_search_locations or ():
        place = Path(root, *parts)
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file
    return None


@cache
def _module(name: str) -> _Module:
    file = _source(name)
    assert file is not None
    tree = _Normaliser().visit(ast.parse(file.read_bytes(), filename=str(file)))
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return _Module(_text(tree), frozenset(_imports(tree, package)))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a tree names in its imports; `package` is what relative ones start from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                member = f"{base}.{alias.name}"
                yield member if _source(member) is not None else base


class _Normaliser(ast.NodeTransformer):
    """Strip from a tree what cannot change numbers.

    The annotated assignments of a class stay: they are the fields of data classes and models.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._body(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._body(node)

    def _body(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg, annotation=None)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        # Some versions of Python 3.12 end a format with an empty text.
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
        return node.orelse if name == "TYPE_CHECKING" else node


def _text(node: Any) -> str:
    """Return a tree as text, without what is empty: `ast.dump` writes other text in each version of Python."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name != "kind" and value not in (None, []))
        return f"{type(node).__name__}({','.join(f'{name}={_text(value)}' for name, value in sorted(fields))})"
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    return repr(node)


def environment(device: str, threads: int) -> dict[str, Any]:
    """Return what a record says about the environment of its run.

    `device` is a torch device such as "cpu" or "cuda:0"; the entry of that name holds "cpu" or the GPU's name.
    """
    import numpy
    import torch

    return {
        "device": device_name(device),
        "machine": machine_kind(device),
        "cpu": cpu_model(),
        "threads": threads,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        # Not imported by name: with each new version all stored runs would be those of other code.
        "version": sys.modules["benchmark"].__version__,
        "git_commit": git_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def machine_kind(device: str) -> str:
    """Return architecture, CPU model and device: where these are equal, equal runs should give equal numbers."""
    return ", ".join((platform.machine(), cpu_model(), device_name(device)))


def device_name(device: str) -> str:
    """Return "cpu", or the name of the GPU that the torch device `device` is."""
    if not device.startswith("cuda"):
        return device
    import torch

    return str(torch.cuda.get_device_name(device))


@cache
def cpu_model() -> str:
    """Return the model name of the CPU, or its architecture where the system doesn't tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, (*names, platform.processor(), platform.machine())), "unknown")


@cache
def git_commit(home: Path = _HOME) -> str:
    """Return the commit of the checkout that tracks the folder `home`, "" where there is none.

    "+dirty" is appended where tracked files are modified, other than those below `home`/results.
    """
    # A package installed below somebody's own checkout is not tracked by that.
    if _git(home, "ls-files", "--error-unmatch", "benchmark/__init__.py") is None:
        return ""
    commit = _git(home, "rev-parse", "HEAD")
    changes = _git(home, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    return f"{commit}+dirty" if commit and changes else commit or ""


def _git(home: Path, *arguments: str) -> str | None:
    # Git sets variables such as GIT_DIR for its hooks; tests that run in a hook would ask about the wrong checkout.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(home), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=variables)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
