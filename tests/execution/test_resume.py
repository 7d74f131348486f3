"""A run that stops at a checkpoint and goes on in another process ends with the bits of one that was left alone."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.checkpoints import CHECKPOINTS, RunCheckpoints, damaged_checkpoints
from benchmark.execution.events import Frequency
from benchmark.execution.execute import RunResult, execute
from benchmark.files.quarantine import quarantined
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, RunSpec
from benchmark.training import Clusterer, Hook
from benchmark.training.resume import Stopped
from tests.support.narrow import narrow_networks
from tests.support.wavering import PROTOCOL

load_plugins()


@pytest.fixture(autouse=True)
def only_here() -> Iterator[None]:
    """Hide the method of these tests from those of others."""
    from tests.support.wavering import Wavering

    METHODS._entries["wavering"] = Wavering
    yield
    METHODS._entries.pop("wavering", None)


METHODS._entries.pop("wavering", None)


def spec(method: str = "wavering", **changes: Any) -> RunSpec:
    network = METHODS[method](10).get_params().get("network") if method != "wavering" else None
    steps = {"mlp-dec": ("flatten",), "gru-2x32-bidirectional": ("rows",)}.get(network, ())
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=70, preprocess=steps)
    if method == "wavering":
        return RunSpec(method=method, params={"n_clusters": 5}, data=data, protocol=PROTOCOL, replicate=0)
    params = METHODS[method](10).checked_params().canonical()
    values = {"batch_size": 20, "budget": Budget(amount=2), "evaluate_every": 1, **changes}
    phases = METHODS[method].default_protocol.phases
    protocol = {"phases": {name: phase.model_copy(update=values) for name, phase in phases.items()}}
    return RunSpec(method=method, params=params, data=data, protocol=protocol, replicate=0)


class Stops:
    """Asks for a stop after so many steps, counted over phases."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        return self.left <= 0

    def progress(self, *_: Any) -> None:
        """Nothing is shown."""


def attempt(run: RunSpec, results: Path, steps: int, notes: list[str] | None = None) -> RunResult | None:
    """Work at a run, from its checkpoints, for so many steps; return its result where it came to its end."""
    stops = Stops(steps)

    class Counted(RunCheckpoints):
        def due(self, epoch: int) -> bool:
            stops.left -= 1
            return super().due(epoch)

    said = notes if notes is not None else []

    def opened(identity: Any) -> RunCheckpoints:
        return Counted(results, run.run_id, identity, Frequency(0.0), stops, said.append)

    try:
        return execute(run, checkpoints=opened)
    except Stopped:
        return None


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bytes]]:
    """Collect the weights and the embedding that each fit left, as bytes."""
    left: list[dict[str, bytes]] = []
    original = Clusterer.fit

    def recorded(self: Any, X: Any, y: Any = None, **options: Any) -> Any:
        original(self, X, y, **options)
        found = {"embedding": np.ascontiguousarray(self.embedding_).tobytes()}
        if hasattr(self, "model_"):
            found |= {name: value.numpy().tobytes() for name, value in self.model_.state_dict().items()}
        left.append(found)
        return self

    monkeypatch.setattr(Clusterer, "fit", recorded)
    return left


def bits(result: RunResult | None) -> dict[str, Any]:
    """Return all that a run decides, floats as their bits."""
    assert result is not None and result.labels is not None
    record = result.record
    assert record.status in ("ok", "collapsed"), record.traceback
    kept = record.model_dump_json(
        include={"status", "loss", "final_loss", "losses", "first_losses", "metrics", "history", "epochs", "steps"}
    )
    return {"record": kept, "labels": result.labels.tobytes(), "streams": record.environment["streams"]}


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        *(("wavering", steps) for steps in (1, 2, 3, 4, 5, 7, 100)),
        ("ddc", 2),
        *(pytest.param("ddc", steps, marks=pytest.mark.slow) for steps in (1, 3, 4, 100)),
    ],
)
def test_a_run_stopped_every_few_steps_ends_with_the_bits_of_an_undisturbed_one(tmp_path, weights, method, steps):
    run = spec(method)
    undisturbed = bits(execute(run))
    result, parts = None, 0
    while result is None:
        parts += 1
        torch.manual_seed(parts)  # what other processes have in their global generators
        result = attempt(run, tmp_path, steps)
    assert bits(result) == undisturbed
    assert weights[-1] == weights[0]
    assert parts == (1 if steps == 100 else pytest.approx({"wavering": 15, "ddc": 6}[method] / steps, abs=2))
    assert result.record.environment.get("resumed", 0) == parts - 1


def test_a_network_with_tied_weights_is_resumed(tmp_path, weights, monkeypatch):
    """Its state names one tensor twice, as in auto-encoders whose decoder has the weights of the encoder."""
    wavering = METHODS["wavering"]
    plain = wavering.build

    def tied(self: Any, *arguments: Any) -> Any:
        model = plain(self, *arguments)
        model["tied"] = torch.nn.Linear(model["encoder"][1].in_features, 16, bias=False)
        model["tied"].weight = model["encoder"][1].weight
        return model

    monkeypatch.setattr(wavering, "build", tied)
    undisturbed, result = bits(execute(spec())), None
    while result is None:
        result = attempt(spec(), tmp_path, 4)
    assert bits(result) == undisturbed
    assert weights[-1] == weights[0] and weights[0]["tied.weight"] == weights[0]["encoder.1.weight"]
    assert result.record.environment["resumed"] > 1


@pytest.mark.parametrize("sampler", ["fixed", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("keep", ["best", pytest.param("last", marks=pytest.mark.slow)])
def test_every_sampler_and_keep_rule_is_resumed(tmp_path, weights, sampler, keep):
    run = spec("ddc", sampler=sampler, keep=keep, budget=Budget(unit="steps", amount=5), evaluate_every=2)
    undisturbed, result = bits(execute(run)), None
    while result is None:
        result = attempt(run, tmp_path, 2)
    assert bits(result) == undisturbed and weights[-1] == weights[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(METHODS) - {"wavering", "ddc"}))
def test_every_method_gives_the_same_bits_after_a_stop(tmp_path, weights, name, monkeypatch):
    narrow_networks(monkeypatch)
    for package in getattr(METHODS[name], "requires", ()):
        pytest.importorskip(package)
    run = spec(name)
    undisturbed, result = bits(execute(run)), None
    while result is None:
        result = attempt(run, tmp_path, 3)
    assert bits(result) == undisturbed and weights[-1] == weights[0]


def only_checkpoint(results: Path, run: RunSpec) -> Path:
    (path,) = [p for p in (results / CHECKPOINTS / run.run_id).iterdir() if p.name.startswith("00-")]
    return path


@pytest.mark.attack("files")
@pytest.mark.parametrize("damage", ["truncated", "edited", "empty", "renamed"])
def test_a_damaged_checkpoint_is_found_set_aside_with_the_reason_and_not_used(tmp_path, damage):
    run, notes = spec(), []
    assert attempt(run, tmp_path, 3) is None
    path = only_checkpoint(tmp_path, run)
    data = path.read_bytes()
    if damage == "renamed":
        path = path.rename(path.with_name("00-000000003-within.0123456789abcdef.safetensors"))
    else:
        middle = len(data) // 2
        edited = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"truncated": data[:middle], "edited": edited, "empty": b""}[damage])
    assert [found for found, _ in damaged_checkpoints(tmp_path)] == [path]
    result = attempt(run, tmp_path, 100, notes=notes)
    assert bits(result) == bits(execute(run)) and "resumed" not in result.record.environment
    (place,) = quarantined(tmp_path)
    assert (place / path.name).exists() and "digest" in (place / "reason.json").read_text()
    assert len(notes) == 1 and "set aside" in notes[0]


@pytest.mark.attack("disks")
@pytest.mark.parametrize("call", ["glob", "read_bytes"])
def test_checkpoints_that_the_disk_does_not_give_cost_a_sentence_and_stay(tmp_path, monkeypatch, call):
    run, notes = spec(), []
    assert attempt(run, tmp_path, 3) is None
    path, original = only_checkpoint(tmp_path, run), getattr(Path, call)

    def refuse(self: Path, *arguments: Any) -> Any:
        if CHECKPOINTS in self.parts:
            raise OSError(errno.ESTALE, "Stale file handle", str(self))
        return original(self, *arguments)

    with monkeypatch.context() as broken:
        broken.setattr(Path, call, refuse)
        kept = RunCheckpoints(tmp_path, run.run_id, {}, Frequency(), note=notes.append)
        assert kept.begin("train") is None
    assert path.exists() and quarantined(tmp_path) == []
    assert len(notes) == 1 and "Stale file handle" in notes[0] and "\n" not in notes[0]


@pytest.mark.attack("files")
@pytest.mark.parametrize("changed", ["code", "machine", "torch", "threads"])
def test_a_checkpoint_of_other_code_or_another_machine_is_not_gone_on_from(tmp_path, changed):
    run, identities = spec(), []
    assert attempt(run, tmp_path, 3) is None

    def opened(identity: Any) -> RunCheckpoints:
        identities.append({**identity, changed: "other"})
        return RunCheckpoints(tmp_path, run.run_id, identities[0], Frequency(None))

    result = execute(run, checkpoints=opened)
    assert changed in identities[0] and "resumed" not in result.record.environment
    assert quarantined(tmp_path) == []


def test_a_checkpoint_names_no_class_and_holds_json_and_tensors_alone(tmp_path):
    run = spec("wavering")
    assert attempt(run, tmp_path, 9) is None
    files = sorted((tmp_path / CHECKPOINTS / run.run_id).iterdir())
    assert [path.name.split(".")[0] for path in files] == ["00-000000006-end", "01-000000004-within"]
    for path in files:
        data = path.read_bytes()
        assert data[8:9] == b"{" and b"pickle" not in data


def saved_steps(tmp_path: Path, run: RunSpec, every: Frequency) -> list[int]:
    steps: list[int] = []

    class Noting(RunCheckpoints):
        def save(self, state: Any, *, finished: bool, step: int) -> None:
            steps.append(step)
            super().save(state, finished=finished, step=step)

    execute(run, checkpoints=lambda identity: Noting(tmp_path, run.run_id, identity, every))
    return steps


def test_checkpoints_are_saved_by_time_and_by_epochs_and_at_the_end_of_a_phase(tmp_path, monkeypatch):
    run = spec("ddc", budget=Budget(amount=5))  # 3 steps an epoch
    assert saved_steps(tmp_path / "a", run, Frequency(None, 2)) == [6, 12, 15]
    assert saved_steps(tmp_path / "b", run, Frequency(None, None)) == [15]
    assert saved_steps(tmp_path / "c", run, Frequency(0.0)) == [*range(1, 15), 15]
    assert saved_steps(tmp_path / "d", run, Frequency(3600.0)) == [15]


@pytest.mark.attack("disks")
def test_a_disk_that_takes_no_checkpoint_costs_a_sentence_and_no_result(tmp_path, monkeypatch):
    run, notes = spec(), []

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "checkpoint")

    monkeypatch.setattr("benchmark.execution.checkpoints.write_synced", full)
    assert bits(attempt(run, tmp_path, 100, notes=notes)) == bits(execute(run))
    assert "No space left on device" in notes[0] and "\n" not in notes[0]


def test_a_phase_whose_state_is_not_known_is_begun_again_with_the_same_bits(tmp_path, monkeypatch, weights):
    from methods.ddc import DDC

    original, steps = DDC.phases, []

    def hooked(self: Any, *arguments: Any) -> Any:
        (phase,) = original(self, *arguments)
        return [phase.__class__(**{**vars(phase), "hooks": (Hook(1, steps.append),)})]

    monkeypatch.setattr(DDC, "phases", hooked)
    run = spec("ddc")
    undisturbed = bits(execute(run))
    steps.clear()
    assert bits(attempt(run, tmp_path, 10**6)) == undisturbed
    assert steps == list(range(6)), "it begins again"
    assert not (tmp_path / CHECKPOINTS).exists()


def test_an_observer_without_memory_keeps_a_run_from_being_resumed_within(tmp_path):
    from dataclasses import replace

    from benchmark.streams import Streams
    from benchmark.training import RunContext
    from benchmark.training.resume import SavedState

    saved: list[SavedState] = []

    class Keeper:
        seconds, resumed = 0.0, 0

        def begin(self, phase: str) -> None:
            return None

        def due(self, epoch: int) -> bool:
            return True

        def save(self, state: SavedState, *, finished: bool, step: int) -> None:
            saved.append(state)

        def stop_if_asked(self) -> None:
            return None

    x = np.random.default_rng(0).standard_normal((60, 1, 28, 28)).astype(np.float32)
    context = RunContext(Streams("toy", 0), spec("ddc").protocol, checkpoints=Keeper())
    METHODS["ddc"](3).fit(x, run=replace(context, observers=(lambda snapshot: None,)))
    assert saved == []
    METHODS["ddc"](3).fit(x, run=context)
    assert len(saved) == 6


def test_a_generator_made_late_goes_on_where_it_was():
    from benchmark.streams import Streams

    first = Streams("toy", 0)
    early, late = first.torch("early"), first.numpy("late")
    torch.rand(3, generator=early)
    late.random(5)
    states = first.states()
    second = Streams("toy", 0)
    again = second.torch("early")
    second.resume(states)
    assert torch.equal(torch.rand(4, generator=again), torch.rand(4, generator=early))
    assert second.numpy("late").random(4).tolist() == late.random(4).tolist()
    assert second.numpy("late").random() == Streams("toy", 0).numpy("late").random(), "a second one is fresh"
