"""One run reaches neither the next, nor the harness, nor the labels: a hostile method before each kind of run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.prepared import forget_prepared
from benchmark.errors import UserError
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.execute import RunResult, execute
from benchmark.execution.executors import processes, serial
from benchmark.execution.fits.apart import is_foreign
from benchmark.execution.fits.scoring import Scorer, Shown
from benchmark.execution.fits.sealing import opened, sealed
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from tests.support.attack import made
from tests.support.hostile import CHANGES, NAMES, PEEKS, Hostile

load_plugins()
for name in NAMES:
    METHODS._entries.pop(name, None)
torch.set_num_threads(1)

pytestmark = pytest.mark.attack("methods")


@pytest.fixture(autouse=True)
def only_here() -> Iterator[None]:
    """Hide the method of these tests from those of others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS._entries, "hostile", Hostile)
        yield
    forget_prepared()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes find the method by an entry point, as that of a plug-in."""
    metadata = tmp_path / "site" / "hostile-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[reclust.methods]\nhostile = tests.support.hostile\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def data(samples: int = 200, *steps: str) -> DataSpec:
    return DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=samples, preprocess=steps)


def hostile(deed: str, folder: Path | str = "") -> RunSpec:
    if deed:
        made("methods", name=deed)
    params = {"n_clusters": 3, "deed": deed, "folder": str(folder)}
    return RunSpec(method="hostile", params=params, data=data(), protocol=Protocol(), replicate=0)


def honest(method: str) -> RunSpec:
    """Return a short run of one of the suite's methods."""
    changes = {"batch_size": 40, "budget": Budget(amount=1), "evaluate_every": 1}
    phases = {n: p.model_copy(update=changes) for n, p in METHODS[method].default_protocol.phases.items()}
    values = METHODS[method](10).checked_params().canonical()
    steps = ("flatten",) if values.get("network") == "mlp-dec" else ()
    if method == "k-means":
        values["starts"] = 1
    return RunSpec(method=method, params=values, data=data(200, *steps), protocol=Protocol(phases=phases), replicate=0)


def bits(result: RunResult) -> str:
    record = result.record
    assert record.status in ("ok", "collapsed"), record.error
    kept = {"status", "loss", "final_loss", "losses", "first_losses", "metrics", "history", "epochs", "steps"}
    return record.model_dump_json(include=kept) + result.labels.tobytes().hex()


KINDS = ("k-means", "ddc")


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, str]:
    return {kind: bits(execute(honest(kind))) for kind in KINDS}


@pytest.mark.parametrize("deed", CHANGES)
def test_a_hostile_run_in_this_process_is_named_and_changes_no_bit_of_the_next(deed, undisturbed):
    before = os.getcwd()
    result = execute(hostile(deed))
    assert result.record.status == "failed" and result.spoilt
    assert deed in result.record.error and "which other runs share" in result.record.error
    assert os.getcwd() == before and torch.get_num_threads() == 1
    kinds = KINDS if deed in ("samples", "default dtype", "denormal", "mkldnn") else KINDS[:1]
    assert {kind: bits(execute(honest(kind))) for kind in kinds} == {kind: undisturbed[kind] for kind in kinds}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_plug_in_that_changes_all_it_can_is_followed_by_runs_with_the_same_bits(tmp_path, undisturbed, executor):
    specs = [hostile(deed) for deed in CHANGES] + [honest("k-means")]
    jobs, place = [Job(spec, Context()) for spec in specs], Place(tmp_path)
    events = serial(jobs, place) if executor == "serial" else processes(jobs, place, 1)
    ends = {end.job.run_id: end for end in events if isinstance(end, Finished)}
    assert all(end.record for end in ends.values()), [end.error for end in ends.values()]
    statuses = {deed: ends[hostile(deed).run_id].record.status for deed in CHANGES}
    assert statuses == dict.fromkeys(CHANGES, "failed") | {"samples": "ok"}  # which are a copy of its own
    made = ends[honest("k-means").run_id].record
    kept = {"loss", "metrics", "first_losses"}
    assert made.model_dump_json(include=kept) == execute(honest("k-means")).record.model_dump_json(include=kept)


def test_generators_begin_alike_for_each_run_and_are_taken_back(monkeypatch):
    drawn = []

    def draw(self: Any, x: np.ndarray, params: Any, context: Any) -> Any:
        import random

        drawn.append((random.random(), np.random.rand(), float(torch.rand(()))))
        return original(self, x, params, context)

    original = Hostile.cluster
    monkeypatch.setattr(Hostile, "cluster", draw)
    np.random.seed(1)
    first = np.random.get_state()[1].tobytes()
    for _ in range(2):
        assert execute(hostile("")).record.status == "ok"
        np.random.seed(1)
    assert drawn[0] == drawn[1]
    np.random.seed(1)
    execute(hostile(""))
    assert np.random.get_state()[1].tobytes() == first


def test_a_plug_in_trains_elsewhere_and_a_method_of_the_suite_does_not():
    assert is_foreign(hostile("")) and not any(is_foreign(honest(kind)) for kind in KINDS)


@pytest.mark.parametrize("deed", PEEKS)
def test_no_way_leads_from_a_fit_in_this_process_to_the_labels(deed):
    if deed in ("garbage", "library"):
        pytest.skip("in one process both are within reach; a plug-in trains in another, where they are not")
    record = execute(hostile(deed)).record
    assert (record.status == "failed" and "digits" in record.error) or record.metrics["acc"] < 0.3


def test_no_way_leads_from_a_plug_in_s_process_to_the_labels(tmp_path):
    jobs = [Job(hostile(deed), Context()) for deed in PEEKS]
    ends = [end for end in serial(jobs, Place(tmp_path)) if isinstance(end, Finished)]
    records = {end.job.spec.params["deed"]: end.record for end in ends}
    assert records.keys() == PEEKS.keys()
    for deed in ("load_dataset", "registry", "source", "library"):
        assert records[deed].status == "failed", deed
    assert "labels are there" in records["library"].error
    assert not [deed for deed, r in records.items() if r.status == "ok" and r.metrics["acc"] > 0.3]


EARLY = """
import numpy as np
from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome

{load}

@register_method("early")
class Early(Clusterer[ClusterParams]):
    Params = ClusterParams

    def cluster(self, x, params, context):
        return np.asarray(TARGET)[: len(x)].astype(np.int64), x.reshape(len(x), -1), Outcome(1.0, 1.0)
"""
LOADS = {
    "labels are there": "from sklearn.datasets import load_digits; TARGET = load_digits().target",
    "a fit may not load the data set": "import datasets; TARGET = datasets.load_dataset('digits').y",
}


@pytest.mark.parametrize("words", LOADS)
def test_a_plug_in_that_loads_labels_when_it_is_imported_has_none_in_its_fit(tmp_path, monkeypatch, words):
    site, name = tmp_path / "site", f"early_{len(words)}"
    metadata = site / "early-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: early\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[reclust.methods]\nearly = {name}\n")
    (site / f"{name}.py").write_text(EARLY.format(load=LOADS[words]))
    monkeypatch.syspath_prepend(str(site))
    load_plugins()
    try:
        run = RunSpec(method="early", params={"n_clusters": 10}, data=data(), protocol=Protocol(), replicate=0)
        assert execute(run).record.metrics, "in the process of the harness it loads them"
        (end,) = [end for end in serial([Job(run, Context())], Place(tmp_path)) if isinstance(end, Finished)]
    finally:
        METHODS._entries.pop("early", None)
        sys.modules.pop(name, None)
    assert end.record.status == "failed" and words in end.record.error, end.record.error
    made("methods", name=f"early: {words}")


def test_the_peeking_method_finds_labels_that_lie_open():
    y = DATASETS["digits"].load().prepare((), 200).y

    class Open:
        def __init__(self) -> None:
            self.observers = ({"data": [y]},)

    from tests.support.hostile import peeked

    np.testing.assert_array_equal(peeked("attributes", Open(), 200), y)


def test_what_passes_through_the_training_side_is_readable_with_the_labels_alone():
    y, other = np.arange(10), np.arange(10)[::-1]
    text = sealed([{"acc": 0.5}], y)
    assert opened(text, y) == [{"acc": 0.5}]
    assert text != sealed([{"acc": 0.5}], y) and "acc" not in text
    for wrong, labels in ((text, other), (text[:-8] + "AAAAAAA=", y)):
        with pytest.raises(ValueError):
            opened(wrong, labels)


def test_a_scorer_gives_samples_and_scores_and_no_labels():
    source = DATASETS["digits"].load().prepare((), 200)
    with Scorer(lambda: source) as scorer:
        scorer.show(Shown("p", 1, 1, 0.5, {"a": 0.5}, source.y.copy()))
        memory = scorer.seal()
        scores = scorer.scores(source.y)
        assert scores.metrics["acc"] == 1.0 == scores.history[0].metrics["acc"]
        scorer.unseal(memory)
        assert scorer.scores(None).history == scores.history
        from tests.support.hostile import arrays

        assert not any(found.dtype.kind in "iu" for found in arrays(scorer, 8))


def test_an_observer_that_asks_for_labels_on_the_training_side_is_told_what_to_declare():
    def peeking(snapshot: Any, estimator: Any, data: Any) -> dict[str, float]:
        return {"x": float(data.y[0])}

    with pytest.raises(UserError, match=r"Observer\(labels=True\)"):
        execute(honest("ddc"), measures=[peeking])


def test_a_worker_that_a_run_spoilt_is_replaced():
    import multiprocessing
    from types import SimpleNamespace

    from benchmark.execution.crew import Crew

    ended: list[str] = []
    process = SimpleNamespace(kill=lambda: ended.append("killed"), join=lambda: ended.append("joined"))
    ours, theirs = multiprocessing.Pipe()
    job = Job(hostile(""), Context())
    crew = Crew(Place(Path()), 1)
    crew._crew = [SimpleNamespace(process=process, pipe=ours, jobs={job.run_id: job}, spoilt=False)]  # type: ignore[list-item]
    theirs.send(Finished(job, None, spoilt=True))
    (event,) = crew.events(1.0)
    assert event.spoilt and ended == ["killed", "joined"] and crew._crew == [] and crew.free == 1
