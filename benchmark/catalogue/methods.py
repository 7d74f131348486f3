"""What plans and lists ask of a method: this is the one place that knows how a method's class is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.catalogue.answers import remembered
from benchmark.registry import METHODS
from benchmark.spec import validated


@dataclass(frozen=True)
class MethodFacts:
    """What a method declares: its class, one line about it, the fields of its parameters, and its default protocol.

    `requires` are packages that it imports when it is fitted, and that the suite does without.
    """

    name: str
    cls: str
    about: str
    fields: tuple[str, ...]
    protocol: Mapping[str, Any]
    requires: tuple[str, ...] = ()

    @property
    def phases(self) -> Mapping[str, Any]:
        """The phases of the default protocol, as plain values."""
        phases: Mapping[str, Any] = self.protocol["phases"]
        return phases


@dataclass(frozen=True)
class Completed:
    """The parameters of a run, complete and canonical, and the phases that it has."""

    params: dict[str, Any]
    phases: tuple[str, ...]


@dataclass(frozen=True)
class Parent:
    """The run from whose weights another starts: its method, its parameters, and its phases of the other's protocol."""

    method: str
    params: dict[str, Any]
    phases: tuple[str, ...]


def method_facts(name: str) -> MethodFacts:
    """Return what the method `name` declares; UsageError with the nearest names where there is none."""
    told = remembered(("method", name), lambda: _declared(METHODS[name]))
    return MethodFacts(
        name, told["class"], told["about"], tuple(told["fields"]), told["protocol"], tuple(told["requires"])
    )


def completed(name: str, values: Mapping[str, Any]) -> Completed:
    """Return the validated parameters of a run of the method `name`, defaults filled in; UsageError for a wrong one."""
    told = _asked("params", name, values, _completed)
    return Completed(dict(told["params"]), tuple(told["phases"]))


def parent(name: str, params: Mapping[str, Any]) -> Parent | None:
    """Return the run that one of the method `name` with `params` starts from, None where it starts from none.

    The parent has those parameters that its method knows, and those phases that it uses.
    """
    told = _asked("parent", name, params, _parent)
    return None if told is None else Parent(told["method"], dict(told["params"]), tuple(told["phases"]))


def _asked(what: str, name: str, values: Mapping[str, Any], answer: Callable[[str, Mapping[str, Any]], Any]) -> Any:
    try:
        text = json.dumps(values, sort_keys=True)
    except TypeError:  # values that only Python has: the method says what it thinks of them
        return answer(name, values)
    return remembered((what, name, text), lambda: answer(name, values))


def _declared(method: Any) -> dict[str, Any]:
    about = (method.__doc__ or "").strip().splitlines()
    return {
        "class": method.__name__,
        "about": about[0] if about else "",
        "fields": list(method.Params.model_fields),
        "protocol": method.default_protocol.model_dump(mode="json"),
        "requires": list(getattr(method, "requires", ())),
    }


def _completed(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    method = METHODS[name]
    params = validated(method.Params, values, name)
    return {"params": params.canonical(), "phases": list(method.phases_used(params))}


def _parent(name: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
    method = METHODS[name]
    params = validated(method.Params, values, name)
    other = method.pretrained_by
    if not other:
        return None
    known = method.pretraining_params(params)
    return {"method": other, "params": known.canonical(), "phases": list(METHODS[other].phases_used(known))}
