"""All that is to be done when a GPU is at hand for a quarter of an hour, by one command that needs no network.

On the machine with the card (Python 3.12, torch, and wheels of what it lacks; `--collect wheels` fetches them before)::

    python tests/bench/on_a_card.py --wheels wheels --data DATA --out OUT --minutes 9

It installs the wheels beside the results, runs ``pytest -m cuda``, probes how fast steps are and whether their bits
are equal, and makes runs: pairs of pre-trainings of dynae2022 with the critic trained and frozen (Y15) and what starts
from them, and of the paper profile table 2 of tkuco2024 on USPS, then DEC of dtkc2019 on MNIST. What each step said
lies in OUT, and runs lie in OUT/results: the same command again goes on with those that are left; `--only` names steps.
OUT/home has the rows and histories alone, without weights, for `results merge OUT/home` where results are kept.
``--device cpu`` does all of it in a small form, which shows that the script works.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE = (
    *("pydantic", "pydantic-core", "pooch", "platformdirs", "annotated-types", "typing-inspection"),
    *("typer", "rich", "shellingham", "click", "markdown-it-py", "mdurl"),
    *("pygments", "pytest", "pytest-regressions", "pytest-datadir", "pytest-timeout", "pluggy"),
    *("iniconfig", "pyyaml", "packaging", "tabulate", "safetensors", "pylatexenc"),
    *("threadpoolctl", "joblib", "jinja2", "markupsafe", "requests", "urllib3"),
    *("certifi", "idna", "charset-normalizer"),
)
"""Small packages that a bare machine may lack; torch, numpy, scipy, pandas and scikit-learn are expected there."""

STEPS = ("install", "tests", "probe", "pairs", "usps", "dec", "rivals")
PROBE = (sys.executable, "-m", "tests.bench.card_probe")
GRACE = 45
"""Seconds in which a command that is asked to stop reaches its checkpoints."""


class Card:
    """The steps, one after another, in the time that there is."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.small = arguments.device == "cpu"
        self.out, self.device, self.wheels = arguments.out.resolve(), arguments.device, arguments.wheels
        self.end: float = time.monotonic() + 60 * arguments.minutes
        self.site = self.out / "site"
        self.results = self.out / "results"
        self.out.mkdir(parents=True, exist_ok=True)
        paths = [str(ROOT), str(self.site), os.environ.get("PYTHONPATH", "")]
        data = {"RECLUST_DATA": str(arguments.data.resolve())} if arguments.data else {}
        self.variables = {**os.environ, **data, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "120"}
        self.failed: list[str] = []

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.end - time.monotonic()

    def step(self, name: str, command: Sequence[str], seconds: float) -> int:
        """Make a step, keep what it says in its log, and ask it to stop when its time is over."""
        print(f"== {name}, at most {seconds:.0f} s: {' '.join(command)}", flush=True)
        started = time.monotonic()
        with (self.out / f"{name}.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(timeout=max(1.0, seconds))
            except subprocess.TimeoutExpired:
                code = _stopped(process)
        taken = time.monotonic() - started
        with (self.out / "steps.jsonl").open("a", encoding="utf-8") as steps:
            steps.write(json.dumps({"step": name, "code": code, "seconds": round(taken, 1)}) + "\n")
        tail = (self.out / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
        print(
            "\n".join(tail),
            f"-- {name} ended with {code} after {taken:.0f} s, {self.left:.0f} s left",
            sep="\n",
            flush=True,
        )
        if code:
            self.failed.append(name)
        return code

    def install(self) -> None:
        """Put the wheels of what is not installed here into a folder of its own, and say what is still missing."""
        wanted = [wheel for wheel in _wheels(self.wheels) if not _installed(wheel.name.partition("-")[0])]
        if wanted:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
            self.step("install", [*pip, "--target", str(self.site), *map(str, wanted)], 120)
        sys.path.insert(0, str(self.site))
        missing = sorted(name for name in _required() if not _installed(name))
        print(f"{len(wanted)} wheels installed; missing here: {', '.join(missing) or 'nothing'}", flush=True)

    def tests(self) -> None:
        """Run the tests that need a CUDA device: of those files alone that have any, as others need more packages."""
        files = [str(file.relative_to(ROOT)) for file in sorted((ROOT / "tests").rglob("test_*.py")) if _has_cuda(file)]
        shown = ["-q", "-rsfE", "--maxfail=12", "--durations=5", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-m", "cuda", *shown, *files]
        if _installed("pytest-xdist"):  # they are short, and most of their time is that of processors
            command += ["-n", str(max(1, min(12, (os.cpu_count() or 1) - 2)))]
            command += ["--benchmark-disable"] if _installed("pytest-benchmark") else []  # it warns of xdist: an error
        self.step("tests", command, min(240.0, self.left / 3))

    def probe(self) -> None:
        """Measure steps and compare bits."""
        self.step(
            "probe", [*PROBE, "steps", "--device", self.device, "--out", str(self.out)], min(240.0, self.left / 2)
        )

    def rivals(self) -> None:
        """Measure the other way to fill a GPU: as many processes, each with a run alone."""
        self.step(
            "rivals", [*PROBE, "rivals", "--device", self.device, "--out", str(self.out)], min(240.0, self.left / 2)
        )

    def pairs(self) -> None:
        """Make pairs of pre-trainings, critic trained and frozen (Y15), side by side, and what starts from them."""
        methods = ["--method", "acai", "--method", "dynae", "--method", "idec-star"]
        asked = ["--table", "dynae2022/table3", *methods, "--profile", "cpu", "--dataset", "usps"]
        full = [*asked, "--runs", "3", "--stack", "3", "--set", "phases.pretrain.budget.amount=40000"]
        short = ["--set", "phases.pretrain.budget.amount=10", "--set", "phases.cluster.budget.amount=140"]
        trained = [*asked, "--runs", "2", "--stack", "2", *short] if self.small else full
        arms = {"trained": trained, "frozen": [*trained, "--set", "Y15=code"]}
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda arm: self._run(f"pairs-{arm}", arms[arm], 0.8), arms))

    def usps(self) -> None:
        """Make runs of table 2 of tkuco2024 on USPS, five side by side: those that end are kept whenever it stops."""
        full = ["--profile", "paper", "--table", "tkuco2024/table2", "--dataset", "usps", "--stack", "5"]
        quick = ["--profile", "quick", "--table", "tkuco2024/table2", "--method", "ddc", "--runs", "2", "--stack", "2"]
        self._run("usps", quick if self.small else full, 0.65)

    def dec(self) -> None:
        """Make runs of DEC of dtkc2019 on MNIST."""
        full = ["--profile", "paper", "--paper", "dtkc2019", "--method", "dec", "--dataset", "mnist"]
        quick = ["--profile", "quick", "--paper", "dtkc2019", "--method", "dec", "--runs", "1"]
        self._run("dec", quick if self.small else full, 1.0)

    def _run(self, name: str, options: Sequence[str], share: float) -> None:
        """Make runs in a share of the time that is left; none is begun that would be cut off at once."""
        seconds = share * (self.left - GRACE)
        if seconds < 30:
            print(f"== {name}: no time is left", flush=True)
            return
        budget = f"{max(20, int(seconds - 30))}s"
        command = [sys.executable, "-m", "benchmark", "run", *options, "--device", self.device, "--fresh"]
        self.step(name, [*command, "--budget", budget, "--checkpoint", "20s", "--results", str(self.results)], seconds)

    def conclude(self) -> int:
        """Look at what was stored, and name the steps that went wrong."""
        if self.results.exists():
            results = [sys.executable, "-m", "benchmark", "results"]
            self.step("verify", [*results, "verify", "--results", str(self.results)], 60)
            self.step("home", [*results, "merge", str(self.results), "--results", str(self.out / "home")], 60)
        print(f"steps that failed: {', '.join(self.failed) or 'none'}; all is in {self.out}", flush=True)
        return int(bool(self.failed))


def _stopped(process: subprocess.Popen[bytes]) -> int:
    """End a command: by a request first, which `run` answers with checkpoints, and pytest with what it found."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _wheels(folder: Path | None) -> list[Path]:
    return sorted(folder.resolve().glob("*.whl")) if folder else []


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _required() -> Iterator[str]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    yield from ("pytest", *(text.partition(">")[0].strip() for text in declared))


def _has_cuda(file: Path) -> bool:
    return "mark.cuda" in file.read_text(encoding="utf-8")


def collect(folder: Path) -> int:
    """Fetch the wheels that a bare machine with Python 3.12 on Linux may lack, by pip."""
    target = ["--only-binary=:all:", "--python-version", "3.12", "--platform", "manylinux2014_x86_64", "--no-deps"]
    return subprocess.call([sys.executable, "-m", "pip", "download", "--quiet", *target, "-d", str(folder), *BARE])


def main() -> int:
    """Make the steps that are asked for; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--wheels", type=Path, help="folder of wheels of packages that may be missing")
    parser.add_argument("--data", type=Path, help="folder of data sets (RECLUST_DATA)")
    parser.add_argument("--out", type=Path, default=Path("card"), help="folder for all that is written")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--minutes", type=float, default=9.0, help="how long all steps together may take")
    parser.add_argument("--only", default=",".join(STEPS), help=f"steps to make, of {','.join(STEPS)}")
    parser.add_argument("--collect", type=Path, metavar="DIR", help="fetch wheels into a folder, and do nothing else")
    arguments = parser.parse_args()
    if arguments.collect:
        return collect(arguments.collect)
    asked = arguments.only.split(",")
    if unknown := set(asked) - set(STEPS):
        parser.error(f"there is no step {', '.join(sorted(unknown))}: use {', '.join(STEPS)}")
    card = Card(arguments)
    for name in STEPS:
        if name in asked:
            getattr(card, name)()
    return card.conclude()


if __name__ == "__main__":
    sys.exit(main())
