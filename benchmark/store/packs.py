"""Packs: results in one zip file, to be sent to a colleague, who merges them. No server, and nothing is executed.

A pack holds rows, histories and specs in the tracked form, the machines on which they were made, BibTeX and a README.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.files.writing import write_changed
from benchmark.record import RunRecord
from benchmark.store.rows import device_of
from benchmark.store.tracked import HISTORY, RUNS, SPECS, place, stored_files

README, ENVIRONMENTS, REFERENCES = "README.md", "environments.json", "references.bib"
LIMIT = 2**31
"""A pack that unpacks to more bytes is refused."""

_ROWS = re.compile(rf"stored/\w[\w.-]*/\w[\w.-]*/(?:{re.escape(RUNS)}|{re.escape(HISTORY)}|{re.escape(SPECS)})")
_DATE = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a pack, so that equal results give equal bytes."""


def pack(records: Sequence[RunRecord], target: Path, references: Iterable[str]) -> str:
    """Write `records` into the zip file `target`, with the BibTeX entries `references`; return its SHA-256."""
    folders: dict[str, list[RunRecord]] = {}
    for record in records:
        folders.setdefault(place(record.context), []).append(record)
    files = {
        f"stored/{folder}/{name}": data for folder, held in folders.items() for name, data in stored_files(held).items()
    }
    files[ENVIRONMENTS] = (json.dumps(_environments(records), indent=2) + "\n").encode()
    files[REFERENCES] = "\n".join(references).encode()
    files[README] = _readme(target.stem, records, folders).encode()
    data = _zipped(files)
    write_changed({target: data})
    return hashlib.sha256(data).hexdigest()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _DATE), files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _environments(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return each environment once, with the number of runs made in it."""
    seen: dict[str, dict[str, Any]] = {}
    for record in records:
        shown = {key: value for key, value in record.environment.items() if key not in ("streams", "date")}
        found = seen.setdefault(json.dumps(shown, sort_keys=True), {"runs": 0, "environment": shown})
        found["runs"] += 1
    return list(seen.values())


def _readme(name: str, records: Sequence[RunRecord], folders: Mapping[str, Sequence[RunRecord]]) -> str:
    methods, datasets, devices = (
        ", ".join(sorted({of(record) for record in records}))
        for of in (lambda r: r.spec.method, lambda r: r.spec.data.name, device_of)
    )
    parts = [f"- {folder} (profile/paper): {len(held)} runs" for folder, held in sorted(folders.items())]
    return "\n".join(
        (
            f"# {name}",
            "",
            f"{len(records)} runs of {methods} on {datasets}, made on {devices}, by reclust.",
            "",
            *parts,
            "",
            "Merge them into a results folder, look, and draw the tables:",
            "",
            f"    python -m benchmark results merge {name}.zip --results results",
            "    python -m benchmark status --results results",
            "    python -m benchmark tables --results results",
            "",
            f"`stored/` holds rows ({RUNS}), histories ({HISTORY}) and specifications ({SPECS}), `{ENVIRONMENTS}` the",
            f"machines, `{REFERENCES}` what to cite. Weights, assignments and data sets are not in it. Compare the",
            "SHA-256 of the file with that which its maker saw: `results merge` prints it first.",
            "",
        )
    )


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """Give the folder of a source to merge: of a pack, a temporary one with its rows; of a folder, itself.

    Only files of rows are unpacked, whatever else a pack holds.

    Raises
    ------
    UserError
        For a file that is no pack, is damaged, or is too large.
    """
    if source.is_dir() or not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, data in _rows_in(source):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield Path(folder)


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _rows_in(source: Path) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [member for member in archive.infolist() if _ROWS.fullmatch(member.filename)]
            if sum(member.file_size for member in members) > LIMIT:
                raise UserError(f"{source} would unpack to more than {LIMIT / 2**30:g} GiB: it is no pack of results.")
            found = [(member.filename, archive.read(member)) for member in members]
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise UserError(f"{source} is no whole pack of results ({error}): get it again.") from None
    if not found:
        raise UserError(f"{source} holds no rows of results: name a file that `results pack` wrote, or a folder.")
    return found
