"""REUTERS-10K from the vector files of RCV1-v2, those that scikit-learn's `fetch_rcv1` downloads: other features.

Their weights are (1 + ln tf) idf with the idf of 23 149 training stories ("ltc"), where the papers weight counts of
tokens: a stand-in under its own name for those who cannot have the token files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmark.registry import register_dataset
from datasets.arrays import Raw
from datasets.formats.libsvm import read_libsvm_rows
from datasets.identity import HashedFiles, published_hash
from datasets.obtaining.files import OfficialFile
from datasets.rcv1 import MOST_STORIES, ROOTS, labels_of, root_topics
from datasets.rcv1_23405 import VOCABULARY
from datasets.reuters import CITATION, LICENCE, TOPICS
from datasets.term_weights import leading_features

VECTORS = OfficialFile(
    "lyrl2004_vectors_test_pt0.dat.gz",
    ("https://ndownloader.figshare.com/files/5976069",),
    "sha256:ed40f7e418d10484091b059703eeb95ae3199fe042891dcec4be6696b9968374",
    limit=2**29,
)

MOST_VALUES = 2**25
"""More than the file has (some 15 million)."""


@dataclass(frozen=True, kw_only=True)
class FirstVectors(HashedFiles):
    """The first stories of a vector file that have one root topic; as loaded, their leading features."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the weights (n, 47236) of the stories, and their labels."""
        topics = root_topics(paths[self.files[0].name], self.files[0].limit)
        file = self.files[1]
        x, numbers = read_libsvm_rows(paths[file.name], VOCABULARY, file.limit, MOST_STORIES, MOST_VALUES)
        rows = np.flatnonzero(np.isin(numbers, list(topics)))[: self.n_samples]
        return Raw(sparse.csr_array(x)[rows], labels_of(numbers[rows].astype(np.int64).tolist(), topics))

    def scale(self, x: sparse.csr_array) -> sparse.csr_array:
        """Return the 2000 features found in most of these stories, each row of length 1."""
        return leading_features(x, self.shape[0])


REUTERS10K_LTC = register_dataset(
    FirstVectors(
        name="reuters10k-ltc",
        title="REUTERS-10K from scikit-learn's vectors, the first 10 000 stories, 2000 tf-idf features",
        folder="rcv1",
        files=(TOPICS, VECTORS),
        shape=(2000,),
        class_counts=(),
        totals=(10_000, len(ROOTS)),
        class_names=ROOTS,
        raw_range=(0, 1),
        digest=published_hash((TOPICS, VECTORS)),
        licence=LICENCE,
        citation=CITATION,
        stand_in_for="reuters10k",
        note="Features are ltc weights of the vector files, not weights of token counts.",
    )
)
