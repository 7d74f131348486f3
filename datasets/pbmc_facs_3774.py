"""A stand-in for 10x73k: 3774 blood cells sorted by type, transcripts counted for 16 791 genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmark.registry import register_dataset
from datasets.arrays import Images, Raw
from datasets.base import Source
from datasets.cell_counts import log_scaled
from datasets.formats.sparse_npz import PARTS, csr
from datasets.obtaining.archives import read_npz
from datasets.obtaining.files import OfficialFile, damaged
from datasets.term_weights import frequent_terms

GENES = 16_791
CELLS = {
    "CD14+ Monocyte": 163,
    "CD19+ B": 767,
    "CD34+": 687,
    "CD4+ T Helper2": 252,
    "CD4+/CD25 T Reg": 205,
    "CD4+/CD45RA+/CD25- Naive T": 191,
    "CD4+/CD45RO+ Memory": 234,
    "CD56+ NK": 673,
    "CD8+ Cytotoxic T": 370,
    "CD8+/CD45RA+ Naive Cytotoxic": 232,
}
"""The types in alphabetical order, and how many cells there are of each."""


@dataclass(frozen=True, kw_only=True)
class SortedCells(Source):
    """Counts of all genes; as loaded, those of the genes that vary most, scaled as 10x73k."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the counts (n, 16791), and the labels: the types in the order of `class_names`."""
        path = paths[self.files[0].name]
        arrays = read_npz(path, ("data", "celltype", *PARTS), self.files[0].limit)
        types = arrays["celltype"]
        if types.shape != (self.n_samples,) or types.dtype.kind != "U":
            raise damaged(path, f"celltype should name {self.n_samples} types")
        y = np.searchsorted(self.class_names, types).clip(max=self.n_clusters - 1)
        if (np.array(self.class_names)[y] != types).any():
            raise damaged(path, "celltype names a type that it should not")
        return Raw(csr(path, arrays, "data", (self.n_samples, GENES)), y.astype(np.int64))

    def scale(self, x: sparse.csr_array) -> Images:
        """Return log2(count + 1) over its maximum for the 720 genes whose counts vary most."""
        counts = x.astype(np.float64)
        means = counts.mean(axis=0)
        variances = counts.multiply(counts).mean(axis=0) - means**2
        return log_scaled(x[:, frequent_terms(variances, self.shape[0])].toarray())


PBMC_FACS_3774 = register_dataset(
    SortedCells(
        name="pbmc-facs-3774",
        title="3774 sorted blood cells of 10 types, 720 genes",
        folder="tenx_pbmc",
        files=(OfficialFile("pbmc_facs_3774.npz", limit=2**26),),
        shape=(720,),
        class_counts=tuple(CELLS.values()),
        class_names=tuple(CELLS),
        raw_range=(1, 135),
        digest="sha256:15fae7cef82eb76239fcffbc881414a98b327de86807d389a0aee2e7c1f790f6",
        licence="BSD-2 (as packed by fastTopics)",
        citation="Zheng et al.: Massively parallel digital transcriptional profiling of single cells, 2017",
        stand_in_for="10x73k",
        note="All ten sorted types (10x73k has eight) and a twentieth of the cells; the 720 genes are chosen here.",
    )
)
