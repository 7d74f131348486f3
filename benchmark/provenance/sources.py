"""The sources of project code: which modules are ours to digest, and what each of their names is bound to.

Nothing is imported: modules are found, read and parsed, so that a digest can be taken where torch is not loaded.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

PROJECT = frozenset({"benchmark", "methods", "datasets"})

Statement = ast.stmt


@dataclass(frozen=True)
class Definition:
    """A name bound at the top of a module of ours, or a member of a class there, with the statements that bind it."""

    module: str
    name: str
    statements: tuple[Statement, ...] = field(compare=False)
    owner: str = ""

    @property
    def node(self) -> Statement:
        """The last statement that binds the name: the one that counts where there are several."""
        return self.statements[-1]


@dataclass(frozen=True)
class External:
    """Something from outside the project, by its full dotted path."""

    path: str


@dataclass(frozen=True)
class OwnModule:
    """A module of ours, as a value."""

    name: str


Target = Definition | External | OwnModule


@dataclass(frozen=True)
class Import:
    """A name bound by an import: `module`, or its member `name`."""

    module: str
    name: str = ""


class Module:
    """A parsed module: what its top-level names are bound to, and the statements that bind none."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        self.imports: dict[str, Import] = {}
        self.stars: list[str] = []
        self.statements: dict[str, list[Statement]] = {}
        self.effects: list[Statement] = []
        for node in ast.parse(file.read_bytes(), filename=str(file)).body:
            self._bind(node, node)

    def _bind(self, node: Statement, whole: Statement) -> None:
        """Note the names that `node` binds, as bound by the top-level statement `whole`."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            found, stars = imports_of(node, self.package)
            self.imports |= found
            self.stars += stars
            return
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in inner_statements(node):
                self._bind(part, part if is_type_checking(node) else whole)
            return
        names = list(bound_names(node))
        for name in names:
            self.statements.setdefault(name, []).append(whole)
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not names and not constant and not isinstance(node, ast.Pass | ast.Assert | ast.Delete):
            self.effects.append(whole)

    @cached_property
    def registering(self) -> list[Statement]:
        """The top-level statements that register something, by a call or a decorator."""
        found = [s for group in self.statements.values() for s in group] + self.effects
        return [s for s in dict.fromkeys(found) if any(map(is_registration, ast.walk(s)))]


def inner_statements(node: ast.AST) -> Iterator[Statement]:
    """Yield the statements of all branches of a compound statement."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler):
            yield from child.body


def is_registration(node: ast.AST) -> bool:
    """Whether a node is a call of a function named `register_...`."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return str(name).startswith("register_")


def is_type_checking(node: ast.AST) -> bool:
    """Whether a node is ``if TYPE_CHECKING:``."""
    test = getattr(node, "test", None)
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return isinstance(node, ast.If) and name == "TYPE_CHECKING"


def bound_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement binds in its own scope."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def imports_of(node: ast.Import | ast.ImportFrom, package: str) -> tuple[dict[str, Import], list[str]]:
    """Return what an import binds by name, and the modules of which it takes all; `package` is where it stands."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: Import(
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
            for alias in node.names
        }, []
    above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    found = {a.asname or a.name: Import(base, a.name) for a in node.names if a.name != "*"}
    return found, [base] if any(a.name == "*" for a in node.names) else []


class Sources:
    """The modules of the project and of the packages of some plug-ins.

    `homes` are the top-level modules of the plug-ins. What lies beside them (in the same folder, or where that is a
    folder of installed packages, in the same distribution) is theirs, and counts like the project's own code.
    """

    def __init__(self, homes: Iterable[str] = ()) -> None:
        self._homes = frozenset(homes) - PROJECT
        self._folders = {_folder(name) for name in self._homes} - {None}
        self._modules: dict[str, Module | None] = {}
        self._own: dict[str, bool] = {}

    def module(self, name: str) -> Module | None:
        """Return a module of ours, parsed; None where it is not ours or has no Python source."""
        if name not in self._modules:
            file = source_file(name) if self._is_own(name.partition(".")[0]) else None
            self._modules[name] = Module(name, file) if file else None
        return self._modules[name]

    def _is_own(self, head: str) -> bool:
        if head not in self._own:
            self._own[head] = head in PROJECT or head in self._homes or self._is_beside(head)
        return self._own[head]

    def _is_beside(self, head: str) -> bool:
        place = _folder(head)
        if place is None or place not in self._folders or place in _standard():
            return False
        return not _holds_installed(place) or any(head in _siblings(home) for home in self._homes)

    def resolve(self, module: str, name: str) -> Target | None:
        """Return what `name` is at the top of `module`; None for a builtin or an unknown name."""
        return self._resolve(module, name, frozenset())

    def _resolve(self, module: str, name: str, seen: frozenset[tuple[str, str]]) -> Target | None:
        found = self.module(module)
        if found is None:
            return External(f"{module}.{name}")
        if (module, name) in seen:
            return None
        seen |= {(module, name)}
        if name in found.statements:
            return Definition(module, name, tuple(found.statements[name]))
        if name in found.imports:
            return self._imported(found.imports[name], seen)
        for star in found.stars:
            other = self.module(star)
            if other is not None and (target := self._resolve(star, name, seen)) is not None:
                return target
        return None

    def _imported(self, bound: Import, seen: frozenset[tuple[str, str]]) -> Target | None:
        if not bound.name:
            return OwnModule(bound.module) if self.module(bound.module) else External(bound.module)
        target = self._resolve(bound.module, bound.name, seen)
        if target is None or (isinstance(target, External) and self.module(bound.module) is None):
            inner = f"{bound.module}.{bound.name}"
            return OwnModule(inner) if self.module(inner) else target or External(inner)
        return target

    def imported(self, bound: Import) -> Target | None:
        """Return what an import within a function binds."""
        return self._imported(bound, frozenset())

    def attribute(self, target: OwnModule, name: str) -> Target | None:
        """Return what the attribute `name` of a module of ours is."""
        return self._imported(Import(target.name, name), frozenset())


@cache
def source_file(name: str) -> Path | None:
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
def _folder(head: str) -> Path | None:
    """Return the folder in which a top-level module or package lies."""
    try:
        spec = importlib.util.find_spec(head)
    except (ValueError, ImportError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve().parent
    return Path(spec.origin).resolve().parent if spec.origin and spec.origin.endswith(".py") else None


@cache
def _standard() -> frozenset[Path]:
    """Return the folders of the standard library."""
    return frozenset(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def _holds_installed(folder: Path) -> bool:
    """Whether a folder holds what installers put side by side, whoever it belongs to."""
    return folder.name in ("site-packages", "dist-packages")


@cache
def _siblings(home: str) -> frozenset[str]:
    """Return the top-level modules of the distributions that installed the top-level module `home`."""
    found: set[str] = set()
    for distribution in importlib.metadata.distributions():
        tops = {file.parts[0].removesuffix(".py") for file in distribution.files or () if file.suffix == ".py"}
        found |= tops if home in tops else set()
    return frozenset(found)
