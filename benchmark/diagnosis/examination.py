"""The whole examination, in the order in which one mends: installation, plug-ins, devices, data, cache, results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.diagnosis import folders, machine
from benchmark.diagnosis.finding import Finding
from benchmark.errors import UserError
from benchmark.registry import BROKEN, METHODS
from benchmark.session import Session


def examine(results: Path, data_dir: Path | None = None) -> Iterator[Finding]:
    """Yield what is found about this machine, its data and a results folder; nothing is changed.

    Plug-ins are those that the registries were asked to load before.
    """
    from pooch import os_cache

    session = Session(results, data_dir=data_dir)
    yield from machine.versions()
    yield from plug_ins(session)
    yield from machine.devices()
    yield from folders.data(session.data_dir)
    yield from machine.cache(Path(os_cache(machine.DISTRIBUTION)))
    yield machine.disk(session.results)
    try:
        yield from folders.results(session)
    except UserError as error:  # what no reader of records can do without
        yield Finding("results", "records", "blocks", str(error))


def plug_ins(session: Session) -> Iterator[Finding]:
    """Yield the plug-ins that cannot be imported, and the methods that lack a package."""
    lacking = {name: text for name in METHODS if (text := session.lacking(name))}
    yield Finding("plug-ins", "methods", "fine", f"{len(METHODS) - len(lacking)} can be run")
    yield from (Finding("plug-ins", name, "note", text) for name, text in lacking.items())
    for name, text in BROKEN.items():
        yield Finding("plug-ins", name, "blocks", text, "mend it, or remove its package or file; all else goes on")
