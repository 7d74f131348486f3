"""What a definition refers to: names of its module and attributes of values, whose kinds are inferred from types."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmark.provenance.classes import Classes, is_class, local_imports
from benchmark.provenance.scopes import ANYTHING, LEAVES, NOTHING, OPEN, Atom, Kind, Scope, last_name
from benchmark.provenance.sources import Definition, External, Import, Sources, Target


@dataclass(frozen=True)
class References:
    """What a definition refers to.

    `names` are the names that it takes from its module, `values` the definitions among them, and `attributes` pairs of
    an atom that has an attribute, and its name.
    """

    names: Mapping[str, Target]
    attributes: frozenset[tuple[Atom, str]]

    @property
    def values(self) -> Iterator[Definition]:
        """The definitions of ours that are used as values."""
        return (target for target in self.names.values() if isinstance(target, Definition))


class Reader:
    """Reads definitions, each once."""

    def __init__(self, sources: Sources, classes: Classes) -> None:
        self.sources, self.classes = sources, classes
        self._read: dict[Definition, References] = {}
        self._kinds: dict[tuple[Definition, str], Kind | None] = {}
        self.imports = cache(self._imports)

    def _imports(self, of: Definition) -> dict[str, Import]:
        """Return what the imports within a definition bind."""
        module = self.sources.module(of.module)
        package = module.package if module else ""
        return {name: bound for s in of.statements for name, bound in local_imports(s, package).items()}

    def read(self, of: Definition) -> References:
        """Return what a definition refers to; of a class what its head does: bases, keywords and decorators."""
        if of not in self._read:
            scope = Scope(self, of)
            for statement in of.statements:
                scope.run(statement)
            self._read[of] = References(dict(scope.names), frozenset(scope.attributes))
        return self._read[of]

    def member_kind(self, owner: Definition, name: str) -> Kind | None:
        """Return the kind of an attribute of instances of a class; None where the class says nothing of it."""
        key = (owner, name)
        if key not in self._kinds:
            self._kinds[key] = ANYTHING  # for attributes that depend on themselves
            self._kinds[key] = self._member_kind(owner, name)
        return self._kinds[key]

    def _member_kind(self, owner: Definition, name: str) -> Kind | None:
        member = self.classes.lookup(owner, name)
        if member is not None:
            return self.definition_kind(member)
        for c in self.classes.order(owner):
            for method in self.classes.members(c).values():
                if (found := self._assigned(method, name)) is not None:
                    return found
        return None

    def _assigned(self, method: Definition, name: str) -> Kind | None:
        """Return the kind of what a method assigns to ``self.<name>``."""
        if not isinstance(method.node, ast.FunctionDef):
            return None
        for node in ast.walk(method.node):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if isinstance(node, ast.Assign | ast.AnnAssign) and any(
                _is_own(t, name) for u in targets for t in _flat(u)
            ):
                if isinstance(node, ast.AnnAssign):
                    return self.annotated(method, node.annotation)
                scope = Scope(self, method)
                scope.settle(method.node)
                return self._of_target(node, targets, name, scope)
        return None

    def _of_target(self, node: ast.Assign, targets: list[Any], name: str, scope: Scope) -> Kind:
        """Return the kind assigned to ``self.<name>``, which may be one of several targets of several values."""
        for target in targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for inner, value in zip(target.elts, node.value.elts, strict=False):
                    if _is_own(inner, name):
                        return scope.kind(value)
        return scope.kind(node.value)

    def definition_kind(self, of: Definition) -> Kind:
        """Return the kind of the value that a definition binds."""
        node = of.node
        if isinstance(node, ast.ClassDef):
            return frozenset((of,))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return self.returned(of) if _is_property(node) else frozenset((of,))
        if isinstance(node, ast.AnnAssign):
            return self.annotated(of, node.annotation)
        if isinstance(node, ast.Assign):
            return Scope(self, of).kind(node.value)
        return ANYTHING

    def returned(self, of: Definition) -> Kind:
        """Return the kind of what a function returns, by its annotation."""
        node = of.node
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        return ANYTHING if node.returns is None else self.annotated(of, node.returns)

    def annotated(self, where: Definition, node: ast.expr | None) -> Kind:
        """Return the kind of values with an annotation that stands in the definition `where`."""
        if node is None or (isinstance(node, ast.Constant) and not isinstance(node.value, str)):
            return NOTHING
        if isinstance(node, ast.Constant):
            return self.annotated(where, ast.parse(str(node.value), mode="eval").body)
        if isinstance(node, ast.Subscript):
            if last_name(node.value) == "Literal":
                return NOTHING
            return self.annotated(where, node.value) | self.annotated(where, node.slice)
        if isinstance(node, ast.BinOp):
            return self.annotated(where, node.left) | self.annotated(where, node.right)
        if isinstance(node, ast.Tuple | ast.List):
            return NOTHING.union(*(self.annotated(where, part) for part in node.elts))
        if not isinstance(node, ast.Name | ast.Attribute):
            return ANYTHING
        return self._named(where, node)

    def _named(self, where: Definition, node: ast.Name | ast.Attribute) -> Kind:
        if last_name(node) == "Self" and where.owner:
            return frozenset(filter(is_class, (self.sources.resolve(where.module, where.owner),)))  # type: ignore[arg-type]
        target = Scope(self, where).dotted(node)
        if isinstance(target, Definition):
            if is_class(target):
                return frozenset((target,))
            alias = target.node
            if isinstance(alias, ast.Assign) and not isinstance(alias.value, ast.Call):
                return self.annotated(target, alias.value)
            return ANYTHING
        if target is None:  # a builtin
            return ANYTHING if last_name(node) == "object" else NOTHING
        path = target.path if isinstance(target, External) else ""
        head = path.partition(".")[0]
        closed = path in LEAVES or (head in ("typing", "collections") and path not in OPEN) or "NDArray" in path
        return NOTHING if closed else ANYTHING


def _is_own(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name and getattr(node.value, "id", "") == "self"


def _flat(node: ast.expr | None) -> list[ast.expr]:
    if isinstance(node, ast.Tuple | ast.List):
        return list(node.elts)
    return [] if node is None else [node]


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(last_name(decorator) in ("property", "cached_property") for decorator in node.decorator_list)
