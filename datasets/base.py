"""What a data set is (`Dataset`), what identifies it (`array_digest`), and what each file here declares (`Source`)."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.registry import DataError, DataStatus, UsageError
from datasets.download import download, staging
from datasets.files import OfficialFile, cache_root, probe, search_roots
from datasets.preprocessing import apply_steps

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Raw(NamedTuple):
    """The arrays as parsed, before scaling: `x` (n, ...) in the official type, `y` (n,) labels 0..k-1."""

    x: npt.NDArray[np.generic]
    y: Labels


def array_digest(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> str:
    """Return the SHA-256 over type, shape and little-endian bytes of both arrays, as ``sha256:...``.

    It depends on the values alone: not on compression, container, memory layout or byte order.

    >>> x, y = np.arange(6, dtype=">i4").reshape(2, 3), np.arange(2)
    >>> array_digest(x, y) == array_digest(x.astype("<i4"), y)
    True
    """
    digest = hashlib.sha256()
    for array in (x, y):
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}({','.join(map(str, little.shape))})".encode())
        digest.update(little.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"


def subset_indices(name: str, n: int, samples: int) -> npt.NDArray[np.int64]:
    """Return `samples` of the indices 0..n-1, uniformly drawn, sorted; those of fewer samples are among those of more.

    The draw depends on the name of the data set alone: neither on labels nor on the replicate.
    """
    seed = int.from_bytes(hashlib.sha256("\x1f".join((name, "subset")).encode()).digest(), "big")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    return np.sort(order[:samples])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    x
        Samples, float32. As loaded: in [0, 1], images as (n, channels, height, width).
    y
        Labels, int64 (n,), in 0..n_clusters-1.
    n_clusters
        The number of classes k of the whole data set (a small subset may lack some).
    digest
        What identifies the parsed files; the same for every subset and preprocessing.
    """

    name: str
    x: Images
    y: Labels
    n_clusters: int
    digest: str

    def prepare(self, preprocess: tuple[str, ...] = (), samples: int | None = None) -> Dataset:
        """Return the uniform label-free subset of at most `samples` samples, preprocessed step by step."""
        x, y = self.x, self.y
        if samples is not None and samples < 1:
            raise UsageError(f"a subset of {samples} samples is refused: ask for at least 1.")
        if samples is not None and samples < len(x):
            chosen = subset_indices(self.name, len(x), samples)
            x, y = x[chosen], y[chosen]
        return replace(self, x=apply_steps(x, preprocess), y=y)


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
        Shape of a sample as loaded.
    class_counts
        Number of samples of each class.
    raw_range
        Smallest and largest value that the parsed samples can have.
    stand_in_for
        The data set that this one replaces where that one cannot be had.
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
    stand_in_for: str | None = None

    @property
    def n_samples(self) -> int:
        """The number of samples."""
        return sum(self.class_counts)

    @property
    def n_clusters(self) -> int:
        """The number of classes."""
        return len(self.class_counts)

    @property
    def embedded(self) -> bool:
        """Whether the data set comes with an installed package and needs no file."""
        return not self.files

    @abstractmethod
    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the arrays in the files at `paths` (by official name), or raise DataError naming the wrong file."""

    @abstractmethod
    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return the parsed samples as float32 in [0, 1], each of the declared shape."""

    def identify(self, raw: Raw, paths: Mapping[str, Path]) -> str:
        """Return what must equal `digest`."""
        return array_digest(raw.x, raw.y)

    def load(self, data_dir: Path | str | None = None) -> Dataset:
        """Return the data set, its digest checked, or raise DataError; downloads nothing."""
        paths = self._find(data_dir)
        if len(paths) < len(self.files):
            raise DataError(self._missing(paths, data_dir))
        raw = self._read(paths)
        return Dataset(self.name, self.scale(raw.x), raw.y, self.n_clusters, self.digest)

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
        """Read the files, and check digest, counts, classes and value range against what is declared."""
        paths = self._find(data_dir)
        if len(paths) < len(self.files):
            return DataStatus("missing", self._missing(paths, data_dir))
        place = _place(paths)
        try:
            self._check_facts(self._read(paths))
        except DataError as error:
            return DataStatus("broken", str(error), place)
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
            fresh = {file.name: download(file, folder) for file in absent}
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
        if not len(raw.x) == len(raw.y) == self.n_samples:
            raise DataError(
                f"{place}: {self.name!r} has {self.n_samples} samples, but the files hold {len(raw.x)} "
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
        if counts != self.class_counts:
            raise DataError(f"{self.name!r} should have {self.class_counts} samples per class, but has {counts}.")
        low, high = float(np.min(raw.x)), float(np.max(raw.x))
        if not self.raw_range[0] <= low <= high <= self.raw_range[1]:
            raise DataError(f"{self.name!r} should have values in {self.raw_range}, but has {low} to {high}.")


def _place(paths: Mapping[str, Path]) -> Path | None:
    return next((path.parent for path in paths.values()), None)
