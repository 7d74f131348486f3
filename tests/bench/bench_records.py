"""Planner, store, renderer and report of everything in three profiles, on 10 000 records."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.analysis.tables import stored_tables
from benchmark.files.writing import write_changed
from benchmark.papers.protocol import PROFILES, READINGS
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.estimate import RunTimes
from benchmark.plan.request import Request
from benchmark.plan.runs import Plan, plan_runs
from benchmark.record import Context, Evaluation, RunRecord
from benchmark.registry import load_plugins
from benchmark.report.report import build_report
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.tracked import place, stored_files
from benchmark.tables import FORMATS, render_tables

RECORDS = 10_000
RUN_FOLDERS = 500
EVALUATIONS = 10
DDC = ("separation", "orthogonality", "simplex")


def every_cell() -> list[PlannedCell]:
    requests = [Request(profile, readings=READINGS) for profile in PROFILES]
    return [cell for request in requests for cell in plan_cells(request)]


def loss_terms(spec: RunSpec) -> tuple[str, ...]:
    """Return names of loss terms as the methods have them, for the figures that draw them."""
    own = ("clustering",) if "cluster" in spec.protocol.phases else DDC
    beside = ("companion_1", "companion_2") if "uco" in spec.method else ("reconstruction",)
    return (*own, *beside)


def make_record(spec: RunSpec, context: Context, rng: np.random.Generator) -> RunRecord:
    def metrics() -> dict[str, float]:
        return dict(zip(("acc", "nmi", "nmi_geometric", "ari"), rng.random(4).tolist(), strict=True))

    terms = loss_terms(spec)
    totals = sorted(rng.random(EVALUATIONS).tolist(), reverse=True)
    history = tuple(
        Evaluation(
            phase="train",
            step=83 * number,
            epoch=number,
            total=total,
            terms=dict.fromkeys(terms, total / len(terms)),
            metrics=metrics(),
            clusters=10,
        )
        for number, total in enumerate(totals)
    )
    return RunRecord(
        run_id=spec.run_id,
        spec=spec,
        context=context,
        status="ok",
        loss=totals[-1],
        final_loss=totals[-1],
        losses=history[-1].terms,
        metrics=history[-1].metrics,
        first_losses=tuple(totals[:5]),
        history=history,
        n_samples=10_000,
        epochs=EVALUATIONS - 1,
        steps=history[-1].step,
        seconds=100 * float(rng.random()),
        code_digest="0123456789abcdef",
        environment={"device": "cpu", "torch": "2.9.0", "threads": 1},
    )


@pytest.fixture(scope="session")
def records() -> list[RunRecord]:
    """Records of the replicates 0, 1, 2 ... of every cell, until there are enough."""
    load_plugins()
    rng, made = np.random.default_rng(0), {}
    cells = [(cell.resolved, cell.context) for cell in every_cell() if cell.resolved]
    for replicate in itertools.count():
        for resolved, context in cells:
            spec = resolved.replicate(replicate)
            if len(made) < RECORDS and spec.run_id not in made:
                made[spec.run_id] = make_record(spec, context, rng)
        if len(made) == RECORDS:
            break
    return list(made.values())


@pytest.fixture(scope="session")
def results(records: list[RunRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder that tracks all records."""
    results = tmp_path_factory.mktemp("tracked")
    folders: dict[str, list[RunRecord]] = {}
    for record in records:
        folders.setdefault(place(record.context), []).append(record)
    for folder, held in folders.items():
        write_changed({results / "stored" / folder / name: data for name, data in stored_files(held).items()})
    return results


@pytest.fixture(scope="session")
def session(results: Path) -> Session:
    session = Session(results)
    assert len(session.records) >= RECORDS
    return session


@pytest.mark.parametrize("stored", ["nothing", "everything"])
def test_plan_of_everything(benchmark: Any, records: list[RunRecord], stored: str) -> None:
    done = {spec.run_id for cell in every_cell() for spec in cell.specs} if stored == "everything" else set()

    def plan() -> Plan:
        return plan_runs(every_cell(), lambda spec: spec.run_id in done, lambda name: "", RunTimes(records))

    made = benchmark.pedantic(plan, rounds=3)
    assert (made.stored == 0 and made.runs) if stored == "nothing" else (made.stored and not made.runs)


def test_index_of_tracked_records(benchmark: Any, results: Path) -> None:
    ids = benchmark.pedantic(lambda: Store(results, shipped=results / "none").ids(), rounds=3)
    assert len(ids) == RECORDS


def test_index_of_500_run_folders(benchmark: Any, records: list[RunRecord], tmp_path: Path) -> None:
    store = Store(tmp_path, use_stored=False)
    for record in records[:RUN_FOLDERS]:
        store.save(record)
    ids = benchmark.pedantic(lambda: Store(tmp_path, use_stored=False).ids(), rounds=3)
    assert len(ids) == RUN_FOLDERS


def test_read_of_tracked_records(benchmark: Any, results: Path) -> None:
    held = benchmark.pedantic(lambda: list(Store(results, shipped=results / "none").records().values()), rounds=1)
    assert len(held) == RECORDS


def test_assembly_of_every_table(benchmark: Any, session: Session) -> None:
    tables = benchmark.pedantic(lambda: stored_tables(session, Request(readings=READINGS)), rounds=3, warmup_rounds=1)
    assert tables


@pytest.mark.parametrize("format", FORMATS)
def test_render_of_every_table(benchmark: Any, session: Session, format: Any) -> None:
    tables = stored_tables(session, Request(readings=READINGS))
    assert benchmark.pedantic(render_tables, (tables, format), rounds=5)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


def pages_by_size(report: Path) -> list[Path]:
    return sorted(report.rglob("*.html"), key=lambda page: page.stat().st_size)


def test_report_of_everything(benchmark: Any, results: Path, report: Path) -> None:
    began = time.process_time()
    built = benchmark.pedantic(lambda: build_report(Session(results), report), rounds=1)
    # On a busy machine the time of this process alone tells more than that of the clock.
    benchmark.extra_info["processor seconds"] = round(time.process_time() - began, 1)
    pages = pages_by_size(report)
    benchmark.extra_info["pages"] = len(pages)
    benchmark.extra_info["largest page, KiB"] = pages[-1].stat().st_size // 1024
    assert built


@pytest.mark.parametrize("page", ["start page", "largest page"])
def test_report_opens(benchmark: Any, report: Path, chromium: Any, page: str) -> None:
    """Time by the clock of Chromium until a page is loaded, each time without a cache; this process only waits."""
    pages = pages_by_size(report)
    if not pages:
        pytest.skip("no report: it is made by test_report_of_everything")
    opened = report / "index.html" if page == "start page" else pages[-1]
    seconds = benchmark.pedantic(lambda: [seconds_to_load(chromium, opened) for _ in range(5)], rounds=1)
    benchmark.extra_info["wall"] = {"median": float(np.median(seconds)), "min": min(seconds)}
    assert min(seconds) > 0


def seconds_to_load(chromium: Any, page: Path) -> float:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.goto(page.as_uri(), wait_until="load")
    seconds = tab.evaluate("performance.getEntriesByType('navigation')[0].duration / 1000")
    context.close()
    return float(seconds)
