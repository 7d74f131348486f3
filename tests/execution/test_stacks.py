"""Runs that are made side by side: each has the record, the status and the bits that it has when it is made alone."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.agenda import Agenda
from benchmark.execution.checkpoints import CHECKPOINTS
from benchmark.execution.events import Finished, Frequency, Job, Noted, Paused, Place, Started
from benchmark.execution.executors import processes, serial
from benchmark.execution.fits.turns import Company, Turn
from benchmark.execution.stacks import AsManyAsFit, free_mib, make_stack, stackable
from benchmark.files.locks import Claims
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, NETWORKS, load_plugins
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from benchmark.store import Store
from benchmark.training import DeepClusterer
from methods.parts.recurrent_networks import SequenceNetwork
from tests.support import attack
from tests.support.narrow import narrow_networks
from tests.support.offered import offered
from tests.support.wavering import PROTOCOL, Wavering

load_plugins()
METHODS._entries.pop("wavering", None)

ROOT = Path(__file__).parents[2]

DEEP = sorted(name for name, method in METHODS.items() if issubclass(method, DeepClusterer))

DECIDED = {"run_id", "status", "error", "loss", "final_loss", "losses", "first_losses", "metrics", "history", "epochs"}


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the method of these tests from those of others, and let it train in the process of the harness."""
    METHODS._entries["wavering"] = Wavering
    monkeypatch.setattr("benchmark.execution.jobs.is_foreign", lambda spec: spec.method == "foreign")
    yield
    METHODS._entries.pop("wavering", None)


def jobs(method: str = "wavering", number: int = 3, **changes: Any) -> list[Job]:
    """Return replicates of a small run on the digits."""
    kind = METHODS[method]
    network = kind.Params.model_fields.get("network")
    of = None if network is None else NETWORKS[network.default]
    steps: tuple[str, ...] = ("flatten",) if isinstance(of, type(NETWORKS["mlp-dec"])) else ()
    steps = ("rows",) if isinstance(of, SequenceNetwork) else steps
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=70, preprocess=steps)
    params = {"n_clusters": 5} if method == "wavering" else kind(10).checked_params().canonical()
    short = {"batch_size": 20, "budget": Budget(unit="steps", amount=5), "evaluate_every": 2, **changes}
    phases = kind.default_protocol.phases
    own = {name: phase.model_copy(update={} if method == "wavering" else short) for name, phase in phases.items()}
    protocol = PROTOCOL if method == "wavering" else Protocol(phases=own)
    return [
        Job(RunSpec(method=method, params=params, data=data, protocol=protocol, replicate=r), Context())
        for r in range(number)
    ]


def made(planned: list[Job], results: Path, stack: int, **more: Any) -> dict[int, Finished]:
    """Make the runs in this process, and return how they ended by replicate."""
    events = serial(planned, Place(results, **more), stack=stack)
    return {event.job.spec.replicate: event for event in events if isinstance(event, Finished)}


def bits(results: Path, job: Job) -> tuple[str, bytes]:
    """Return all that a stored run decides, and its labels."""
    store = Store(results, use_stored=False)
    record, labels = store.get(job.run_id), store.labels(job.run_id)
    assert record is not None
    streams = json.dumps(record.environment["streams"])
    return record.model_dump_json(include=DECIDED) + streams, b"" if labels is None else labels.tobytes()


def size(results: Path, job: Job) -> Any:
    record = Store(results, use_stored=False).get(job.run_id)
    assert record is not None
    return record.environment.get("stack")


@pytest.mark.parametrize("name", ["wavering", "ddc"])
def test_runs_of_a_stack_have_the_records_of_runs_alone(name: str, tmp_path: Path) -> None:
    compared(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [offered(name) for name in DEEP if name != "ddc"])
def test_runs_of_a_stack_have_the_records_of_runs_alone_for_every_method(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_networks(monkeypatch)
    compared(name, tmp_path)


def compared(name: str, tmp_path: Path) -> None:
    planned = jobs(name)
    made(planned, tmp_path / "alone", 1)
    ends = made(planned, tmp_path / "stack", 3)
    statuses = [end.record.status for end in ends.values() if end.record]
    assert len(statuses) == 3 and set(statuses) <= {"ok", "collapsed"}  # after so few steps one cluster may hold all
    for job in planned:
        assert bits(tmp_path / "stack", job) == bits(tmp_path / "alone", job)
        assert size(tmp_path / "stack", job) == 3 and size(tmp_path / "alone", job) is None
    assert Store(tmp_path / "stack", use_stored=False).verify() == []
    assert not list((tmp_path / "stack" / CHECKPOINTS).glob("*"))


def test_seconds_are_the_share_of_the_wall_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0, 6.0, 10.0, 16.0, 16.0, 20.0, 20.0]  # what the clock says when it is asked
    monkeypatch.setattr("benchmark.execution.fits.turns.time.perf_counter", lambda: times.pop(0))
    company = Company(2)
    first, second = Turn(company), Turn(company)
    first.begin(0)
    second.begin(1)
    assert first.read() == 8.0  # six alone and a half of the four beside another
    first.end()
    assert first.seconds == 11.0
    second.end()
    assert second.seconds == 9.0
    monkeypatch.undo()
    began = time.perf_counter()
    ends = made(jobs(), tmp_path, 3)
    seconds = [end.record.seconds for end in ends.values() if end.record]
    assert 0 < sum(seconds) < time.perf_counter() - began


def broken(monkeypatch: pytest.MonkeyPatch, replicate: int, what: Any) -> None:
    """Let the network of one replicate do something in its first steps of the second phase."""
    phases = Wavering.phases

    def spoilt(self: Any, model: Any, params: Any, x: Any, context: Any) -> Any:
        for number, phase in enumerate(phases(self, model, params, x, context)):
            if number == 1 and context.streams.replicate == replicate:
                phase = dataclasses.replace(phase, forward=what(phase.forward))
            yield phase

    monkeypatch.setattr(Wavering, "phases", spoilt)


def raises(forward: Any) -> Any:
    def changed(model: Any, batch: Any) -> Any:
        if model.training:
            raise RuntimeError("a pity")
        return forward(model, batch)

    return changed


def diverges(forward: Any) -> Any:
    def changed(model: Any, batch: Any) -> Any:
        terms, assignments = forward(model, batch)
        return {name: value * (float("nan") if model.training else 1.0) for name, value in terms.items()}, assignments

    return changed


def breaks(forward: Any) -> Any:
    """Let weights become NaN in a step, and something that refuses NaN find it before the next evaluation."""

    def changed(model: Any, batch: Any) -> Any:
        if model.training:
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))
            raise ValueError("Input X contains NaN.")
        return forward(model, batch)

    return changed


def exits(forward: Any) -> Any:
    def changed(model: Any, batch: Any) -> Any:
        raise SystemExit("of its own accord")

    return changed


@pytest.mark.attack("methods")
@pytest.mark.parametrize(
    ("what", "status", "reason"),
    [
        (raises, "failed", "a pity"),
        (diverges, "diverged", "not finite"),
        (breaks, "diverged", "the weights are not finite; it ended by ValueError: Input X contains NaN."),
        (exits, "failed", "of its own accord"),
    ],
)
def test_one_that_goes_wrong_leaves_the_others_as_they_are_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Any, status: str, reason: str
) -> None:
    broken(monkeypatch, 1, what)
    planned = jobs()
    made(planned, tmp_path / "alone", 1)
    ends = made(planned, tmp_path / "stack", 3)
    assert [ends[r].record.status for r in range(3)] == ["ok", status, "ok"]  # type: ignore[union-attr]
    assert reason in ends[1].record.error  # type: ignore[union-attr]
    for job in planned:
        assert bits(tmp_path / "stack", job) == bits(tmp_path / "alone", job)


def test_runs_that_stop_early_end_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phases = Wavering.phases

    def stopping(self: Any, model: Any, params: Any, x: Any, context: Any) -> Any:
        for phase in phases(self, model, params, x, context):
            last = 2 + context.streams.replicate
            yield dataclasses.replace(phase, stop=lambda step, last=last: step >= last)

    monkeypatch.setattr(Wavering, "phases", stopping)
    planned = jobs()
    made(planned, tmp_path / "alone", 1)
    ends = made(planned, tmp_path / "stack", 3)
    assert [ends[r].record.steps for r in range(3)] == [4, 6, 8]  # type: ignore[union-attr]
    for job in planned:
        assert bits(tmp_path / "stack", job) == bits(tmp_path / "alone", job)


def meddles(forward: Any) -> Any:
    def changed(model: Any, batch: Any) -> Any:
        torch.set_default_dtype(torch.float64)
        return forward(model, batch)

    return changed


@pytest.mark.attack("methods")
def test_a_stack_in_which_one_changes_what_all_share_is_given_up_and_each_is_made_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, 1, meddles)
    planned = jobs()
    made(planned, tmp_path / "alone", 1)
    notes: list[Any] = []
    ends = list(make_stack(planned, Place(tmp_path / "stack"), notes.append))
    assert torch.get_default_dtype() == torch.float32
    (note,) = [event.text for event in notes if isinstance(event, Noted)]
    assert "given up" in note and "torch's default dtype" in note
    assert [end.record.status for end in ends] == ["ok", "failed", "ok"]  # type: ignore[union-attr]
    for job in planned:
        assert bits(tmp_path / "stack", job) == bits(tmp_path / "alone", job)
        assert size(tmp_path / "stack", job) is None


class Asked:
    """Asks for a stop after it was asked so often itself."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.mark.attack("signals")
@pytest.mark.parametrize("times", [4, 15, 30])
def test_a_stack_that_is_stopped_goes_on_in_other_stacks_and_alone(tmp_path: Path, times: int) -> None:
    planned, place = jobs(), Place(tmp_path / "stack", checkpoints=Frequency(0.0))
    made(planned, tmp_path / "alone", 1)
    stopped = list(make_stack(planned, place, lambda event: None, Asked(times)))
    assert any(isinstance(end, Paused) for end in stopped)
    left = [job for job in planned if job in [end.job for end in stopped if isinstance(end, Paused)]]
    pair = list(make_stack(left[:2], place, lambda event: None, Asked(times)))
    left = [end.job for end in pair if isinstance(end, Paused)] + left[2:]
    for job in left:
        (end,) = make_stack([job], place, lambda event: None)
        assert isinstance(end, Finished) and end.record is not None and end.record.environment["resumed"] >= 1
    for job in planned:
        assert bits(tmp_path / "stack", job) == bits(tmp_path / "alone", job)


@pytest.mark.attack("signals")
def test_the_interrupt_of_the_user_goes_through_a_stack_and_leaves_the_process_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(forward: Any) -> Any:
        def changed(model: Any, batch: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return forward(model, batch)

        return changed

    broken(monkeypatch, 1, interrupted)
    before, threads, state = signal.getsignal(signal.SIGINT), torch.get_num_threads(), random.getstate()
    outside = np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]
    with pytest.raises(KeyboardInterrupt):
        list(make_stack(jobs(), Place(tmp_path), lambda event: None))
    assert signal.getsignal(signal.SIGINT) is before and torch.get_num_threads() == threads
    assert random.getstate() == state and (np.random.get_state()[1] == outside[0]).all()  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), outside[1])


def ready(planned: list[Job], results: Path, claims: Claims) -> Agenda:
    return Agenda(planned, Place(results), claims)


def always(job: Job) -> bool:
    return True


def test_take_stack_hands_out_replicates_of_one_run_in_the_order_of_the_plan_each_claimed(tmp_path: Path) -> None:
    first, second = jobs(number=5), jobs("ddc", 3)
    planned = [first[0], second[0], first[1], first[2], second[1], first[3], first[4], second[2]]
    with Claims(tmp_path) as ours, Claims(tmp_path) as theirs:
        agenda = ready(planned, tmp_path, ours)
        assert theirs.take(first[1].run_id)  # another command makes it
        assert agenda.take_stack(3, always) == (first[0], first[2], first[3])
        assert not any(theirs.take(first[number].run_id) for number in (0, 2, 3))
        assert agenda.take_stack(3, lambda job: False) == (second[0],)
        assert agenda.take_stack(2, always) == (second[1], second[2])
        assert agenda.take_stack(3, always) == (first[4],)
        assert agenda.open  # as the other command may not come to its end


def test_a_stack_is_as_large_as_the_memory_of_a_gpu_allows_once_a_run_of_it_was_measured(tmp_path: Path) -> None:
    planned = jobs(number=9)
    size = AsManyAsFit(1000.0, lambda spec: None)
    with Claims(tmp_path) as ours:
        agenda = ready(planned, tmp_path, ours)
        (first,) = agenda.take_stack(size, always)
        (ended,) = [e for e in make_stack([first], Place(tmp_path), lambda event: None) if isinstance(e, Finished)]
        assert ended.record is not None
        agenda.ended(dataclasses.replace(ended, record=ended.record.model_copy(update={"peak_mib": 190.0})))
        assert len(agenda.take_stack(size, always)) == 4  # of 800 MiB, four times 190 and not five times
    assert AsManyAsFit(1e6, lambda spec: 190.0)(first, None) == 20
    assert AsManyAsFit(100.0, lambda spec: 190.0)(first, None) == 1
    assert AsManyAsFit(free_mib("cpu"), lambda spec: 190.0)(first, None) == 1


def test_take_stack_waits_for_parents_and_joins_only_runs_whose_parents_are_stored(tmp_path: Path) -> None:
    parents, children = jobs(number=3), jobs("ddc", 3)
    children = [
        dataclasses.replace(child, parents=(parent.run_id,)) for child, parent in zip(children, parents, strict=True)
    ]
    planned = [job for pair in zip(children, parents, strict=True) for job in pair]
    with Claims(tmp_path) as claims:
        agenda = ready(planned, tmp_path, claims)
        assert agenda.take_stack(5, always) == tuple(parents)
        assert agenda.take_stack(5, always) == ()
        record = next(iter(made(jobs("ddc", 1), tmp_path / "else", 1).values())).record
        for number in (2, 0):
            agenda.ended(Finished(parents[number], record))
        assert agenda.take_stack(5, always) == (children[0], children[2])
        agenda.ended(Finished(parents[1], record))
        assert agenda.take_stack(5, always) == (children[1],)


def test_a_run_whose_worker_died_is_no_part_of_a_stack_again(tmp_path: Path) -> None:
    planned = jobs(number=4)
    with Claims(tmp_path) as claims:
        agenda = ready(planned, tmp_path, claims)
        taken = agenda.take_stack(2, always)
        assert taken == tuple(planned[:2])
        for job in taken:
            agenda.died(job, "in the test")
        assert agenda.take_stack(4, always, idle=False) == tuple(planned[2:])
        for job in planned[2:]:
            agenda.ended(Finished(job, None))
        assert agenda.take_stack(4, always) == (planned[0],) and agenda.lone == planned[0]


def test_only_methods_that_train_by_steps_in_this_process_are_stacked(tmp_path: Path) -> None:
    place, (deep,) = Place(tmp_path), jobs(number=1)
    plain = Job(deep.spec.model_copy(update={"method": "k-means", "params": {"n_clusters": 5}}), Context())
    assert stackable(deep, place) and not stackable(plain, place)
    assert not stackable(deep, dataclasses.replace(place, seconds=60.0))


def test_what_decides_a_stack_is_all_of_a_run_but_its_replicate() -> None:
    first, second = jobs(number=2)
    other = jobs("ddc", 1)[0]
    assert first.stack == second.stack != other.stack and first.run_id != second.run_id
    assert dataclasses.replace(first, record=("drift",)).stack != first.stack


def test_workers_make_stacks_and_give_the_bits_of_the_serial_executor(tmp_path: Path) -> None:
    planned = jobs("ddc", 3)
    made(planned, tmp_path / "alone", 1)
    events = list(processes(planned, Place(tmp_path / "stack"), 1, stack=2))
    assert sum(isinstance(event, Started) for event in events) == 3
    ends = [event for event in events if isinstance(event, Finished)]
    assert [end.record is not None for end in ends] == [True] * 3
    for job in planned:
        assert bits(tmp_path / "stack", job) == bits(tmp_path / "alone", job)
    assert [size(tmp_path / "stack", job) for job in planned] == [2, 2, None]


@pytest.mark.attack("kills")
@pytest.mark.slow
def test_a_stack_killed_at_thirty_random_moments_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_stacks", str(tmp_path), "30", "7"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    attack.made("kills", sum(found["kills"].values()))
    assert sum(found["kills"].values()) == 30 and found["wrong"] == [] and found["resumed"] > 3, found
