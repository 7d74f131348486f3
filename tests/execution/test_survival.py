"""Killing `run` in the middle: the store stays whole, nothing is left running, and the next `run` goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import serial
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.store import Store
from tests.support.attack import made
from tests.support.checkout import ROOT
from tests.support.processes import alive, children, stat
from tests.support.stored_numbers import numbers
from tests.support.waiting import wait_until

METHODS, SETS, RUNS = ("ddc", "ddc-uco-n"), ("phases.train.budget.amount=1", "data.samples=240"), 3
PLANNED = len(METHODS) * RUNS

pytestmark = [
    pytest.mark.attack("kills"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes from /proc"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[object, ...]]]:
    """Return the numbers of the plan when nothing disturbs it."""
    load_plugins()
    results, threads = tmp_path_factory.mktemp("undisturbed"), torch.get_num_threads()
    cells = plan_cells(Request(tables=("tkuco2024/table2",), methods=METHODS, sets=SETS, runs=RUNS))
    ends = list(serial([Job(spec, cell.context) for cell in cells for spec in cell.specs], Place(results)))
    assert len([end for end in ends if isinstance(end, Finished) and end.record]) == PLANNED
    yield numbers(results)
    torch.set_num_threads(threads)


class Command:
    """`python -m benchmark ...` in a process group of its own, as a terminal starts it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.results = folder, folder / "results"
        self.output = folder / f"output-{time.monotonic_ns()}"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmark", *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def workers(self) -> list[int]:
        """Return the process ids of the workers: copies of the one that has imported what they need."""
        begun = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(self.process.pid)}
        return [worker for pid, line in begun.items() if b"forkserver" in line for worker in children(pid)]

    def hold(self) -> None:
        """Stop all its processes where they are, until they are to `go_on`.

        One that waits in the system (D), as for a child that was stopped before it became a program, goes no further.
        """
        os.killpg(self.process.pid, signal.SIGSTOP)
        group = [self.process.pid, *children(self.process.pid), *self.workers()]
        held = [[], ["T"], ["D"], ["Z"]]
        wait_until(lambda: all(stat(pid)[:1] in held for pid in group), "the processes have stopped")

    def go_on(self) -> None:
        """Let all its processes that are left go on."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)

    def end(self) -> tuple[int, str]:
        """Wait for the end, and return the exit code and all that was printed."""
        code = self.process.wait(timeout=600)
        return code, self.output.read_text()


def run(folder: Path, workers: int, *more: str) -> Command:
    options = [word for name in METHODS for word in ("--method", name)]
    options += [word for text in SETS for word in ("--set", text)]
    table = ("--table", "tkuco2024/table2", "--runs", str(RUNS))
    return Command(folder, "run", *table, *options, *more, "--workers", str(workers), "--results", "results")


def whole(results: Path) -> dict[str, int]:
    """Return the run folders there are, with the time each record was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in results.glob("runs/[0-9a-f]*/record.json")}


def met(command: Command, chance: random.Random, workers: int) -> bool:
    """Hold a command after a random number of runs and a random part of the next; whether work is left by then."""
    enough = chance.randint(1, PLANNED - 3)
    wait_until(lambda: len(whole(command.results)) >= enough, f"{enough} runs are stored")
    time.sleep(chance.uniform(0, 0.3))
    command.hold()
    return command.process.poll() is None and len(whole(command.results)) < PLANNED - workers


def in_the_middle(folder: Path, chance: random.Random, workers: int, *more: str, commands: int = 1) -> list[Command]:
    """Start commands on a folder and hold the first at a random moment at which work is left; anew where none was left.

    Commands do not wait: on a busy machine they may make all runs while it is not the turn of this process.
    """
    for attempt in range(20):
        place = folder / str(attempt)
        place.mkdir()
        begun = [run(place, workers, *more) for _ in range(commands)]
        if met(begun[0], chance, workers):
            return begun
        begun[0].go_on()
        assert all(command.end()[0] == 0 for command in begun)
    raise AssertionError("no command was met in the middle of its plan")


def crew(moment: int) -> int:
    """Return how many workers the killed command has: the one test that always runs starts as few as it can."""
    return 1 if moment == 1 else 2


moments = pytest.mark.parametrize("moment", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])


@moments
@pytest.mark.usefixtures("nothing_shipped")
def test_a_killed_driver_leaves_a_valid_store_and_no_worker_and_the_next_run_makes_the_rest(
    tmp_path, undisturbed, call, moment
):
    (killed,) = in_the_middle(tmp_path, random.Random(moment), crew(moment))
    workers, results = killed.workers(), killed.results
    os.kill(killed.process.pid, signal.SIGKILL)
    assert killed.end()[0] == -signal.SIGKILL
    killed.go_on()
    assert len(workers) == crew(moment)
    wait_until(lambda: not any(map(alive, workers)), "the workers of the killed driver have ended")

    kept = whole(results)
    assert 0 < len(kept) < PLANNED
    code, said, _ = call("results", "verify", "--results", results)
    assert code == 0 and said.startswith(f"{len(kept)} records read, 0 problems"), said
    assert numbers(results) == {run_id: undisturbed[run_id] for run_id in kept}

    code, text = run(killed.folder, 1).end()
    assert code == 0, text
    assert f"{len(kept)} runs are stored, {PLANNED - len(kept)} to make" in text
    assert {run_id: written for run_id, written in whole(results).items() if run_id in kept} == kept
    assert numbers(results) == undisturbed


@moments
def test_a_killed_worker_costs_nothing_but_time(tmp_path, undisturbed, moment):
    chance = random.Random(100 + moment)
    (command,) = in_the_middle(tmp_path, chance, crew(moment))
    os.kill(chance.choice(command.workers()), signal.SIGKILL)
    command.go_on()
    code, text = command.end()
    assert code == 0, text
    assert f"Runs made: {PLANNED} ok" in text and "Traceback" not in text
    assert numbers(command.results) == undisturbed
    assert Store(command.results, use_stored=False).problems() == []


def stopped(tmp_path: Path, number: int, *options: str) -> tuple[Path, int, str]:
    """Start a long plan, send a signal (to all its processes, as a terminal or SLURM does), and wait for its end."""
    results = tmp_path / "results"
    command = run(tmp_path, 1, *options)
    wait_until(lambda: any(results.glob("checkpoints/*/*")), "a checkpoint is written")
    workers = command.workers()
    os.killpg(command.process.pid, number)
    code, text = command.end()
    wait_until(lambda: not any(map(alive, workers)), "the workers have ended")
    assert not list((results / "claims").iterdir()), "claims are given back"
    return results, code, text


LONG = ("--set", "phases.train.budget.amount=4", "--checkpoint", "0.01s")


@pytest.mark.attack("signals")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_stops_runs_at_a_checkpoint_and_the_same_command_goes_on_from_it(tmp_path, number):
    results, code, text = stopped(tmp_path, number, *LONG)
    assert code == 128 + number, text
    assert "the same command goes on" in text and "Traceback" not in text
    assert len(whole(results)) < PLANNED and any(results.glob("checkpoints/*/*"))
    assert Store(results, use_stored=False).problems() == []
    code, text = run(tmp_path, 1, *LONG).end()
    assert code == 0, text
    assert len(whole(results)) == PLANNED and not any(results.glob("checkpoints/*"))
    store = Store(results, use_stored=False)
    assert max(store.get(run_id).environment.get("resumed", 0) for run_id in store.ids()) == 1


@pytest.mark.attack("signals")
@pytest.mark.slow
def test_the_second_signal_stops_at_once(tmp_path):
    long = ("--set", "phases.train.budget.amount=4", "--checkpoint", "never")
    (command,) = in_the_middle(tmp_path, random.Random(7), 1, *long)
    workers = command.workers()
    for pid in (command.process.pid, *set(children(command.process.pid)) - set(workers)):
        os.kill(pid, signal.SIGCONT)  # and not the worker, which will reach no checkpoint
    os.kill(command.process.pid, signal.SIGINT)
    wait_until(lambda: "second signal" in command.output.read_text(), "the first signal is heard")
    os.kill(command.process.pid, signal.SIGINT)
    code, text = command.end()
    assert code == 130 and "Traceback" not in text, text
    wait_until(lambda: not any(map(alive, workers)), "the workers have ended")


@pytest.mark.parametrize("kill", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_commands_on_one_folder_make_each_run_once_and_lose_none(tmp_path, undisturbed, kill):
    if kill:
        commands = in_the_middle(tmp_path, random.Random(11), 1, commands=2)
        os.kill(commands[0].process.pid, signal.SIGKILL)
        commands[0].go_on()
        made("kills")
    else:
        commands = [run(tmp_path, 1), run(tmp_path, 1)]
        made("claims", PLANNED)
    ends = [command.end() for command in commands]
    assert ends[1][0] == 0 and "Traceback" not in ends[1][1], ends[1][1]
    assert numbers(commands[0].results) == undisturbed
    assert f"Runs made: {PLANNED} ok" in ends[1][1]
    if not kill:
        lines = [line for _, text in ends for line in text.splitlines() if line.startswith("[")]
        here = [line for line in lines if "made by another command" not in line]
        assert len(here) == PLANNED and len(lines) == 2 * PLANNED, lines
        assert all(f"Runs made: {PLANNED} ok" in text for _, text in ends)


def kills(tmp_path: Path, number: int, seed: int, *more: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_runs", str(tmp_path), str(number), str(seed), *more],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    made("kills", sum(said["kills"].values()))
    return said


@pytest.mark.parametrize("number", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_runs_killed_at_random_moments_end_with_the_bits_of_undisturbed_ones(tmp_path, number):
    said = kills(tmp_path, number, seed=number)
    assert sum(said["kills"].values()) == number and said["wrong"] == []
    if number == 100:
        struck = set(said["kills"])
        assert "a moment in time" in struck and said["resumed"] >= 10
        assert {part for part in ("checkpoints", "runs", "claims") if any(part in place for place in struck)} == {
            "checkpoints",
            "runs",
            "claims",
        }


@pytest.mark.slow
def test_fits_apart_and_their_drivers_killed_at_random_moments_end_with_the_bits_of_undisturbed_ones(tmp_path):
    said = kills(tmp_path, 40, 40, "apart")
    assert sum(said["kills"].values()) == 40 and said["wrong"] == []
    assert said["kills"].keys() == {"driver", "fit", "driver and fit"} and said["resumed"] >= 5
    assert said["left"] == 0, "a fit whose driver is gone ends"
