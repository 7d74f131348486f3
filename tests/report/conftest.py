"""A report of made-up runs, and a browser tab that opens its pages; nothing trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import Context, Evaluation, RunRecord
from benchmark.registry import load_plugins
from benchmark.report.report import Built, build_report
from benchmark.session import Session
from benchmark.store import Store

ACCS = {"ddc": (0.50, 0.60, 0.70), "ddc-ae": (0.40, 0.42, 0.44), "ddc-uco-t": (0.80, 0.85, 0.90)}


def record(spec: Any, acc: float, context: Context) -> RunRecord:
    def evaluation(epoch: int) -> Evaluation:
        metrics = {"acc": acc * epoch / 5, "nmi": acc, "nmi_geometric": acc, "ari": acc}
        terms = {"separation": 1.0 / (1 + epoch), "companion_1": 0.5 / (1 + epoch)}
        return Evaluation(
            phase="train", step=epoch, epoch=epoch, total=1 / (1 + epoch), terms=terms, metrics=metrics, clusters=10
        )

    return RunRecord(
        run_id=spec.run_id,
        spec=spec,
        context=context,
        status="ok",
        loss=1 - acc,
        losses={"separation": 0.2},
        metrics={"acc": acc, "nmi": acc, "nmi_geometric": acc, "ari": acc},
        history=tuple(map(evaluation, range(6))),
        seconds=2.5,
        environment={"device": "cpu", "date": f"2026-02-0{1 + spec.replicate}T10:00:00", "streams": ["batches:train"]},
    )


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    load_plugins()
    folder = tmp_path_factory.mktemp("report")
    for method, accs in ACCS.items():
        (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=(method,)))
        for spec, acc in zip(cell.specs, accs, strict=True):
            labels = np.arange(1000) % 10 if (method, spec.replicate) == ("ddc", 2) else None
            Store(folder).save(record(spec, acc, cell.context), labels)
    keep_full_profile(folder)
    return build_report(Session(folder, shipped=folder / "nothing"), folder / "out")


def keep_full_profile(folder: Path) -> None:
    """All 20 runs of DDC on USPS in the paper profile, near the published 67.9 (1.6): 67 to 69 %."""
    (cell,) = plan_cells(Request("paper", tables=("tkuco2024/table2",), methods=("ddc",), datasets=("usps",)))
    for spec in cell.specs:
        Store(folder).save(record(spec, 0.67 + 0.001 * spec.replicate, cell.context))


@pytest.fixture
def browse(chromium: Any, built: Built) -> Iterator[Any]:
    """Open pages of the report; fail where the console shows an error or a request leaves the folder."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    tab, wrong = context.new_page(), []
    tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))

    def open_page(path: str) -> Any:
        tab.goto((built.index.parent / path).as_uri())
        return tab

    yield open_page
    context.close()
    assert wrong == []
