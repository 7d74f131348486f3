"""An edited checkpoint, though the digest in its name fits, is found, set aside and told; the run is as if alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from benchmark.execution.checkpoints import CHECKPOINTS, _content, _digest, checkpoint_folder, damaged_checkpoints
from benchmark.execution.events import Event, Finished, Frequency, Job, Noted, Place
from benchmark.execution.execute import execute
from benchmark.execution.jobs import make_run
from benchmark.files.quarantine import quarantined
from benchmark.record import Context
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import DataSpec, RunSpec
from benchmark.store import Store
from tests.execution.test_resume import attempt, spec
from tests.support.wavering import Wavering

load_plugins()

pytestmark = pytest.mark.attack("files")

Kept = dict[str, Any]
Tensors = dict[str, torch.Tensor]
Edit = Callable[[Kept, Tensors], None]


@pytest.fixture(autouse=True)
def only_here() -> Iterator[None]:
    METHODS._entries["wavering"] = Wavering
    yield
    METHODS._entries.pop("wavering", None)


def _first(tensors: Tensors, prefix: str) -> str:
    return min(name for name in tensors if name.startswith(prefix))


def _value(*path: str, to: Any) -> Edit:
    def edit(kept: Kept, tensors: Tensors) -> None:
        place = kept
        for name in path[:-1]:
            place = place[name]
        assert path[-1] in place
        place[path[-1]] = to(place[path[-1]]) if callable(to) else to

    return edit


def _tensor(prefix: str, to: Callable[[torch.Tensor], torch.Tensor] | None) -> Edit:
    def edit(kept: Kept, tensors: Tensors) -> None:
        name = _first(tensors, prefix)
        old = tensors.pop(name)
        if to is not None:
            tensors[name] = to(old)

    return edit


# What an editor may do to what a checkpoint holds. Each broke a run, or changed its numbers, or nothing yet.
EDITS: dict[str, Edit] = {
    "a weight": _tensor("model/", lambda t: t + 1),
    "a weight that is not a number": _tensor("model/", lambda t: t * float("nan")),
    "a weight that is gone": _tensor("model/", None),
    "a weight of another shape": _tensor("model/", lambda t: torch.zeros(7)),
    "an optimiser": _tensor("optimiser/", lambda t: t + 1),
    "an optimiser of another shape": _tensor("optimiser/", lambda t: torch.zeros(3, 1, 2)),
    "a generator": _tensor("generators/", lambda t: torch.flip(t, (0,))),
    "a generator that is gone": _tensor("generators/cpu", None),
    "assignments": _tensor("assignments/", lambda t: t * 0),
    "assignments of other samples": _tensor("assignments/", lambda t: t[:3]),
    "whether all was finite": _tensor("finite", lambda t: torch.tensor(False)),
    "the order of an epoch": _tensor("epoch", lambda t: torch.arange(5)),
    "the order that is gone": _tensor("epoch", None),
    "steps": _value("state", "steps", to=lambda n: n + 1),
    "steps below 0": _value("state", "steps", to=-1),
    "steps as text": _value("state", "steps", to="three"),
    "the first losses": _value("state", "first", to=[0.5]),
    "a loss": _value("state", "last", "total", to=lambda x: x / 2),
    "a snapshot that is gone": _value("state", "last", to=None),
    "what observers know": _value("state", "observers", to=[]),
    "an evaluation": _value("state", "observers", to=lambda m: [m[0][::-1], *m[1:]]),  # sealed: a text
    "finished": _value("state", "finished", to=True),
    "seconds": _value("seconds", to=-1e9),
    "seconds as text": _value("seconds", to="long"),
    "processes": _value("resumed", to=-3),
    "the phase": _value("phase", to="another"),
    "the run": _value("identity", "run_id", to="0" * 16),
    "no identity": lambda kept, tensors: kept.pop("identity"),
    "no state": lambda kept, tensors: kept.pop("state"),
    "everything": lambda kept, tensors: kept.clear(),
}


def edited(results: Path, run: RunSpec, edit: Edit, *, forged: bool = False) -> Path:
    """Edit the last checkpoint of a run and give it a name that fits; with `forged` its inner digest fits too."""
    (path,) = checkpoint_folder(results, run.run_id).glob("*.safetensors")
    data = path.read_bytes()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    kept, tensors = json.loads(head["__metadata__"]["reclust"]), load(data)
    before = copy.deepcopy(kept), dict(tensors)
    edit(kept, tensors)
    assert (kept, tensors.keys()) != (before[0], before[1].keys()) or any(
        not torch.equal(tensors[name], before[1][name]) for name in tensors
    )
    if forged:
        kept.pop("content", None)
        kept["content"] = _content(kept, tensors)
    new = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"reclust": json.dumps(kept)})
    path.unlink()
    place = path.with_name(f"{path.name.rsplit('.', 2)[0]}.{_digest(new)}.safetensors")
    place.write_bytes(new)
    return place


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run that stopped after three steps, and the record of it undisturbed."""
    METHODS._entries["wavering"] = Wavering
    folder = tmp_path_factory.mktemp("begun")
    run = spec()
    assert attempt(run, folder, 3) is None
    (path,) = checkpoint_folder(folder, run.run_id).glob("*.safetensors")
    return {"run": run, "name": path.name, "data": path.read_bytes(), "record": execute(run).record}


def resumed(tmp_path: Path, begun: dict[str, Any], edit: Edit, forged: bool) -> tuple[Path, Store, list[str]]:
    """Put the checkpoint there, edit it, and make the run; return the file, the store and what was said."""
    run: RunSpec = begun["run"]
    folder = checkpoint_folder(tmp_path, run.run_id)
    folder.mkdir(parents=True)
    (folder / begun["name"]).write_bytes(begun["data"])
    path, said = edited(tmp_path, run, edit, forged=forged), []

    def report(event: Event) -> None:
        said.extend([event.text] if isinstance(event, Noted) else [])

    end = make_run(Job(run, Context()), Place(tmp_path, checkpoints=Frequency(0.0)), report)
    assert isinstance(end, Finished) and end.error == ""
    return path, Store(tmp_path, use_stored=False), said


def numbers(record: Any) -> dict[str, Any]:
    left_out = {"seconds", "peak_mib", "environment", "context"}
    return record.model_dump(exclude=left_out)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_with_a_right_digest_is_found_set_aside_and_told_and_the_run_is_as_if_alone(
    tmp_path: Path, begun: dict[str, Any], name: str
) -> None:
    path, store, said = resumed(tmp_path, begun, EDITS[name], forged=False)
    record = store.get(begun["run"].run_id)
    assert numbers(record) == numbers(begun["record"]) and "resumed" not in record.environment
    assert len(said) == 1 and "checkpoint" in said[0] and "set aside" in said[0] and "\n" not in said[0]
    (aside,) = quarantined(tmp_path)
    assert (aside / path.name).is_file()


# Who forges the inner digest too is not promised anything, but what breaks the run is still told as what it is.
BREAKING = [
    *("a weight that is not a number", "an optimiser of another shape", "a generator that is gone"),
    *("the order of an epoch", "the order that is gone", "steps below 0"),
    *("steps as text", "a snapshot that is gone", "what observers know", "seconds", "seconds as text", "processes"),
    *("the phase", "the run", "no identity", "no state", "everything"),
]


@pytest.mark.parametrize("name", BREAKING)
def test_a_forged_checkpoint_that_breaks_a_run_is_told_as_the_cause_and_the_run_made_anew(
    tmp_path: Path, begun: dict[str, Any], name: str
) -> None:
    _, store, said = resumed(tmp_path, begun, EDITS[name], forged=True)
    record = store.get(begun["run"].run_id)
    assert numbers(record) == numbers(begun["record"])
    assert any("checkpoint" in text and "set aside" in text for text in said) and quarantined(tmp_path)


def test_verify_finds_an_edited_checkpoint(tmp_path: Path, begun: dict[str, Any]) -> None:
    folder = checkpoint_folder(tmp_path, begun["run"].run_id)
    folder.mkdir(parents=True)
    (folder / begun["name"]).write_bytes(begun["data"])
    assert list(damaged_checkpoints(tmp_path)) == []
    path = edited(tmp_path, begun["run"], EDITS["a weight"])
    assert [(found, "content was changed" in why) for found, why in damaged_checkpoints(tmp_path)] == [(path, True)]


@pytest.mark.parametrize("levels", [100, 900, 100_000])
def test_a_head_that_is_nested_without_end_is_damage(tmp_path: Path, begun: dict[str, Any], levels: int) -> None:
    folder = tmp_path / CHECKPOINTS / begun["run"].run_id
    folder.mkdir(parents=True)
    text = "[" * levels + "]" * levels
    data = save({"x": torch.zeros(1)}, {"reclust": text})
    (folder / f"00-000000003-within.{_digest(data)}.safetensors").write_bytes(data)
    ((_, why),) = damaged_checkpoints(tmp_path)
    assert "nested deeper" in why and len(why) < 300


def test_a_run_that_fails_by_itself_after_it_was_resumed_fails_again_and_is_stored(
    tmp_path: Path, begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run: RunSpec = begun["run"]
    folder = checkpoint_folder(tmp_path, run.run_id)
    folder.mkdir(parents=True)
    (folder / begun["name"]).write_bytes(begun["data"])

    def broken(self: Any, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("the method's own fault")

    monkeypatch.setattr(Wavering, "assign", broken)
    monkeypatch.setattr("benchmark.execution.jobs.is_foreign", lambda spec: False)  # fit here, where it is broken
    said: list[str] = []
    place = Place(tmp_path, checkpoints=Frequency(0.0))
    make_run(Job(run, Context()), place, lambda event: said.extend([event.text] if isinstance(event, Noted) else []))
    record = Store(tmp_path, use_stored=False).get(run.run_id)
    assert record.status == "failed" and "the method's own fault" in record.error
    assert isinstance(run.data, DataSpec) and "resumed" not in record.environment
