"""Checkpoints on disk: what a run needs to go on after its process died, as safetensors files with JSON in their heads.

Below ``<results>/checkpoints/<run>/`` a file is named ``<phase>-<step>-<within|end>.<digest>.safetensors``. It appears
whole, by a rename, and its name holds the digest of its bytes: one that is damaged is found, set aside and not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from benchmark.execution.events import Frequency
from benchmark.files.faults import sentence
from benchmark.files.owners import draft
from benchmark.files.quarantine import set_aside
from benchmark.files.reading import plain_json
from benchmark.files.writing import write_synced

if TYPE_CHECKING:  # torch is imported where a state is saved or read: whoever only looks for checkpoints waits for none
    from torch import Tensor

    from benchmark.training.resume import SavedState

CHECKPOINTS = "checkpoints"

_NAME = re.compile(r"(\d{2})-(\d{9})-(within|end)\.([0-9a-f]{16})\.safetensors")


def checkpoint_folder(results: Path, run: str) -> Path:
    """Return where the checkpoints of the run folder `run` lie."""
    return results / CHECKPOINTS / run


def discard(results: Path, run: str) -> None:
    """Remove the checkpoints of a run that needs them no more."""
    shutil.rmtree(checkpoint_folder(results, run), ignore_errors=True)


class RunCheckpoints:
    """The checkpoints of one run: a `benchmark.training.resume.Checkpoints`.

    `identity` is what must be equal for a checkpoint to be used; with `every` None there are none. `asked` says whether
    the run is to stop; `note` is called with one sentence where a checkpoint cannot be written or read, which costs
    time and nothing else. `clock` counts the seconds that the run takes, fewer than have gone by where it takes turns
    with others.
    """

    def __init__(
        self,
        results: Path,
        run: str,
        identity: Mapping[str, str],
        every: Frequency | None,
        asked: Callable[[], bool] = lambda: False,
        note: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.results, self.folder = results, checkpoint_folder(results, run)
        self.identity, self.every, self.asked, self.note = dict(identity), every, asked, note
        self.seconds, self.resumed = 0.0, 0
        self._phase, self._name, self._epoch = -1, "", 0
        self._clock, self._opened, self._saved = clock, clock(), time.monotonic()

    def begin(self, phase: str) -> SavedState | None:
        """Enter the next phase; return its last state, or None where it has none that can be used."""
        self._phase, self._name, self._epoch = self._phase + 1, phase, 0
        for path in self._found() if self.every else ():
            values = self._read(path)
            if values is not None:
                state, kept = values
                self.seconds, self.resumed = kept["seconds"], kept["resumed"] + 1
                self._epoch = kept["epoch"]
                return state
        return None

    def due(self, epoch: int) -> bool:
        """Return whether it is time for a checkpoint, or the run is to stop."""
        if self.every is None:
            return False
        late = self.every.seconds is not None and time.monotonic() - self._saved >= self.every.seconds
        enough = self.every.epochs is not None and epoch - self._epoch >= self.every.epochs
        if late or enough:
            self._epoch = epoch
        return late or enough or self.asked()

    def save(self, state: SavedState, *, finished: bool, step: int) -> None:
        """Write a state and remove the older ones of its phase; where that fails, say so and go on."""
        if self.every is None:
            return
        from safetensors.torch import save

        kept = {"identity": self.identity, "phase": self._name, "resumed": self.resumed, "epoch": self._epoch}
        kept |= {"seconds": self.seconds + self._clock() - self._opened, "state": state.values}
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.tensors.items()}
        kept["content"] = _content(kept, tensors)
        data = save(tensors, metadata={"reclust": json.dumps(kept)})
        kind = "end" if finished else "within"
        path = self.folder / f"{self._phase:02}-{step:09}-{kind}.{_digest(data)}.safetensors"
        try:
            older = [file for file in self._files() if file != path]
            _write(path, data)
            for file in older:
                file.unlink(missing_ok=True)
        except OSError as error:
            self.note(f"no checkpoint was written: {sentence(error)}")
        self._saved = time.monotonic()

    def stop_if_asked(self) -> None:
        """Raise `Stopped` where the run is to stop."""
        if self.asked():
            from benchmark.training.resume import Stopped

            raise Stopped

    def _files(self) -> list[Path]:
        """Return the files of this phase, its end first, then the latest step."""
        return [path for phase, *_, path in _listed(self.folder) if phase == self._phase]

    def _found(self) -> list[Path]:
        try:
            return self._files()
        except OSError as error:
            self.note(f"no checkpoint could be looked for: {sentence(error)}")
            return []

    def _read(self, path: Path) -> tuple[SavedState, dict[str, Any]] | None:
        """Return a state and what was noted with it; None where it is damaged (and set aside) or cannot be used."""
        try:
            kept, state = read_checkpoint(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note(f"a checkpoint could not be read, and is not used: {sentence(error)}")
            return None
        except ValueError as error:
            self.note(f"a checkpoint is damaged and was set aside: {error}")
            _set_aside(self.results, path, str(error))
            return None
        if other := self._other(kept):
            self.note(f"a checkpoint was set aside: {path.name} {other}")
            _set_aside(self.results, path, other)
            return None
        return (state, kept) if kept["identity"] == self.identity else None

    def _other(self, kept: Mapping[str, Any]) -> str:
        """Return of what else than this run and phase a checkpoint is, "" where it is of them."""
        run, mine = kept["identity"].get("run_id"), self.identity.get("run_id")
        if run != mine:
            return f"is of run {run}, not {mine}"
        return "" if kept["phase"] == self._name else f"is of phase {kept['phase']!r}, not {self._name!r}"


def read_checkpoint(path: Path) -> tuple[dict[str, Any], SavedState]:
    """Return what was noted with a state, and the state; ValueError where the file is damaged."""
    from safetensors.torch import load

    from benchmark.training.resume import SavedState

    data = path.read_bytes()
    match = _NAME.fullmatch(path.name)
    if match is None or _digest(data) != match[4]:
        raise ValueError(f"{path.name} does not have the digest that its name states")
    try:
        head = plain_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
        kept, tensors = plain_json(head["__metadata__"]["reclust"]), load(data)
        _check(kept, tensors, int(match[2]), match[3] == "end")
        return kept, SavedState(tensors, kept.pop("state"))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path.name} is no checkpoint ({' '.join(str(error).split())[:200]})") from None


def _check(kept: dict[str, Any], tensors: Mapping[str, Tensor], step: int, end: bool) -> None:
    """Raise ValueError where the content of a checkpoint is not as it was saved, or does not fit the file's name.

    The digest in its name is of its bytes: who saves other content with it gives it a name that fits. That in its head
    is of what it says, with the identity of its run.
    """
    if kept.pop("content", None) != _content(kept, tensors):
        raise ValueError("its content was changed after it was saved")
    state = kept["state"]
    if not all(isinstance(part, dict) for part in (kept["identity"], state)) or not isinstance(kept["phase"], str):
        raise ValueError("it does not say of what it is the state")
    if state.get("steps", step) != step or state.get("finished", end) != end:
        raise ValueError("its name states another step than its content")
    counts = [kept["resumed"], kept["epoch"], state.get("steps", 0)]
    if not all(type(count) is int and count >= 0 for count in counts) or not 0 <= kept["seconds"] < math.inf:
        raise ValueError("it counts what cannot be counted")


def _content(kept: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of what a checkpoint says: its values, of which run and phase they are, and its tensors."""
    from safetensors.torch import save

    values = json.dumps({name: value for name, value in kept.items() if name != "content"}, sort_keys=True)
    return hashlib.sha256(b"reclust checkpoint\0" + values.encode() + b"\0" + save(dict(tensors))).hexdigest()


def steps_kept(results: Path, run: str) -> int:
    """Return how many optimiser steps of a run its checkpoints hold, by their names: for an estimate."""
    latest: dict[int, int] = {}
    for phase, _, minus, _ in _listed(checkpoint_folder(results, run)):
        latest[phase] = max(latest.get(phase, 0), -minus)
    return sum(latest.values())


def distrust(results: Path, run: str, reason: str) -> bool:
    """Set all checkpoints of a run aside; return whether there were any."""
    files = list(checkpoint_folder(results, run).glob("*.safetensors"))
    for path in files:
        _set_aside(results, path, reason)
    return bool(files)


def damaged_checkpoints(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield the checkpoints below `results` that cannot be read, with the reason."""
    for folder in sorted((results / CHECKPOINTS).glob("*/")):
        for *_, path in _listed(folder):
            try:
                read_checkpoint(path)
            except (OSError, ValueError) as error:
                yield path, str(error)


def _listed(folder: Path) -> list[tuple[int, bool, int, Path]]:
    """Return phase, whether it is within, minus the step, and path of each checkpoint, sorted."""
    found = []
    for path in folder.glob("*.safetensors"):
        if match := _NAME.fullmatch(path.name):
            found.append((int(match[1]), match[3] == "within", -int(match[2]), path))
    return sorted(found)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = draft(path.parent)
    try:
        write_synced(written, data)
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)


def _set_aside(results: Path, path: Path, reason: str) -> None:
    try:
        set_aside(results, path, reason)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
