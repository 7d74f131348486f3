"""10x73k: 73 233 blood cells of eight sorted types, transcripts counted for the 720 genes that vary most.

The files are those that ClusterGAN's authors give out; the scaling is that of their code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.arrays import Array, Images, Labels, Raw
from datasets.cell_counts import log_scaled
from datasets.formats.matrix_market import read_matrix_market
from datasets.identity import FACTS, KnownByFacts
from datasets.obtaining.files import OfficialFile, damaged, read_decompressed

CELLS = {
    "CD19+ B": 10_085,
    "CD14+ Monocyte": 2612,
    "CD34+": 9232,
    "CD56+ NK": 8385,
    "CD4+/CD45RO+ Memory": 10_224,
    "CD8+/CD45RA+ Naive Cytotoxic": 11_953,
    "CD4+/CD45RA+/CD25- Naive T": 10_479,
    "CD4+/CD25 T Reg": 10_263,
}
"""Cells of each type as sequenced (Zheng et al., 2017), in the order of the labels in the file."""

NUMBERS = (0, 1, 2, 4, 6, 7, 8, 9)
"""What the types are called in the file; 3 and 5 are the two sorted types that were left out."""


def read_labels(path: Path, limit: int, most: int) -> Labels:
    """Return the labels 0..7 in the text file `path`, a number for each of at most `most` cells."""
    try:
        numbers = np.array([float(word) for word in read_decompressed(path, limit).split(None, most)])
    except ValueError:
        raise damaged(path, "a word is no number") from None
    if not np.isin(numbers, NUMBERS).all():
        raise damaged(path, f"labels should be among {', '.join(map(str, NUMBERS))}")
    return np.searchsorted(NUMBERS, numbers).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class GeneCounts(KnownByFacts):
    """Counts in a MatrixMarket file (cells, genes), and labels in a text file."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the counts (n, 720) as float32, and the types."""
        counts, labels = self.files
        x = read_matrix_market(paths[counts.name], (self.n_samples, self.shape[0]), counts.limit)
        return Raw(x.astype(np.float32), read_labels(paths[labels.name], labels.limit, self.n_samples))

    def scale(self, x: Array) -> Images:
        """Return log2(count + 1) over its maximum."""
        return log_scaled(x)


TENX_73K = register_dataset(
    GeneCounts(
        name="10x73k",
        title="10x73k, 73 233 sorted blood cells of 8 types, 720 genes",
        folder="10x_73k",
        files=(OfficialFile("sub_set-720.mtx", limit=2**30), OfficialFile("labels.txt", limit=2**23)),
        shape=(720,),
        class_counts=tuple(CELLS.values()),
        class_names=tuple(CELLS),
        raw_range=(0, 100_000),
        digest=f"{FACTS}73233 cells, 720 genes",
        licence="CC BY 4.0 (10x Genomics)",
        citation="Zheng et al., 2017; Mukherjee, Asnani, Lin, Kannan: ClusterGAN, AAAI 2019",
        note="The README of github.com/sudiptodip15/ClusterGAN links the files; no publisher gives a hash: the cells of"
        " each type are checked.",
    )
)
