"""The house: small folders, faces that only show what is inside, and a suite that names no plug-in."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark
from benchmark.papers.paper import paper_ids
from benchmark.registry import DATASETS, METHODS, NETWORKS, load_plugins

ROOT = Path(benchmark.__file__).resolve().parents[1]
FOLDERS = [
    folder for top in ("benchmark", "methods") for folder in sorted({p.parent for p in (ROOT / top).rglob("*.py")})
]
FACES = [
    path
    for top in ("benchmark", "methods", "datasets")
    for path in sorted((ROOT / top).rglob("__init__.py"))
    if path.parent not in (ROOT / "benchmark", ROOT / "datasets")  # the version; load_dataset
]
LAZY = """
def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
"""


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("folder", FOLDERS, ids=shown)
def test_no_folder_has_more_than_twenty_modules(folder):
    assert len(modules_of(folder)) <= 20, modules_of(folder)


def test_few_modules_stand_in_no_room():
    assert len(modules_of(ROOT / "benchmark")) <= 12, modules_of(ROOT / "benchmark")


def statements(path: Path) -> list[ast.stmt]:
    """Return the statements of a face that are neither its docstring nor imports, nor what names what it shows."""
    left = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        imported = isinstance(node, ast.Import | ast.ImportFrom)
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        typed = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if typed:
            assert all(isinstance(inner, ast.ImportFrom) for inner in node.body), shown(path)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if not (imported or docstring or typed or (names and names <= {"__all__", "_HOMES"})):
            left.append(node)
    return left


@pytest.mark.parametrize("path", FACES, ids=shown)
def test_a_face_shows_what_is_inside_and_defines_nothing(path):
    for node in statements(path):
        assert isinstance(node, ast.FunctionDef) and node.name == "__getattr__", ast.unparse(node)
        body = [
            inner for inner in node.body if not (isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant))
        ]
        (lazy,) = ast.parse(LAZY).body
        assert list(map(ast.unparse, body)) == list(map(ast.unparse, lazy.body))


@pytest.mark.parametrize("path", FACES, ids=shown)
def test_a_face_shows_only_what_is_there(path):
    room = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    for name in getattr(room, "__all__", ()):
        assert getattr(room, name) is not None


@pytest.mark.parametrize("path", [path for path in FACES if "_HOMES" in path.read_text(encoding="utf-8")], ids=shown)
def test_a_lazy_face_gives_names_their_types_homes_and_publicity_alike(path):
    room = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
    (guard,) = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    typed = {alias.name: node.module for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == room._HOMES
    assert sorted(room.__all__) == sorted(typed)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        room.nothing_of_the_kind  # noqa: B018


def test_reading_a_result_imports_no_training_and_no_drawing():
    script = "import sys; from benchmark.store import Store; from benchmark.plan import plan_cells; Store, plan_cells\n"
    script += "heavy = ('matplotlib', 'ray', 'benchmark.training', 'benchmark.execution')\n"
    script += "print([name for name in sys.modules if name.startswith(heavy)])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("network", ["mlp-dec", "cnn-small"])
def test_a_method_imported_alone_finds_its_network(network):
    script = f"import methods; from benchmark.registry import NETWORKS; print(NETWORKS[{network!r}] is not None)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def strings(tree: ast.AST) -> list[ast.Constant]:
    """Return the string constants of a module that are no docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    words = [
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    ]
    return [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and n not in words]


def test_the_suite_names_no_method_data_set_network_or_paper():
    load_plugins()
    known = {*METHODS, *DATASETS, *NETWORKS, *paper_ids()}
    found = [
        f"{shown(path)}:{constant.lineno}: {constant.value}"
        for path in sorted((ROOT / "benchmark").rglob("*.py"))
        for constant in strings(ast.parse(path.read_text(encoding="utf-8")))
        if constant.value in known
    ]
    assert not found


def elapsed(node: ast.expr) -> bool:
    """Return whether an expression is called seconds, or reads a clock and takes from it when something began."""
    since = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and "time." in ast.unparse(node.left)
    return since or (isinstance(node, ast.Name) and node.id in {"seconds", "elapsed"})


def limits(tree: ast.AST) -> list[int]:
    """Return the lines of a module that assert that something took less than a number of seconds.

    >>> limits(ast.parse("assert time.monotonic() - started < 5"))
    [1]
    >>> limits(ast.parse("assert seconds < LIMIT, f'took {seconds} s'"))
    [1]
    >>> limits(ast.parse("seconds = time.perf_counter() - began; assert few / many < 2"))
    []
    """
    return [
        node.lineno
        for held in ast.walk(tree)
        if isinstance(held, ast.Assert)
        for node in ast.walk(held)
        if isinstance(node, ast.Compare) and elapsed(node.left) and isinstance(node.ops[0], ast.Lt | ast.LtE)
    ]


def test_no_test_has_a_time_limit():
    """What a slow machine takes longer for is no fault; speed is shown by ratios (tests/bench)."""
    found = [
        f"{shown(path)}:{line}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in limits(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found
