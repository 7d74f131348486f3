"""What each file here declares about its data set (`Source`), and how the files of a source are found and read."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmark.errors import DataError, UsageError
from benchmark.provenance import data_code_digest
from benchmark.registry import DataStatus, refuse_in_fit
from datasets.arrays import Dataset, Images, Labels, Lengths, Raw, Samples, array_digest, subset_indices
from datasets.obtaining import cache
from datasets.obtaining.download import download, staging
from datasets.obtaining.files import OfficialFile, cache_root, probe, search_roots
from datasets.recipes import recipes_of

__all__ = ["Dataset", "Images", "Labels", "Lengths", "Raw", "Samples", "Source", "array_digest", "subset_indices"]


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A data set as declared: facts, official files, and the verbs load, status, fetch and verify.

    A subclass says how the files are parsed and how the parsed values are scaled. Files are looked for one by
    one in the sub-folder `folder` of `data_dir` (else RECLUST_DATA), then of the cache. Only `fetch` downloads.

    Attributes
    ----------
    digest
        `array_digest` of the parsed arrays, unless the subclass says otherwise in `identify`.
    shape
        Shape of a sample as loaded: (channels, height, width), (values,) or (steps, values).
    class_counts
        Number of samples of each class; empty where it is not published, then `totals` says (samples, classes).
    class_names
        What the classes are called, where they have names.
    raw_range
        Smallest and largest value that the parsed samples can have.
    lengths_range
        Of sequences: the fewest and most steps.
    stand_in_for
        The data set that this one replaces where that one cannot be had.
    note
        What a user must know about it: choices of ours, what cannot be checked.
    """

    name: str
    title: str
    digest: str
    shape: tuple[int, ...]
    class_counts: tuple[int, ...]
    raw_range: tuple[float, float]
    licence: str
    citation: str
    folder: str = ""
    files: tuple[OfficialFile, ...] = ()
    totals: tuple[int, int] | None = None
    class_names: tuple[str, ...] = ()
    lengths_range: tuple[int, int] | None = None
    stand_in_for: str | None = None
    note: str = ""

    @property
    def n_samples(self) -> int:
        """The number of samples."""
        return sum(self.class_counts) if self.totals is None else self.totals[0]

    @property
    def n_clusters(self) -> int:
        """The number of classes."""
        return len(self.class_counts) if self.totals is None else self.totals[1]

    @property
    def recipes(self) -> dict[str, tuple[str, ...]]:
        """The preprocessing steps that papers take with it, by ``PAPER`` or ``PAPER/READING``."""
        return recipes_of(self.name)

    @property
    def embedded(self) -> bool:
        """Whether the data set comes with an installed package and needs no file."""
        return not self.files

    @abstractmethod
    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the arrays in the files at `paths` (by official name), or raise DataError naming the wrong file."""

    @abstractmethod
    def scale(self, x: Any) -> Samples:
        """Return the parsed samples as float32, each of the declared shape; images in [0, 1]."""

    def identify(self, raw: Raw, paths: Mapping[str, Path]) -> str:
        """Return what must equal `digest`."""
        return array_digest(*raw.arrays())

    def load(self, data_dir: Path | str | None = None) -> Dataset:
        """Return the data set, its digest checked, or raise DataError; downloads nothing.

        What was read once is kept as memory maps in the cache and comes from there as long as the files, the code that
        reads them and the kept arrays stay as they are; writing to `x` changes the copy in memory only.
        """
        refuse_in_fit(self.name)
        paths = self._find(data_dir)
        if len(paths) < len(self.files):
            raise DataError(self._missing(paths, data_dir))
        key = self._key(paths) if paths else None
        if key and (known := cache.recall(self.name, key)):
            x, y, lengths = known
        else:
            raw = self._read(paths)
            x, y, lengths = self.scale(raw.x), raw.y, raw.lengths
            if key:
                cache.remember(self.name, key, x, y, lengths)
        return Dataset(self.name, x, y, self.n_clusters, self.digest, lengths)

    def _key(self, paths: Mapping[str, Path]) -> str | None:
        """Return under what the parsed arrays are kept; None where the code that parses them cannot be digested."""
        try:
            code = data_code_digest(self)
        except UsageError:
            return None
        return cache.key((repr(self), code), paths.values())

    def status(self, data_dir: Path | str | None = None) -> DataStatus:
        """Say whether the files are there, from a quick look; `verify` reads them."""
        paths = self._find(data_dir)
        if len(paths) < len(self.files):
            return DataStatus("missing", self._missing(paths, data_dir))
        place = _place(paths)
        try:
            for path in paths.values():
                probe(path)
        except DataError as error:
            return DataStatus("broken", str(error), place)
        return DataStatus("ready", f"found in {place}." if place else "comes with an installed package.", place)

    def verify(self, data_dir: Path | str | None = None) -> DataStatus:
        """Read the files, and check digest, counts, classes and value range against what is declared.

        What is kept of them in parsed form is checked too; arrays that changed are named and removed.
        """
        paths = self._find(data_dir)
        if len(paths) < len(self.files):
            return DataStatus("missing", self._missing(paths, data_dir))
        place = _place(paths)
        try:
            self._check_facts(self._read(paths))
        except DataError as error:
            return DataStatus("broken", str(error), place)
        if kept := cache.changed(self.name):
            cache.forget(self.name)
            text = f"{kept} is not what was parsed from the files, which are right: it was removed, call it again."
            return DataStatus("broken", text, place)
        return DataStatus("ready", f"{self.n_samples} samples, {self.n_clusters} classes, {self.digest}.", place)

    def fetch(self, data_dir: Path | str | None = None) -> Path:
        """Download what is missing to `data_dir` (else the cache), and return the folder of the first file.

        Files are checked in a temporary folder and then renamed. Files that are there and wrong are
        replaced where the download would go, and left alone elsewhere.
        """
        target = (cache_root() if data_dir is None else Path(data_dir).expanduser()) / self.folder
        paths = self._find(data_dir)
        if len(paths) == len(self.files):
            try:
                self._read(paths)
                return _place(paths) or target
            except DataError:
                if any(path.parent != target for path in paths.values()):
                    raise
                paths = {}
        absent = [file for file in self.files if file.name not in paths]
        if not all(file.urls for file in absent):
            raise DataError(self._missing(paths, data_dir))
        with staging(target) as folder:
            fresh = {file.name: download(file, folder, target) for file in absent}
            self._read(paths | fresh)
            for path in fresh.values():
                os.replace(path, target / path.name)
        return target

    def _find(self, data_dir: Path | str | None) -> dict[str, Path]:
        folders = [root / self.folder for root in search_roots(data_dir)]
        found = {file.name: file.find(folders) for file in self.files}
        return {name: path for name, path in found.items() if path is not None}

    def _missing(self, paths: Mapping[str, Path], data_dir: Path | str | None) -> str:
        absent = [file for file in self.files if file.name not in paths]
        names = " and ".join(file.name for file in absent)
        places = " or ".join(str(root / self.folder) for root in search_roots(data_dir))
        route = f", or run `python -m benchmark data fetch {self.name}`" if all(file.urls for file in absent) else ""
        return (
            f"the data set {self.name!r} lacks {names} in {places}: put what is missing into the folder "
            f"{self.folder!r} of --data-dir or RECLUST_DATA{route}."
        )

    def _read(self, paths: Mapping[str, Path]) -> Raw:
        raw = self.parse(paths)
        place = _place(paths) or self.name
        if not raw.x.shape[0] == len(raw.y) == self.n_samples:
            raise DataError(
                f"{place}: {self.name!r} has {self.n_samples} samples, but the files hold {raw.x.shape[0]} "
                f"samples and {len(raw.y)} labels: replace them by the official files."
            )
        found = self.identify(raw, paths)
        if found != self.digest:
            raise DataError(
                f"{place}: {self.name!r} should have the digest {self.digest}, but the files give {found}: "
                "replace them by the official files."
            )
        return raw

    def _check_facts(self, raw: Raw) -> None:
        counts = tuple(int(count) for count in np.bincount(raw.y, minlength=self.n_clusters))
        if self.class_counts and counts != self.class_counts:
            raise DataError(f"{self.name!r} should have {self.class_counts} samples per class, but has {counts}.")
        if len(counts) != self.n_clusters or 0 in counts:
            raise DataError(f"{self.name!r} should have {self.n_clusters} classes, but has {counts} samples per class.")
        values = raw.x.data if isinstance(raw.x, sparse.csr_array) else raw.x
        low, high = float(np.min(values)), float(np.max(values))
        if not self.raw_range[0] <= low <= high <= self.raw_range[1]:
            raise DataError(f"{self.name!r} should have values in {self.raw_range}, but has {low} to {high}.")
        if raw.lengths is not None:
            steps = (int(raw.lengths.min()), int(raw.lengths.max()))
            if steps != self.lengths_range:
                raise DataError(f"{self.name!r} should have {self.lengths_range} steps, but has {steps}.")


def _place(paths: Mapping[str, Path]) -> Path | None:
    return next((path.parent for path in paths.values()), None)
