"""Several files of one folder changed together: all of them or none, whoever is killed when.

The new contents are written beside, into a draft that names its owner. One rename makes of the draft a decided change,
`.change-...`, which lists what belongs where; then each file is renamed into its place. Who dies before that one rename
has changed nothing, and the draft is swept by the next change. A decided change is finished by whoever comes next,
reader or writer. Several may `settle` one at once: every step is one rename of a name that is never given again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from benchmark.errors import UserError
from benchmark.files.faults import sentence
from benchmark.files.owners import DRAFT, dead_drafts, draft
from benchmark.files.writing import holds, sync_folder, write_synced

DECIDED = ".change-"
"""What the name of the folder of a decided change begins with."""

ATTEMPTS = 10
"""How often files are read again that change all the time."""

_LIST = "places.json"


def change_together(root: Path, files: Mapping[Path, bytes]) -> tuple[Path, ...]:
    """Write those `files`, by their paths below `root`, whose contents change, all or none, and return their paths.

    Raises OSError where nothing could be changed, or where what is decided could not be finished: `settle` does it.
    """
    settle(root)
    _sweep(root)
    changed = {path: data for path, data in files.items() if not holds(path, data)}
    if not changed:
        return ()
    root.mkdir(parents=True, exist_ok=True)
    written = draft(root)
    try:
        written.mkdir()
        for number, data in enumerate(changed.values()):
            write_synced(written / str(number), data)
        names = [path.relative_to(root).as_posix() for path in changed]
        write_synced(written / _LIST, json.dumps(names).encode())
        sync_folder(written)
        decided = root / written.name.replace(DRAFT, DECIDED, 1)
        os.rename(written, decided)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    sync_folder(root)
    _finish(root, decided)
    return tuple(changed)


def read_together(root: Path, files: Sequence[Path]) -> dict[str, bytes | OSError]:
    """Return the contents of files below `root` by name, as they were at one moment, or for each why it cannot be read.

    They are read again where a change comes between.
    """
    for _ in range(ATTEMPTS):
        settle(root)
        before = [_stamp(file) for file in files]
        read = {file.name: _bytes(file) for file in files}
        if [_stamp(file) for file in files] == before and not any(root.glob(f"{DECIDED}*")):
            break
    return read


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _bytes(file: Path) -> bytes | OSError:
    try:
        return file.read_bytes()
    except OSError as error:
        return error


def settle(root: Path) -> None:
    """Finish what was decided and broken off below `root`; UserError where that can be neither read nor written."""
    for decided in sorted(root.glob(f"{DECIDED}*")):
        try:
            _finish(root, decided)
        except OSError as error:
            raise UserError(f"a change of {root} was broken off and cannot be finished: {sentence(error)}") from None


def _finish(root: Path, decided: Path) -> None:
    try:
        names = json.loads((decided / _LIST).read_bytes())
    except FileNotFoundError:  # another finished it
        shutil.rmtree(decided, ignore_errors=True)
        return
    except (ValueError, RecursionError):
        raise UserError(
            f"{decided / _LIST} cannot be read: remove {decided}, and restore {root} (git checkout)."
        ) from None
    places = [root / _inside(name, decided) for name in names]
    for number, place in enumerate(places):
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it has its place already
            os.replace(decided / str(number), place)
    for folder in {place.parent for place in places}:
        sync_folder(folder)
    shutil.rmtree(decided, ignore_errors=True)


def _inside(name: str, decided: Path) -> PurePosixPath:
    """Return a name of a list as a path that leads nowhere but down."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(f"{decided / _LIST} names {name!r}, which is not below its folder: remove {decided}.")
    return path


def _sweep(root: Path) -> None:
    """Remove the drafts below `root` whose writers are gone."""
    folders = {root, *(path.parent for path in root.rglob(f"{DRAFT}*"))} if root.is_dir() else set()
    for left in [left for folder in folders for left in dead_drafts(folder)]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
