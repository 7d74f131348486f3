"""The digests of the tracked files, `stored/SHA256SUMS`: what changes a tracked file in any other way is noticed.

The file has the form of `sha256sum`, which reads it too. Every change of tracked files by a command writes it anew, in
one step with the files. It guards against damage and accident; who rewrites a digest with the file is not noticed.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files.locks import alone
from benchmark.files.together import change_together, settle
from benchmark.files.writing import holds

SUMS = "SHA256SUMS"
PATIENCE_SECONDS = 60.0
ACCEPT = "`results verify --accept` takes the tracked files as they are"

_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def change_tracked(stored: Path, files: Mapping[Path, bytes]) -> tuple[Path, ...]:
    """Write those tracked `files`, by their paths below `stored`, whose contents change; together with their digests.

    All change or none. Returns the paths of those that changed. UserError, and nothing is written, where one that is
    there was changed by something else, or another command keeps changing tracked files.
    """
    with _alone(stored):
        sums = read_sums(stored)
        for path in files:
            name = path.relative_to(stored).as_posix()
            if sums is not None and path.is_file() and _digest(path.read_bytes()) != sums.get(name):
                raise UserError(f"{_changed(path)} Nothing was written.")
        held = dict(_tracked(stored)) if sums is None else {**sums}
        new = {path.relative_to(stored).as_posix(): data for path, data in files.items()}
        return _written(stored, files, held | _kept(stored, new))


def accept(stored: Path) -> bool:
    """Take the tracked files below `stored` as they are; return whether the digests change."""
    with _alone(stored):
        return bool(change_together(stored, {stored / SUMS: _text(dict(_tracked(stored)))}))


def changes(stored: Path) -> list[str]:
    """Return one sentence for each tracked file that is not as a command left it, after reading all of them."""
    held = dict(_tracked(stored))
    try:
        sums = read_sums(stored)
    except UserError as error:
        return [str(error)]
    if sums is None:
        return [f"{stored / SUMS} is missing, so that no edit is noticed: restore it (git checkout); {ACCEPT}."] * bool(
            held
        )
    found = [f"{stored / name} is missing: restore it (git checkout)." for name in sorted(sums.keys() - held.keys())]
    for name in sorted(held):
        if name not in sums:
            found.append(f"{stored / name} was put there by no command ({SUMS} lacks it): remove it; {ACCEPT}.")
        elif held[name] != sums[name]:
            found.append(_changed(stored / name))
    return found


def read_sums(stored: Path) -> dict[str, str] | None:
    """Return the digests by the names of the files, None where there are none; UserError where they cannot be read."""
    settle(stored)
    file = stored / SUMS
    if not file.is_file():
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): restore it (git checkout).") from None
    matches = [(number, _LINE.fullmatch(line)) for number, line in enumerate(lines, start=1)]
    if wrong := [number for number, match in matches if match is None]:
        raise UserError(f"{file}, line {wrong[0]} is no digest with a name: restore the file (git checkout).")
    return {match[2]: match[1] for _, match in matches if match}


def _written(stored: Path, files: Mapping[Path, bytes], sums: Mapping[str, str]) -> tuple[Path, ...]:
    changed = change_together(stored, {**files, stored / SUMS: _text(sums)})
    return tuple(path for path in changed if path.name != SUMS)


def _kept(stored: Path, new: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digests of new contents; of a compressed file that holds the same already, of its own bytes."""
    paths = {name: stored / name for name in new}
    return {name: _digest(paths[name].read_bytes() if holds(paths[name], data) else data) for name, data in new.items()}


@contextmanager
def _alone(stored: Path) -> Iterator[None]:
    """Change tracked files while no other command does: wait for it, as what it does takes a moment."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        lock = alone(stored.parent, "change of tracked files")
        try:
            lock.__enter__()
        except UserError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
            continue
        break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _tracked(stored: Path) -> Iterator[tuple[str, str]]:
    """Yield name and digest of each tracked file: all below `stored` but the digests and what is being written."""
    for path in sorted(stored.rglob("*")) if stored.is_dir() else ():
        name = path.relative_to(stored)
        if path.is_file() and name.as_posix() != SUMS and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), _digest(path.read_bytes())


def _text(sums: Mapping[str, str]) -> bytes:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def _changed(path: Path) -> str:
    what = f"was changed by something else than a command ({SUMS} has another digest)"
    return f"{path} {what}: restore it (git checkout); {ACCEPT}."


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
