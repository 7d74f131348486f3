"""The code of a git revision in a folder of its own, and runs made by the code in a folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import benchmark
from benchmark.errors import UsageError, UserError
from benchmark.repeat import driver

HOME = Path(benchmark.__file__).resolve().parents[1]
"""The folder with today's code."""

PACKAGES = driver.PACKAGES


@dataclass(frozen=True)
class Revision:
    """A commit by its short name, and a folder that holds its code."""

    commit: str
    folder: Path


@contextmanager
def checked_out(name: str, home: Path = HOME) -> Iterator[Revision]:
    """Lend the code of the revision `name` in a temporary folder.

    Raises
    ------
    UsageError
        Where `home` is in no git checkout, or there is no commit of that name.
    """
    tracked = _git(home, "ls-files", "--error-unmatch", "--", "benchmark/__init__.py")
    if tracked is None or tracked.returncode:
        raise UsageError(f"--across needs a git checkout of the suite, and {home} is none: call it in a clone.")
    parsed = _git(home, "rev-parse", "--verify", "--quiet", "--short", "--end-of-options", f"{name}^{{commit}}")
    if parsed is None or parsed.returncode or not name.strip():
        raise UsageError(f"git knows no revision {name!r} in {home}: name a commit, a tag, a branch, or HEAD~1.")
    commit = parsed.stdout.decode().strip()
    packed = _git(home, "archive", "--format=tar", commit, "--", *PACKAGES)
    if packed is None or packed.returncode:
        raise UserError(f"the revision {commit} lacks one of the folders {', '.join(PACKAGES)}: name a later one.")
    with TemporaryDirectory(prefix="across-") as place:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(place, filter="data")
        yield Revision(commit, Path(place))


def _git(home: Path, *words: str) -> subprocess.CompletedProcess[bytes] | None:
    """Return how a git command ended; None where there is no git."""
    try:
        return subprocess.run(["git", "-C", str(home), *words], capture_output=True, check=False)
    except OSError:
        return None


@dataclass(frozen=True)
class Task:
    """A run to make, or only its code to digest: the canonical `spec`, and the observers that record beside it."""

    key: str
    spec: Mapping[str, Any]
    observers: tuple[str, ...] = ()
    run: bool = True


@dataclass(frozen=True)
class Asker:
    """Asks the code in folders: on which device and data, and in how many processes."""

    device: str
    data_dir: Path | None
    workers: int

    def ask(
        self, folders: Sequence[Path], tasks: Sequence[Task], answered: Callable[[], None] = lambda: None
    ) -> list[dict[str, dict[str, Any]]]:
        """Return for each folder by key of a task what its code answers, see `benchmark.repeat.driver`.

        `answered` is called after each answer.
        """
        ordered = sorted(tasks, key=lambda task: json.dumps(task.spec["data"], sort_keys=True))  # each loaded once
        size = max(1, -(-len(ordered) // self.workers))
        parts = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        calls = [(folder, part) for folder in folders for part in parts]
        with ThreadPoolExecutor(self.workers) as pool:
            answers = list(pool.map(lambda call: self._answers(call[0], call[1], answered), calls))
        found: dict[Path, dict[str, dict[str, Any]]] = {folder: {} for folder in folders}
        for (folder, _), answer in zip(calls, answers, strict=True):
            found[folder] |= answer
        return [found[folder] for folder in folders]

    def _answers(self, folder: Path, tasks: Sequence[Task], answered: Callable[[], None]) -> dict[str, dict[str, Any]]:
        path = [str(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        # Nothing that other code parsed: how data are read is compared too.
        variables = {"PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1", "RECLUST_CACHE": "off"}
        words = [driver.__file__, str(folder), self.device, *([str(self.data_dir)] if self.data_dir else [])]
        found: dict[str, dict[str, Any]] = {}
        with TemporaryFile("w+") as jobs, TemporaryFile("w+") as said:
            jobs.writelines(f"{json.dumps(vars(task))}\n" for task in tasks)
            jobs.seek(0)
            with subprocess.Popen(
                [sys.executable, *words],
                env={**os.environ, **variables},
                stdin=jobs,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            ) as process:
                for line in process.stdout or ():
                    answer = json.loads(line)
                    found[answer["key"]] = answer
                    answered()
            said.seek(0)
            last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
        silent = {"error": f"its process ended with {process.returncode}: {last}"}
        return {task.key: found.get(task.key, silent) for task in tasks}
