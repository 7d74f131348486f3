"""The names of one definition and what is done with them: each expression has a kind, what its value may be.

A kind is a set of atoms: classes of ours (for the class and its instances alike), functions, modules, and `UNKNOWN`
where a value may be anything. A container has the kind of what it holds. It is rather too wide than too narrow.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from benchmark.provenance.classes import Classes, is_class, is_function
from benchmark.provenance.sources import Definition, External, Import, OwnModule, Sources, Target, is_registration


@dataclass(frozen=True)
class Super:
    """The value of ``super()`` in a method of the class `owner`."""

    owner: Definition


UNKNOWN: Final = "?"

Atom = Definition | External | OwnModule | Super | str
Kind = frozenset[Atom]

NOTHING: Final[Kind] = frozenset()
ANYTHING: Final[Kind] = frozenset((UNKNOWN,))

LEAVES: Final = frozenset(
    ("torch.Tensor", "torch.device", "torch.Generator", "torch.Size", "torch.dtype", "numpy.ndarray", "pathlib.Path")
)
"""Types from outside that hold nothing of ours and that no class of ours extends."""

OPEN: Final = frozenset(("typing.Any", "typing.Self"))


class Kinds(Protocol):
    """What a scope asks of definitions elsewhere."""

    sources: Sources
    classes: Classes

    def imports(self, of: Definition, /) -> Mapping[str, Import]:
        """Return what the imports within a definition bind."""
        ...

    def annotated(self, where: Definition, node: ast.expr | None, /) -> Kind:
        """Return the kind of values with an annotation that stands in the definition `where`."""
        ...

    def definition_kind(self, of: Definition, /) -> Kind:
        """Return the kind of the value that a definition binds."""
        ...

    def member_kind(self, owner: Definition, name: str, /) -> Kind | None:
        """Return the kind of an attribute of instances of a class; None where the class says nothing of it."""
        ...

    def returned(self, of: Definition, /) -> Kind:
        """Return the kind of what a function returns."""
        ...


class Scope:
    """The names of one definition, and what it does with them."""

    def __init__(self, reader: Kinds, of: Definition) -> None:
        self.reader, self.of = reader, of
        self.imports = reader.imports(of)
        self.local: dict[str, Kind] = {}
        self.names: dict[str, Target] = {}
        self.attributes: set[tuple[Atom, str]] = set()
        self.owner = reader.sources.resolve(of.module, of.owner) if of.owner else None

    def run(self, statement: ast.stmt) -> None:
        """Note all that a statement refers to."""
        if isinstance(statement, ast.ClassDef) and not self.of.owner:
            decorators = [d for d in statement.decorator_list if not is_registration(d)]
            for node in (*statement.bases, *(k.value for k in statement.keywords), *decorators):
                self.kind(node)
            return
        self.settle(statement)
        self.names.clear()
        self.attributes.clear()
        self._statement(statement)

    def settle(self, statement: ast.stmt) -> None:
        """Learn the kinds of local names, which may depend on each other."""
        for _ in range(2):
            self._statement(statement)

    def _statement(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._function(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value)
        elif isinstance(node, ast.AnnAssign):
            self._annotated(node)
        elif isinstance(node, ast.AugAssign):
            self._store(node.target, self.kind(node.value))
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._store(node.target, self.kind(node.iter))
            self._inside((*node.body, *node.orelse))
        elif isinstance(node, ast.withitem):
            held = self.kind(node.context_expr)
            if node.optional_vars is not None:
                self._store(node.optional_vars, held)
        elif isinstance(node, ast.expr):
            self.kind(node)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            self._inside(ast.iter_child_nodes(node))

    def _inside(self, nodes: Any) -> None:
        for node in nodes:
            self._statement(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            if not is_registration(decorator):
                self.kind(decorator)
        if node is not self.of.node:
            self._learn(node.name, ANYTHING)
        self._arguments(node.args, method=bool(self.of.owner) and node is self.of.node and not _is_static(node))
        self._inside(node.body)

    def _arguments(self, args: ast.arguments, method: bool = False) -> None:
        plain = [*args.posonlyargs, *args.args]
        for default in (*args.defaults, *args.kw_defaults):
            if default is not None:
                self.kind(default)
        for number, arg in enumerate([*plain, *args.kwonlyargs, args.vararg, args.kwarg]):
            if arg is None:
                continue
            if method and number == 0 and is_class(self.owner):
                self._learn(arg.arg, frozenset((self.owner,)))  # type: ignore[arg-type]
            else:
                self._learn(arg.arg, self.reader.annotated(self.of, arg.annotation) if arg.annotation else ANYTHING)

    def _annotated(self, node: ast.AnnAssign) -> None:
        kind = self.reader.annotated(self.of, node.annotation)
        in_class = bool(self.of.owner) and node is self.of.node
        if in_class:  # a field: its type decides what it takes
            self.kind(node.annotation)
        if node.value is not None:
            kind |= self.kind(node.value)
        self._store(node.target, kind)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for inner, part in zip(target.elts, value.elts, strict=True):
                self._assign(inner, part)
        else:
            self._store(target, self.kind(value))

    def _store(self, target: ast.expr, kind: Kind) -> None:
        if isinstance(target, ast.Name):
            self._learn(target.id, kind)
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._store(part, kind)
        elif isinstance(target, ast.Starred):
            self._store(target.value, kind)
        else:  # an attribute or an item
            for child in ast.iter_child_nodes(target):
                if isinstance(child, ast.expr):
                    self.kind(child)

    def _learn(self, name: str, kind: Kind) -> None:
        self.local[name] = self.local.get(name, NOTHING) | kind

    def dotted(self, node: ast.expr) -> Target | None:
        """Return what a plain name, with or without dots, refers to outside this definition; None for a builtin."""
        if isinstance(node, ast.Name):
            if node.id in self.imports:
                return self.reader.sources.imported(self.imports[node.id])
            return self.reader.sources.resolve(self.of.module, node.id)
        if isinstance(node, ast.Attribute):
            of = self.dotted(node.value)
            if isinstance(of, OwnModule):
                return self.reader.sources.attribute(of, node.attr)
            if isinstance(of, External):
                return External(f"{of.path}.{node.attr}")
        return None

    def kind(self, node: ast.expr | None) -> Kind:
        """Return the kind of an expression, and note what it refers to."""
        if node is None or isinstance(node, ast.Constant):
            return NOTHING
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(self.kind(node.value), node.attr, _path(node))
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Lambda):
            self._arguments(node.args)
            return self.kind(node.body)
        if isinstance(node, ast.NamedExpr):
            kind = self.kind(node.value)
            self._store(node.target, kind)
            return kind
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            for part in node.generators:
                self._store(part.target, self.kind(part.iter))
                self._inside(part.ifs)
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            return NOTHING.union(*map(self.kind, parts))
        return NOTHING.union(*(self.kind(c) for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)))

    def _name(self, node: ast.Name) -> Kind:
        found = self.local.get(node.id, NOTHING)
        target = self.dotted(node)
        if target is None:
            return found
        self.names[node.id] = target
        return found | self._value(target)

    def _value(self, target: Target) -> Kind:
        if isinstance(target, Definition):
            return self.reader.definition_kind(target)
        return frozenset((target,))

    def _attribute(self, of: Kind, name: str, path: str) -> Kind:
        found: set[Atom] = set()
        for atom in of:
            if isinstance(atom, External):
                found.add(External(f"{atom.path}.{name}"))
            elif isinstance(atom, OwnModule):
                target = self.reader.sources.attribute(atom, name)
                if target is not None:
                    self.names[path or f"{atom.name}.{name}"] = target
                    found |= self._value(target)
            elif atom == UNKNOWN or isinstance(atom, Super) or is_class(atom):  # type: ignore[arg-type]
                self.attributes.add((atom, name))
                found |= self._member(atom, name)
        return frozenset(found)

    def _member(self, atom: Atom, name: str) -> Kind:
        if isinstance(atom, Super):
            member = self.reader.classes.lookup(atom.owner, name, after=atom.owner)
            return ANYTHING if member is None else self.reader.definition_kind(member)
        if atom == UNKNOWN:
            return ANYTHING
        assert isinstance(atom, Definition)
        known = self.reader.member_kind(atom, name)
        # A container has the kind of what it holds, and no such attribute.
        return frozenset((atom,)) if known is None else known

    def _call(self, node: ast.Call) -> Kind:
        called = node.func
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(called, ast.Name) and called.id == "super" and is_class(self.owner):
            return frozenset((Super(self.owner),))  # type: ignore[arg-type]
        if is_registration(node):
            applied = called.args[:1] if isinstance(called, ast.Call) else []  # register_network(name)(network)
            return NOTHING.union(*map(self.kind, (*given, *applied)))
        smeared = NOTHING.union(*map(self.kind, given))
        if isinstance(called, ast.Name) and called.id in ("getattr", "hasattr") and len(node.args) > 1:
            named = node.args[1]
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                return self._attribute(self.kind(node.args[0]), named.value, "") | smeared
            return ANYTHING
        functions = self.kind(called)
        plain = isinstance(called, ast.Name) and not functions  # a builtin
        return NOTHING.union(smeared if plain else NOTHING, *(self._result(f, smeared) for f in functions))

    def _result(self, atom: Atom, smeared: Kind) -> Kind:
        if atom == UNKNOWN:
            return ANYTHING
        if is_function(atom):  # type: ignore[arg-type]
            return self.reader.returned(atom)  # type: ignore[arg-type]
        if is_class(atom):  # type: ignore[arg-type]
            assert isinstance(atom, Definition)
            calls = [self.reader.classes.lookup(atom, name) for name in ("__call__", "forward")]
            return frozenset((atom,)).union(*(self.reader.returned(c) for c in calls if c and is_function(c)))
        return smeared


def last_name(node: ast.expr) -> str:
    """Return the last part of a name with or without dots, "" of any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(last_name(decorator) == "staticmethod" for decorator in node.decorator_list)


def _path(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        inner = _path(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return getattr(node, "id", "")
