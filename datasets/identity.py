"""What identifies data sets whose arrays nobody here could hash: the hashes of published files, or published facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.arrays import Raw
from datasets.base import Source
from datasets.obtaining.files import OfficialFile

FACTS = "facts:"


def joint_hash(hashes: Iterable[str]) -> str:
    """Return one identity for the hashes of several files, as ``files:...``; that of a single file is its hash."""
    known = list(hashes)
    return known[0] if len(known) == 1 else f"files:{hashlib.sha256(','.join(known).encode()).hexdigest()}"


def published_hash(files: Iterable[OfficialFile]) -> str:
    """Return the identity of files by their published hashes."""
    return joint_hash(file.known_hash or "" for file in files)


@dataclass(frozen=True, kw_only=True)
class HashedFiles(Source):
    """A data set identified by the published hashes of its files, not by its arrays; `digest` is `published_hash`."""

    def identify(self, raw: Raw, paths: Mapping[str, Path]) -> str:
        """Return the joint hash of the files as they are, with the algorithm that each was published with."""
        return joint_hash(
            _hash(paths[file.name], (file.known_hash or "sha256:").partition(":")[0]) for file in self.files
        )


@dataclass(frozen=True, kw_only=True)
class KnownByFacts(Source):
    """A data set for which no hash is published: it is what it should be when the published facts hold.

    `digest` begins with ``facts:`` and names the facts; they are checked whenever the files are read.
    """

    def identify(self, raw: Raw, paths: Mapping[str, Path]) -> str:
        """Return `digest` where counts, classes and range are as declared, else raise DataError."""
        self._check_facts(raw)
        return self.digest


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"
