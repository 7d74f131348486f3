"""A script that makes runs with the code in one folder, which may be that of an earlier revision.

    PYTHONPATH=FOLDER PYTHONSAFEPATH=1 python driver.py FOLDER DEVICE [DATA_DIR] < jobs > numbers

Standard input has a job on each line, as JSON: `key`, a canonical `spec`, the names of `observers`, and whether it is
to be `run` or only digested. For each, a line of JSON is printed: `key`, `digest` of the folder's code, and of a run
`numbers`, its `machine` and the `reason` where it failed; or `key` and `error`. It imports only what every revision has
since digests follow names; modules are found under their paths of today, or those from before the rooms.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

HOMES: Mapping[str, tuple[str, ...]] = {
    "execute": ("benchmark.execution.execute", "benchmark.execute"),
    "OBSERVERS": ("benchmark.store.observed", "benchmark.execution.observers", "benchmark.observers"),
    "run_code_digest": ("benchmark.provenance.code",),
    "RunSpec": ("benchmark.spec",),
    "load_plugins": ("benchmark.registry",),
}
"""By name the modules that may hold it: those of today, then those of earlier revisions."""

NUMBERS = (
    "status",
    "loss",
    "final_loss",
    "losses",
    "metrics",
    "first_losses",
    "history",
    "n_samples",
    "epochs",
    "steps",
)
"""What must be equal of two records."""


PACKAGES = ("benchmark", "methods", "datasets", "paper_tables")


class OnlyPath:
    """A finder of modules that looks for those of the suite on the path alone.

    An editable installation brings a finder of its own, which would give today's module where the folder has none.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module is; ModuleNotFoundError for one of the suite that is not on the path."""
        if name.partition(".")[0] not in PACKAGES:
            return None
        found = PathFinder.find_spec(name, path, target)
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found


def named(name: str) -> Any:
    """Return what the folder's code has under `name`; ImportError where its module is in no known place."""
    for module in HOMES[name]:
        if _is_there(module) and hasattr(found := importlib.import_module(module), name):
            return getattr(found, name)
    raise ImportError(f"{name} is in none of {', '.join(HOMES[name])}")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of its parents
        return False


def answered(job: Mapping[str, Any], device: str, data_dir: Path | None) -> dict[str, Any]:
    """Return what is printed for a job, an error included."""
    try:
        spec = named("RunSpec").model_validate(job["spec"])
        if not job["run"]:
            return {"key": job["key"], "digest": named("run_code_digest")(spec)}
        observers = named("OBSERVERS")
        measures = [observers[name] for name in job["observers"]]
        result = named("execute")(spec, data_dir=data_dir, device=device, measures=measures)
    except Exception as error:  # whatever an earlier revision raises concerns this job alone
        return {"key": job["key"], "error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    record = result.record.model_dump()
    labels = None if result.labels is None else hashlib.sha256(result.labels.tobytes()).hexdigest()
    return {
        "key": job["key"],
        "digest": record["code_digest"],
        "machine": [str(record["environment"].get(key)) for key in ("machine", "torch", "threads")],
        "reason": record["error"],
        "numbers": {**{name: record[name] for name in NUMBERS}, "labels": labels},
    }


def main(arguments: Sequence[str]) -> None:
    """Answer the jobs on standard input, one after another, with one thread."""
    folder, device, *rest = arguments
    sys.meta_path.insert(0, OnlyPath)
    import benchmark

    place = Path(benchmark.__file__ or "").resolve().parents[1]
    if place != Path(folder).resolve():
        raise SystemExit(f"the code in {place} would be used, in place of that in {folder}")
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)  # as all runs are made
    said, sys.stdout = sys.stdout, sys.stderr  # what methods print is no answer
    with threadpool_limits(1):
        named("load_plugins")()
        for line in sys.stdin:
            answer = answered(json.loads(line), device, Path(rest[0]) if rest else None)
            print(json.dumps(answer), file=said, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
