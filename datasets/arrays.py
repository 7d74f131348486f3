"""What a data set is in memory (`Dataset`), and what identifies its arrays (`array_digest`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from benchmark.errors import UsageError
from datasets.preprocessing import apply_steps

Array = npt.NDArray[Any]
Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int64]
Samples = Images | sparse.csr_array


class Raw(NamedTuple):
    """The arrays as parsed, before scaling.

    `x` (n, ...) in the official type, or a sparse matrix (n, d); `y` (n,) labels 0..k-1; `lengths` (n,) the steps of
    each sequence, where `x` holds sequences padded with zeros.
    """

    x: Array | sparse.csr_array
    y: Labels
    lengths: Lengths | None = None

    def arrays(self) -> list[Array]:
        """Return all arrays that say what the data are, in a fixed order."""
        return [*parts(self.x), self.y, *([] if self.lengths is None else [self.lengths])]


def parts(x: Array | sparse.csr_array) -> list[Array]:
    """Return the arrays of which `x` consists: itself, or the four of a sparse matrix in its canonical form."""
    if not isinstance(x, sparse.csr_array):
        return [x]
    return [x.data, x.indices.astype(np.int64), x.indptr.astype(np.int64), np.array(x.shape, dtype=np.int64)]


def array_digest(*arrays: Array) -> str:
    """Return the SHA-256 over type, shape and little-endian bytes of all arrays, as ``sha256:...``.

    It depends on the values alone: not on compression, container, memory layout or byte order.

    >>> x, y = np.arange(6, dtype=">i4").reshape(2, 3), np.arange(2)
    >>> array_digest(x, y) == array_digest(x.astype("<i4"), y)
    True
    """
    digest = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}({','.join(map(str, little.shape))})".encode())
        digest.update(little.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"


def drawn_order(name: str, purpose: str, n: int) -> npt.NDArray[np.int64]:
    """Return a random order of 0..n-1 that depends on the name of the data set and the purpose alone."""
    seed = int.from_bytes(hashlib.sha256("\x1f".join((name, purpose)).encode()).digest(), "big")
    return np.random.Generator(np.random.PCG64(seed)).permutation(n)


def subset_indices(name: str, n: int, samples: int) -> npt.NDArray[np.int64]:
    """Return `samples` of the indices 0..n-1, uniformly drawn, sorted; those of fewer samples are among those of more.

    The draw depends on the name of the data set alone: neither on labels nor on the replicate.
    """
    return np.sort(drawn_order(name, "subset", n)[:samples])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    x
        Samples, float32. As loaded: images (n, channels, height, width) in [0, 1]; vectors (n, d), dense or as a
        sparse matrix; sequences (n, steps, values), each padded with zeros to the longest. `prepare` gives dense ones.
    y
        Labels, int64 (n,), in 0..n_clusters-1.
    n_clusters
        The number of classes k of the whole data set (a small subset may lack some).
    digest
        What identifies the parsed files; the same for every subset and preprocessing.
    lengths
        Of sequences: the steps of each before the padding, int64 (n,).
    """

    name: str
    x: Samples
    y: Labels
    n_clusters: int
    digest: str
    lengths: Lengths | None = None

    def prepare(self, preprocess: tuple[str, ...] = (), samples: int | None = None) -> Dataset:
        """Return the uniform label-free subset of at most `samples` samples, dense, preprocessed step by step."""
        x, y, lengths = self.x, self.y, self.lengths
        if samples is not None and samples < 1:
            raise UsageError(f"a subset of {samples} samples is refused: ask for at least 1.")
        if samples is not None and samples < len(y):
            chosen = subset_indices(self.name, len(y), samples)
            x, y = x[chosen], y[chosen]
            lengths = None if lengths is None else lengths[chosen]
        dense = x.toarray() if isinstance(x, sparse.csr_array) else x
        return replace(self, x=apply_steps(dense, preprocess), y=y, lengths=lengths)
