"""How stored rows were carried over to the digest of reached definitions, from that of whole modules.

For one and the same tree, the commit named below, both digests were computed for every stored run that was fresh or
renewed there: the old one by that commit's own code, the new one by today's `benchmark.provenance` over that commit's
sources. Each pair is a line of results/stored/renewals.jsonl. To repeat it, with a checkout of that commit:

    git worktree add ../then e071222
    python tests/bench/carry_digests.py ../then | diff - <(grep 'digested both ways' results/stored/renewals.jsonl)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMIT = "e071222"
HOME = Path(__file__).resolve().parents[2]

THERE = """
import json, sys
from pathlib import Path
from benchmark.provenance.code import run_code_digest
from benchmark.registry import DATASETS, METHODS, NETWORKS, load_plugins
from benchmark.store.renewals import cell_id
from benchmark.session import Session
from carried import code

load_plugins()
origins = json.loads(sys.argv[1])

def root(kind, name, members):
    replaced = ("load",) if kind == "data" else ()
    return code.Root(origins[f"{kind}/{name}"], members=members, registered=name, replaced=replaced)

def new(spec):
    cls, network = METHODS[spec.method], str(spec.params.get("network", ""))
    roots = [code.Root(cls.__module__, cls.__qualname__, code.METHOD_MEMBERS, replaced=("fit",))]
    roots += [root("data", spec.data.name, code.DATA_MEMBERS)]
    roots += [root("network", network, code.NETWORK_MEMBERS)] if network in NETWORKS else []
    return code.code_digest((*code.HARNESS, *roots))

session, found = Session(Path("nowhere")), {}
for by_device in session.tracked.values():
    for record in by_device.values():
        if not session.stale(record):
            key = cell_id(record.spec), run_code_digest(record.spec), new(record.spec)
            spec = record.spec
            found.setdefault(key, []).append((spec.replicate, record.run_id, spec.method, spec.data.name))
for (cell, old, new), runs in found.items():
    _, run_id, method, dataset = min(runs)
    line = dict(cell=cell, compared="COMPARED", dataset=dataset, machine="", method=method)
    line |= dict(new=new, old=old, run_id=run_id)
    print(json.dumps(line, sort_keys=True, separators=(",", ":")))
"""

ORIGINS = """
import json
from benchmark.registry import DATASETS, NETWORKS, load_plugins
load_plugins()
print(json.dumps({f"{kind}/{name}": registry.origin(name).module
                  for kind, registry in (("data", DATASETS), ("network", NETWORKS)) for name in registry}))
"""


def main() -> None:
    """Print one line for each cell."""
    then = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        carried = Path(folder) / "carried"
        shutil.copytree(HOME / "benchmark" / "provenance", carried)
        for file in carried.glob("*.py"):
            text = (
                file.read_text()
                .replace("benchmark.provenance", "carried")
                .replace("__name__.partition", '"benchmark".partition')
            )
            file.write_text(
                text.replace("NETWORKS, Registered,", "NETWORKS,").replace("origin: Registered", "origin: Any")
            )
        origins = ask(ORIGINS, (HOME,))
        said = THERE.replace("COMPARED", f"the same code ({COMMIT}), digested both ways")
        print("\n".join(sorted(ask(said, (then, Path(folder)), origins).splitlines())))


def ask(script: str, path: tuple[Path, ...], *arguments: str) -> str:
    """Run a script with `path` before all other places of modules, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=path[0]
    ).stdout.strip()


if __name__ == "__main__":
    main()
