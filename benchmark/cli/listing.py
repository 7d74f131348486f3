"""What there is, as lists: plug-ins of each kind, papers, tables, profiles, and how much of them is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.screen import say
from benchmark.registry import ARTEFACTS, DATASETS, DERIVED, METHODS, NETWORKS, OBSERVERS

if TYPE_CHECKING:
    from benchmark.plan.cells import PlannedCell
    from benchmark.plan.runs import Plan
    from benchmark.session import Session


def status_line(session: Session, profile: str, cells: list[PlannedCell]) -> dict[str, Any]:
    """Return how much of one table, profile and reading is stored, and what the rest would take."""
    from benchmark.analysis.kinds import cell_records
    from benchmark.cli.progress import duration

    plan = session.plan(cells)
    specs = {spec.run_id: spec for cell in cells for spec in cell.specs}
    used = [cell_records(cell.specs, session.find) for cell in cells]
    records = list({run_id: record for held in reversed(used) for run_id, record in held.items()}.values())
    counts = {s: sum(r.status == s for r in records) for s in ("ok", "collapsed", "diverged", "failed")}
    seconds = [run.seconds for run in plan.runs]
    known = [s for s in seconds if s is not None]
    unable = [run_id for run_id in plan.impossible if session.lacking(specs[run_id].method)]
    return {
        "profile": profile,
        "table": f"{cells[0].paper}/{cells[0].table}",
        "reading": cells[0].reading,
        "runs": len(specs),
        "stored": plan.stored,
        **counts,
        "stale": sum(session.stale(record) for record in records),
        "missing": sum(run.spec.run_id in specs for run in plan.runs),
        "no_data": len(plan.impossible) - len(unable),
        "no_package": len(unable),
        "time_left": duration(sum(known) / len(known) * len(seconds) if known else None) if plan.runs else "0 s",
    }


def _list_methods() -> list[dict[str, Any]]:
    from benchmark.catalogue.methods import method_facts

    return [{"name": facts.name, "class": facts.cls, "about": facts.about} for facts in map(method_facts, METHODS)]


def captured_phases() -> list[dict[str, Any]]:
    """Return a line for each phase of the methods that train by steps: captured on a GPU, or eager and why."""
    from benchmark.errors import error_line
    from benchmark.registry import load_plugins
    from benchmark.training import DeepClusterer
    from benchmark.training.engines.probing import why_phases_are_eager

    load_plugins()
    lines = []
    for name, method in sorted(METHODS.items()):
        if not (isinstance(method, type) and issubclass(method, DeepClusterer)):
            continue
        try:
            found = why_phases_are_eager(method)
        except Exception as error:
            lines.append({"name": name, "phase": "", "steps": "not known", "why": error_line(str(error))})
            continue
        for phase, why in found.items():
            lines.append({"name": name, "phase": phase, "steps": "eager" if why else "captured", "why": why})
    return lines


def _list_datasets() -> list[dict[str, Any]]:
    from benchmark.catalogue.datasets import dataset_facts

    return [
        {
            "name": name,
            "samples": source.n_samples,
            "shape": "x".join(map(str, source.shape)),
            "classes": source.n_clusters,
            "stand_in_for": source.stand_in_for or "",
            "licence": source.licence,
            "title": source.title,
        }
        for name, source in ((name, dataset_facts(name)) for name in DATASETS)
    ]


def _list_tables() -> list[dict[str, Any]]:
    from benchmark.papers.paper import load_paper, paper_ids

    return [
        {
            "name": f"{paper}/{name}",
            "paper": paper,
            "kind": rule.kind,
            "published_as": rule.published,
            "title": rule.title,
        }
        for paper in paper_ids()
        for name, rule in load_paper(paper).tables.items()
    ]


def _list_profiles() -> list[dict[str, Any]]:
    from benchmark.papers.paper import load_paper, paper_ids

    return [
        {
            "paper": paper,
            "profile": name,
            "runs": rule.runs,
            "samples": rule.samples or "all",
            "set": json.dumps(rule.set),
        }
        for paper in paper_ids()
        for name, rule in load_paper(paper).protocol.profiles.items()
    ]


def _list_networks() -> list[dict[str, Any]]:
    from benchmark.catalogue.networks import layers

    return [{"name": name, "layers": ", ".join(layer.name for layer in layers(name))} for name in NETWORKS]


def _list_papers() -> list[dict[str, Any]]:
    from benchmark.papers.paper import load_paper, paper_ids

    return [{"name": paper, "title": load_paper(paper).protocol.title} for paper in paper_ids()]


# The suite's own observers, derived metrics and artefacts are registered where records are read.
def _list_observers() -> list[dict[str, Any]]:
    import benchmark.store.observed  # noqa: F401

    return [
        {"name": name, "leaves": ", ".join(observer.leaves), "about": observer.about}
        for name, observer in OBSERVERS.items()
    ]


def _list_derived() -> list[dict[str, Any]]:
    import benchmark.analysis.derived  # noqa: F401

    return [{"name": name, "about": metric.about} for name, metric in DERIVED.items()]


def _list_artefacts() -> list[dict[str, Any]]:
    import benchmark.analysis.artefacts  # noqa: F401

    return [{"name": name, "folder": made.folder, "about": made.about} for name, made in ARTEFACTS.items()]


LISTS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
    "methods": _list_methods,
    "datasets": _list_datasets,
    "networks": _list_networks,
    "papers": _list_papers,
    "tables": _list_tables,
    "profiles": _list_profiles,
    "observers": _list_observers,
    "derived": _list_derived,
    "artefacts": _list_artefacts,
}
"""What `ls` can list."""


def print_json(value: Any) -> None:
    """Print a value as JSON; tuples and paths become lists and texts."""
    say(json.dumps(value, indent=2, default=str))


def cannot_run(plan: Plan, reasons: dict[str, set[str]]) -> None:
    """Add to `reasons` the ids of the runs of a plan that cannot be made here, by reason."""
    for run_id, reason in plan.impossible.items():
        reasons.setdefault(reason, set()).add(run_id)


def print_list(lines: list[dict[str, Any]], as_json: bool) -> None:
    """Print lines with the same keys as a table, or as JSON; keys are words joined by underscores."""
    if as_json:
        say(json.dumps(lines, indent=2))
        return
    if not lines:
        say("nothing")
        return
    keys = list(lines[0])
    header = [key.replace("_", " ") for key in keys]
    rows = [header, *([str(line[key]) for key in keys] for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def cite(names: Annotated[list[str], typer.Argument(help="Papers, methods, data sets; see `ls`.")]) -> None:
    """Print what to cite for papers, methods and data sets, as BibTeX."""
    from benchmark.catalogue.references import references

    say("\n".join(references(names)), nl=False)
