"""The digest of the project code that decides the numbers of a run.

From the method's class, its network, the data source, the training loop and the metrics of a record, names are followed
to the definitions that they reach. What is hashed is the set of these definitions in their normal form, each with what
its names are bound to; no module has its name in it, so that code can be moved. Code that a run cannot reach does not
count: another method, a report, a convenience of a base class.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from benchmark.errors import UsageError
from benchmark.provenance.classes import Classes, is_class, is_function
from benchmark.provenance.normal_form import text
from benchmark.provenance.references import Reader
from benchmark.provenance.scopes import UNKNOWN, Atom, Super
from benchmark.provenance.sources import PROJECT, Definition, External, OwnModule, Sources, Statement
from benchmark.registry import DATASETS, METHODS, NETWORKS, Registered

FRAMEWORK: Final = frozenset(("forward", "backward", "setup_context", "jvp", "vmap", "model_config", ""))
"""Members that other libraries call, or read, whenever a class is used; "" are statements of the body itself."""

WORDS: Final = frozenset(("__repr__", "__str__", "__doc__", "__slots__", "__format__"))
"""Members with two underscores that decide no number."""

PLAIN: Final = frozenset(
    ("property", "cached_property", "staticmethod", "classmethod", "abstractmethod", "override", "final", "overload")
)
"""Decorators of members that count only where they are used; others hand a member to somebody else."""


@dataclass(frozen=True)
class Root:
    """Where to begin: a definition `name` of a module, and of a class the `members` that are called.

    Without a name, it is what the module registers as `registered`; `members` are then called on it, whatever it is.
    Members in `replaced` are called, too, where they are not those of the suite's own base classes, which only lead to
    `members` (and check parameters, or keep what was parsed).
    """

    module: str
    name: str = ""
    members: tuple[str, ...] = ()
    registered: str = ""
    replaced: tuple[str, ...] = ()


HARNESS: Final = (
    Root("benchmark.training.generators", "taking_turns"),
    Root("benchmark.training.samples", "as_samples"),
    Root("benchmark.training.stepping", "Step", ("take",)),
    Root("benchmark.measure.metrics", "evaluate_clustering"),
    Root("benchmark.streams", "Streams", ("torch", "numpy", "integer", "seed")),
)
"""What decides numbers of every run: the generators, the samples as methods get them, the steps of a fit, which whoever
runs it takes, and the metrics of a record."""

BASES: Final = ("Clusterer", "Source")
"""The suite's base classes of methods and data sources."""

METHOD_MEMBERS: Final = ("checked_params", "steps")
FIT_MEMBERS: Final = ("fit", "fitting")
PRETRAINING_MEMBERS: Final = ("phases",)
NETWORK_MEMBERS: Final = ("backbone", "decoder", "hidden", "tap_shapes")
DATA_MEMBERS: Final = ("parse", "scale", "identify", "prepare", "x", "y", "n_clusters")


def run_code_digest(spec: Any) -> str:
    """Return the digest of the project code that decides the numbers of a run: its method's, data set's and ours."""
    return _run_digest(spec.method, spec.data.name, str(spec.params.get("network", "")))


def _run_digest(method: str, dataset: str, network: str) -> str:
    roots = [
        Root(*_class(METHODS[method]), METHOD_MEMBERS, replaced=FIT_MEMBERS),
        _root(DATASETS.origin(dataset), DATA_MEMBERS),
    ]
    if before := METHODS[method].pretrained_by:
        roots.append(Root(*_class(METHODS[before]), PRETRAINING_MEMBERS))
    if network in NETWORKS:
        roots.append(_root(NETWORKS.origin(network), NETWORK_MEMBERS))
    return code_digest((*HARNESS, *roots))


def data_code_digest(source: Any, members: tuple[str, ...] = ("parse", "scale", "identify")) -> str:
    """Return the digest of the code of a data source's class that its `members` reach."""
    return code_digest([Root(*_class(type(source)), members=members)])


def _class(plugin: type) -> tuple[str, str]:
    return plugin.__module__, plugin.__qualname__


def _root(origin: Registered, members: tuple[str, ...]) -> Root:
    replaced = ("load",) if members == DATA_MEMBERS else ()
    return Root(origin.module, members=members, registered=origin.name, replaced=replaced)


@cache
def _cached(roots: tuple[Root, ...]) -> str:
    digest = hashlib.sha256()
    for entry in sorted(entries(roots)):
        digest.update(f"{entry}\0".encode())
    return digest.hexdigest()[:16]


def code_digest(roots: Iterable[Root]) -> str:
    """Return 16 hex digits of the SHA-256 over all definitions that `roots` reach.

    Raises
    ------
    UsageError
        When the code of a root has no Python source.
    """
    return _cached(tuple(roots))


def entries(roots: Iterable[Root]) -> Iterator[str]:
    """Yield for every definition that `roots` reach its normal form, and what its names are bound to."""
    wanted = tuple(roots)
    reader = _reader(_homes(wanted))
    for definition in reached(wanted):
        yield _entry(definition, reader)


def reached(roots: Iterable[Root]) -> frozenset[Definition]:
    """Return the definitions that `roots` reach."""
    wanted = tuple(roots)
    replaced = frozenset(name for root in wanted for name in root.replaced)
    return frozenset(_closed(wanted, _reader(_homes(wanted)), replaced).found)


@lru_cache(maxsize=128)
def _closed(roots: tuple[Root, ...], reader: Reader, replaced: frozenset[str]) -> _Closure:
    """Return the closure of `roots`, grown from that of all of them but the last, which others have in common."""
    if not roots:
        return _Closure(reader, replaced)
    closure = _closed(roots[:-1], reader, replaced).copy()
    closure.begin(roots[-1])
    closure.close()
    return closure


def _homes(roots: Iterable[Root]) -> frozenset[str]:
    return frozenset(root.module.partition(".")[0] for root in roots)


@cache
def _reader(homes: frozenset[str]) -> Reader:
    sources = Sources(homes)
    return Reader(sources, Classes(sources))


@cache
def _form(definition: Definition) -> str:
    """Return the normal form of a definition; of a class at the top of a module that of its head."""
    parts = definition.statements if definition.owner else map(_head, definition.statements)
    return "\n".join(map(text, parts))


def _head(statement: Statement) -> Statement:
    """Return a class statement without its body; its members count one by one."""
    if not isinstance(statement, ast.ClassDef):
        return statement
    head = ast.ClassDef(**{name: value for name, value in ast.iter_fields(statement)})
    head.body = [ast.Pass()]
    return head


@cache
def _entry(definition: Definition, reader: Reader) -> str:
    bound = [f"{name}={_bound(target)}" for name, target in reader.read(definition).names.items()]
    # Statements that bind no name are told apart by their place in the file, which may change.
    name = "" if definition.name.startswith("<") else definition.name
    return f"{definition.owner}.{name}\n{_form(definition)}\n" + "\n".join(sorted(bound))


def _bound(target: Definition | External | OwnModule) -> str:
    """Return what stands for the target of a name: its path outside the project, its own form within."""
    if isinstance(target, External):
        return target.path
    if isinstance(target, OwnModule):
        return "module"
    return hashlib.sha256(_form(target).encode()).hexdigest()[:16]


class _Closure:
    """What is reached so far: definitions, the classes that have instances, and the attributes that are asked for."""

    def __init__(self, reader: Reader, replaced: frozenset[str]) -> None:
        self.reader, self.classes, self.replaced = reader, reader.classes, replaced
        self.found: set[Definition] = set()
        self.live: set[Definition] = set()
        self.asked: dict[Atom, set[str]] = {}
        self._waiting: list[Definition] = []

    def copy(self) -> _Closure:
        """Return a closure that has found as much, to which more is added."""
        copied = _Closure(self.reader, self.replaced)
        copied.found, copied.live = set(self.found), set(self.live)
        copied.asked = {atom: set(names) for atom, names in self.asked.items()}
        return copied

    def begin(self, root: Root) -> None:
        """Add what a root names; UsageError where it has no source."""
        if self.reader.sources.module(root.module) is None:
            raise UsageError(
                f"the module {root.module!r} has no Python source that could be digested: "
                "write it in a module of its own."
            )
        if root.name:
            target = self.reader.sources.resolve(root.module, root.name)
            if not isinstance(target, Definition):
                raise UsageError(
                    f"{root.name!r} is not defined at the top of the module {root.module!r}: move it there."
                )
            self.reach(target)
            for member in root.members:
                self.ask(target, member)
        else:
            for definition in _registrations(self.reader, root):
                self.reach(definition)
            for member in root.members:
                self.ask(UNKNOWN, member)

    def reach(self, definition: Definition) -> None:
        """Add a definition."""
        if definition not in self.found:
            self.found.add(definition)
            self._waiting.append(definition)

    def close(self) -> None:
        """Follow all references to their end."""
        for owner in [d for d in self._waiting if is_class(d)]:
            self._live(owner)
        while self._waiting:
            self._follow(self._waiting.pop())

    def _follow(self, definition: Definition) -> None:
        references = self.reader.read(definition)
        for target in references.values:
            self.reach(target)
        for atom, name in references.attributes:
            self.ask(atom, name)
        for effect in self._effects(definition.module):
            self.reach(effect)
        if is_class(definition):
            self._live(definition)

    def _effects(self, module: str) -> list[Definition]:
        """Return the statements of a module that are executed when it is imported and bind no name."""
        parsed = self.reader.sources.module(module)
        effects = [s for s in parsed.effects if s not in parsed.registering] if parsed else []
        return [Definition(module, f"<{number}>", (statement,)) for number, statement in enumerate(effects)]

    def ask(self, atom: Atom, name: str) -> None:
        """Add the members that an attribute `name` of `atom` may be, of classes that have instances now or later."""
        names = self.asked.setdefault(atom, set())
        if name in names:
            return
        names.add(name)
        if isinstance(atom, Definition):
            self._live(atom)
        for c in tuple(self.live):
            if _may_be(self.classes, c, atom):
                self._answer(c, atom, name)

    def _live(self, owner: Definition) -> None:
        """Add a class that has instances: the heads of its bases, and the members that are used without being named."""
        if owner in self.live:
            return
        self.live.add(owner)
        for c in self.classes.order(owner):
            self.reach(c)
        for name in self.classes.names(owner):
            member = self.classes.lookup(owner, name)
            assert member is not None
            special = name.startswith("__") and name.endswith("__") and name not in WORDS
            called = name in self.replaced
            if special or name in FRAMEWORK or _is_handed_on(member) or (called and not _is_of_base(member)):
                self.reach(member)
            elif called and is_function(member):  # what it gives counts, not how it leads there
                for atom in self.reader.returned(member):
                    if isinstance(atom, Definition) and is_class(atom):
                        self.reach(atom)
        for atom, names in tuple(self.asked.items()):
            if _may_be(self.classes, owner, atom):
                for name in tuple(names):
                    self._answer(owner, atom, name)

    def _answer(self, c: Definition, atom: Atom, name: str) -> None:
        after = atom.owner if isinstance(atom, Super) else None
        if (member := self.classes.lookup(c, name, after)) is not None:
            self.reach(member)


@cache
def _may_be(classes: Classes, c: Definition, atom: Atom) -> bool:
    """Return whether an instance of the class `c` may be what `atom` stands for."""
    if atom == UNKNOWN:
        return True
    wanted = atom.owner if isinstance(atom, Super) else atom
    assert isinstance(wanted, Definition)
    if wanted in classes.order(c):
        return True
    return classes.is_protocol(wanted) and classes.names(wanted) <= classes.names(c)


def _registrations(reader: Reader, root: Root) -> list[Definition]:
    """Return the statements of a module that register `root.registered`: those that name it, else all of them."""
    module = reader.sources.module(root.module)
    assert module is not None
    naming = [s for s in module.registering if _names(s, root.registered)]
    chosen = naming or module.registering
    by_statement: Mapping[int, str] = {id(s): name for name, group in module.statements.items() for s in group}
    places = {id(s): f"<registration {number}>" for number, s in enumerate(module.registering)}
    return [Definition(root.module, by_statement.get(id(s), places[id(s)]), (s,)) for s in chosen]


def _is_of_base(member: Definition) -> bool:
    """Whether a member is that of one of the suite's base classes."""
    return member.owner in BASES and member.module.partition(".")[0] in PROJECT


def _names(statement: Statement, name: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == name for node in ast.walk(statement))


def _is_handed_on(member: Definition) -> bool:
    """Whether a member has a decorator that gives it to somebody else, such as a validator of a model."""
    node = member.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    names = []
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        names.append(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
    return any(name not in PLAIN for name in names)
