"""The files of one run's folder: written with their sizes and digests, and read with a look at these."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

import numpy as np

from benchmark.errors import UserError
from benchmark.files.faults import sentence
from benchmark.files.reading import plain_json
from benchmark.files.writing import sync_folder, write_synced
from benchmark.record import RunRecord
from benchmark.store.possible import refuse_impossible, unstated_mode
from benchmark.store.rows import EVALUATION_COLUMNS, csv_bytes, evaluation_cells, evaluation_of, strict

if TYPE_CHECKING:
    import torch

RECORD, HISTORY, LABELS, MODEL = "record.json", "history.csv", "labels.npz", "model.safetensors"
SEAL = "seal.json"
MOST_LABELS_BYTES = 2**30
"""So much may assignments unpack to: those of 134 million samples."""

_OTHER_FORM = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_FORMAT_ERRORS = (*_OTHER_FORM, ValueError, KeyError, TypeError, AttributeError, csv.Error)


class Damaged(UserError):
    """A run folder is not as it was written, unlike one that the disk does not give just now."""


def write_run(
    folder: Path, record: RunRecord, labels: np.ndarray | None, state: Mapping[str, torch.Tensor] | None
) -> None:
    """Create `folder` with the files of a run, synced to disk."""
    if record.run_id != record.spec.run_id:
        raise ValueError(f"the record is named {record.run_id}, but its spec has the run id {record.spec.run_id}")
    if unstated := unstated_mode(record):
        raise UserError(f"the record of run {record.run_id} was not stored: {unstated}.")
    files: dict[str, bytes] = {}
    plain = record.model_dump(exclude={"history", "spec"})
    plain |= {"spec": record.spec.canonical(), "evaluations": len(record.history), "sealed": True}
    files[RECORD] = json.dumps(strict(plain), indent=1, allow_nan=False).encode()
    files[HISTORY] = csv_bytes(EVALUATION_COLUMNS, map(evaluation_cells, record.history))
    if labels is not None:
        whole = np.asarray(labels)
        if whole.dtype.kind not in "iu" or whole.ndim != 1:
            raise ValueError(f"labels are (n,) integers, not {whole.shape} {whole.dtype}")
        packed = io.BytesIO()
        np.savez_compressed(packed, labels=whole)
        files[LABELS] = packed.getvalue()
    if state is not None:
        from safetensors.torch import save

        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        files[MODEL] = save(contiguous)
    files[SEAL] = sealed(files)
    folder.mkdir()
    for name, data in files.items():
        write_synced(folder / name, data)
    sync_folder(folder)


def sealed(files: Mapping[str, bytes]) -> bytes:
    """Return the seal of some files: their sizes and digests."""
    seal = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    return json.dumps(seal, indent=1).encode()


def check_seal(folder: Path, names: Iterable[str] | None = None) -> None:
    """Raise `Damaged` where a file of a sealed folder is not as it was written: `names` are read, all are measured.

    UserError where the disk does not give one.
    """
    try:
        if not (folder / SEAL).exists():
            return  # a folder from before there were seals; a record that was sealed says so itself
        seal = plain_json((folder / SEAL).read_text(encoding="utf-8"))
        for name, facts in seal.items():
            file = folder / Path(name).name
            if file.stat().st_size != facts["bytes"]:
                raise ValueError(f"{name} has {file.stat().st_size} bytes, not the {facts['bytes']} that were written")
            read = names is None or name in names
            if read and hashlib.sha256(file.read_bytes()).hexdigest() != facts["sha256"]:
                raise ValueError(f"{name} was changed after it was written")
    except _FORMAT_ERRORS as error:
        raise _damaged(folder, error) from None
    except OSError as error:
        raise _withheld(folder, error) from None


def _damaged(folder: Path, error: Exception) -> Damaged:
    reason = " ".join(str(error).split())[:200]
    return Damaged(f"{folder} cannot be read ({reason}); the next run moves it to quarantine and makes it again.")


def _withheld(folder: Path, error: OSError) -> UserError:
    """Return what to say of a folder that may be whole, but that the disk does not give just now."""
    return UserError(f"the run folder {folder} cannot be read now, and does not count: {sentence(error)}")


def record_stamp(folder: Path) -> tuple[int, int] | None:
    """Return when the record of a folder was written and which file it is: another where it was replaced.

    None where it is not there, or another command is replacing it.
    """
    try:
        facts = (folder / RECORD).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino


def read_run(folder: Path) -> RunRecord:
    """Return the record in `folder`; `Damaged` where it is not whole or is not the run that the folder names.

    UserError where the disk does not give it.
    """
    check_seal(folder, (RECORD, HISTORY))
    record = parsed(folder)
    if folder.name[:16] != record.run_id:
        raise _damaged(folder, ValueError(f"it holds the record of {record.run_id}"))
    return record


def parsed(folder: Path) -> RunRecord:
    """Return the record in a folder of any name."""
    try:
        plain = plain_json((folder / RECORD).read_text(encoding="utf-8"))
        if plain.pop("sealed", False) and not (folder / SEAL).exists():
            raise ValueError(f"{SEAL} is missing")
        with (folder / HISTORY).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != EVALUATION_COLUMNS or len(rows) != plain.pop("evaluations"):
            raise ValueError(f"{HISTORY} is not whole")
        record = RunRecord.model_validate({**plain, "history": tuple(map(evaluation_of, rows))})
        if record.run_id != record.spec.run_id:
            raise ValueError(f"it holds the record {record.run_id} of a spec with the run id {record.spec.run_id}")
        refuse_impossible(record)
    except _FORMAT_ERRORS as error:
        raise _damaged(folder, error) from None
    except OSError as error:
        raise _withheld(folder, error) from None
    return record


def read_labels(folder: Path) -> np.ndarray | None:
    """Return the assignments saved in `folder`, (n,) integers, or None."""
    file = folder / LABELS
    if not file.exists():
        return None
    check_seal(folder, (LABELS,))
    try:
        with ZipFile(file) as packed:
            size = packed.getinfo("labels.npy").file_size
        if size > MOST_LABELS_BYTES:
            raise ValueError(f"it unpacks to {size} bytes")
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return np.asarray(arrays["labels"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{file} cannot be read ({error}); delete its folder.") from None


def read_state(folder: Path) -> dict[str, torch.Tensor] | None:
    """Return the weights saved in `folder`, by name, on the CPU, or None."""
    # torch takes seconds to import, and tables need no weights.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / MODEL
    if not file.exists():
        return None
    check_seal(folder, (MODEL,))
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read ({error}); delete its folder.") from None
