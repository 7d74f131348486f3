"""Classes of project code as their sources say: members, bases, and the order in which members are looked up."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache

from benchmark.provenance.sources import (
    Definition,
    Import,
    OwnModule,
    Sources,
    Statement,
    Target,
    bound_names,
    imports_of,
    inner_statements,
)


class Classes:
    """The classes of some sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.members = cache(self._members)
        self.order = cache(self._order)
        self.lookup = cache(self._lookup)
        self.names = cache(self._names)
        self.is_protocol = cache(self._is_protocol)

    def _members(self, owner: Definition) -> dict[str, Definition]:
        """Return the members that the body of a class binds, by name; "" stands for what binds none."""
        assert isinstance(owner.node, ast.ClassDef)
        found: dict[str, list[Statement]] = {}
        for statement in owner.node.body:
            if isinstance(statement, ast.Pass) or (
                isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            ):
                continue
            for name in _bound_within(statement) or [""]:
                found.setdefault(name, []).append(statement)
        return {name: Definition(owner.module, name, tuple(body), owner.name) for name, body in found.items()}

    def bases(self, owner: Definition) -> list[Definition]:
        """Return the bases of a class that are classes of ours."""
        assert isinstance(owner.node, ast.ClassDef)
        plain = [base.value if isinstance(base, ast.Subscript) else base for base in owner.node.bases]
        found = [self.value(owner.module, base) for base in plain]
        return [base for base in found if isinstance(base, Definition) and is_class(base)]

    def value(self, module: str, node: ast.expr) -> Target | None:
        """Return what a plain name, with or without dots, is at the top of a module; None for anything else."""
        if isinstance(node, ast.Name):
            return self._sources.resolve(module, node.id)
        if isinstance(node, ast.Attribute) and isinstance(of := self.value(module, node.value), OwnModule):
            return self._sources.attribute(of, node.attr)
        return None

    def _order(self, owner: Definition) -> tuple[Definition, ...]:
        """Return a class and its bases in Python's method resolution order, without what is not ours."""
        bases = self.bases(owner)
        return (owner, *_merged([list(self.order(base)) for base in bases] + [list(bases)]))

    def _lookup(self, owner: Definition, name: str, after: Definition | None = None) -> Definition | None:
        """Return the member `name` of a class as Python finds it; with `after`, behind that class in the order."""
        order: Sequence[Definition] = self.order(owner)
        if after is not None:
            order = order[order.index(after) + 1 :] if after in order else ()
        return next((self.members(c)[name] for c in order if name in self.members(c)), None)

    def _names(self, owner: Definition) -> frozenset[str]:
        """Return the names of all members of a class and its bases."""
        return frozenset(name for c in self.order(owner) for name in self.members(c))

    def _is_protocol(self, owner: Definition) -> bool:
        """Whether a class is a typing.Protocol: any class with its members is one of its kind."""
        assert isinstance(owner.node, ast.ClassDef)
        return any("Protocol" in ast.dump(base) for base in owner.node.bases)


def is_class(target: Target | None) -> bool:
    """Whether a target is a class of ours."""
    return isinstance(target, Definition) and not target.owner and isinstance(target.node, ast.ClassDef)


def is_function(target: Target | None) -> bool:
    """Whether a target is a function or method of ours."""
    return isinstance(target, Definition) and isinstance(target.node, ast.FunctionDef | ast.AsyncFunctionDef)


def local_imports(statement: Statement, package: str) -> dict[str, Import]:
    """Return what the imports within a statement bind, such as those of a function."""
    found: dict[str, Import] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= imports_of(node, package)[0]
    return found


def _bound_within(statement: Statement) -> list[str]:
    if isinstance(statement, ast.If | ast.Try | ast.With):
        return [name for inner in inner_statements(statement) for name in _bound_within(inner)]
    return list(bound_names(statement))


def _merged(orders: list[list[Definition]]) -> Iterator[Definition]:
    """Yield classes in the order of C3, by which Python merges the orders of bases."""
    while orders := [order for order in orders if order]:
        tails = {c for order in orders for c in order[1:]}
        head = next((order[0] for order in orders if order[0] not in tails), orders[0][0])
        yield head
        orders = [[c for c in order if c != head] for order in orders]
