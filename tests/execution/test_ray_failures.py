"""Failures are values on a Ray cluster, too: each is a record with a status and a reason, and the plan goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import ERROR_BYTES
from benchmark.registry import METHODS, load_plugins
from tests.support.attack import made
from tests.support.checkout import ROOT
from tests.support.hostile import ERRORS, NAMES, OUTCOMES

load_plugins()
for name in NAMES:
    METHODS._entries.pop(name, None)
pytestmark = [pytest.mark.slow, pytest.mark.attack("methods")]

PLAN = """
import json, sys
from pathlib import Path
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.jobs import with_parents
from benchmark.execution.ray_executor import on_ray
from benchmark.record import Context
from benchmark.registry import DATASETS, load_plugins
from benchmark.spec import DataSpec, Protocol, RunSpec
from benchmark.store import Store

load_plugins()

def job(method, deed=""):
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=60)
    params = {"n_clusters": 3, "deed": deed, "folder": ""}
    return Job(RunSpec(method=method, params=params, data=data, protocol=Protocol(), replicate=0), Context())

results = Path(sys.argv[1])
jobs = with_parents([job(*words) for words in json.loads(sys.argv[2])])
ends = [end for end in on_ray(jobs, Place(results), "", workers=2) if isinstance(end, Finished)]
store = Store(results, use_stored=False)
assert store.verify() == [], store.verify()
found = []
for end in ends:
    record = store.get(end.job.run_id)
    assert record == end.record
    spec = end.job.spec
    found.append([spec.method, spec.params["deed"], record and record.status, record.error if record else end.error])
print(json.dumps(found))
"""


# A plug-in that trains in the process of the worker itself, as methods of the suite do.
HERE = """
import benchmark.execution.jobs
benchmark.execution.jobs.is_foreign = lambda spec: False
from tests.support import hostile
"""


@pytest.mark.parametrize("where", ["apart", "in the worker"])
def test_whatever_methods_do_on_a_cluster_is_stored_as_its_reason_and_the_others_are_made(
    tmp_path: Path, where: str
) -> None:
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    metadata = tmp_path / "site" / "hostile-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    module = "tests.support.hostile" if where == "apart" else "hostile_here"
    (metadata / "entry_points.txt").write_text(f"[reclust.methods]\nhostile = {module}\n")
    (metadata.parent / "hostile_here.py").write_text(HERE)
    deeds = [*ERRORS, *OUTCOMES, "leave", ""]
    plan = [["hostile", deed] for deed in deeds] + [["tied-heir", ""], ["heir", ""]]
    paths = os.pathsep.join((str(metadata.parent), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", PLAN, str(tmp_path / "results"), json.dumps(plan)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = {
        (method, deed): (status, error) for method, deed, status, error in json.loads(done.stdout.splitlines()[-1])
    }
    for reason in (*ERRORS, *OUTCOMES):
        status, error = found["hostile", reason]
        assert status == "failed" and reason in error, (reason, error)
        assert len(error.encode()) <= ERROR_BYTES and "\n" not in error
        made("methods", name=reason)
    assert found["hostile", ""][0] == found["tied", ""][0] == found["tied-heir", ""][0] == "ok"
    assert found["weightless", ""][0] == found["heir", ""][0] == "failed"
    assert "leaves no network model_" in found["weightless", ""][1]
    assert "which it starts from, failed" in found["heir", ""][1]
    status, error = found["hostile", "leave"]
    assert status is None and "died 5 times" in error
    assert ("exit code 0" if where == "apart" else "WorkerCrashedError") in error
