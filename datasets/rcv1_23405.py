"""A stand-in for Reuters: 23 405 news stories of RCV1-v2 with one of the four root topics.

The values are the cosine-normalised tf-idf weights of the official vector files, in millionths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmark.registry import register_dataset
from datasets.arrays import Raw
from datasets.base import Source
from datasets.formats.sparse_npz import PARTS, csr
from datasets.obtaining.archives import read_npz
from datasets.obtaining.files import OfficialFile, damaged
from datasets.term_weights import leading_features

VOCABULARY = 47_236


@dataclass(frozen=True, kw_only=True)
class StoryVectors(Source):
    """Weights of all terms in millionths; as loaded, the leading features with rows scaled to length 1 again."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the weights (n, 47236) as integers, and their labels: C, E, G, M."""
        path = paths[self.files[0].name]
        arrays = read_npz(path, ("data_micro", "y", *PARTS), self.files[0].limit)
        y = arrays["y"]
        if y.shape != (self.n_samples,) or y.dtype.kind not in "iu":
            raise damaged(path, f"y should hold {self.n_samples} labels, but has the shape {y.shape} of {y.dtype}")
        return Raw(csr(path, arrays, "data_micro", (self.n_samples, VOCABULARY)), y.astype(np.int64))

    def scale(self, x: sparse.csr_array) -> sparse.csr_array:
        """Return the 2000 features found in most stories, each row of length 1."""
        return leading_features(x, self.shape[0])


RCV1_23405 = register_dataset(
    StoryVectors(
        name="rcv1-23405",
        title="RCV1-v2, 23 405 stories of one root topic, 2000 tf-idf features",
        folder="rcv1_23405",
        files=(OfficialFile("rcv1_4class.npz", limit=2**26),),
        shape=(2000,),
        class_counts=(9613, 1909, 5240, 6643),
        class_names=("corporate/industrial", "economics", "government/social", "markets"),
        raw_range=(1, 1_000_000),
        digest="sha256:89b949f53a6fce9b7d1339af162ed0639edb41d93c8571b79d8e64323d79bc2c",
        licence="research use only (Reuters, through the RCV1-v2 vector files)",
        citation="Lewis, Yang, Rose, Li: RCV1, a new benchmark collection for text categorization, JMLR 5, 2004",
        stand_in_for="reuters",
        note="Features are ltc weights of the vector files, not weights of token counts; the classes are not balanced.",
    )
)
