"""A stand-in for REUTERS-10K: the first 10 000 of the news stories of `rcv1-23405`, as IDEC's code takes the first.

Their 2000 features are those found in most of these stories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.registry import register_dataset
from datasets.arrays import Raw
from datasets.rcv1_23405 import RCV1_23405, StoryVectors


@dataclass(frozen=True, kw_only=True)
class FirstStories(StoryVectors):
    """The first stories of the file, in its order."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the weights (n, 47236) as integers, and their labels: C, E, G, M."""
        whole = RCV1_23405.parse(paths)
        return Raw(whole.x[: self.n_samples], whole.y[: self.n_samples])


RCV1_10000 = register_dataset(
    FirstStories(
        name="rcv1-10000",
        title="RCV1-v2, the first 10 000 stories of rcv1-23405, 2000 tf-idf features",
        folder=RCV1_23405.folder,
        files=RCV1_23405.files,
        shape=RCV1_23405.shape,
        class_counts=(4041, 792, 2233, 2934),
        class_names=RCV1_23405.class_names,
        raw_range=RCV1_23405.raw_range,
        digest="sha256:afcdd7bf7bbf2f4cfdd92340f45b756c9ff8a1c7ffea992a7be7a42aaf3c3f19",
        licence=RCV1_23405.licence,
        citation=RCV1_23405.citation,
        stand_in_for="reuters10k",
        note=RCV1_23405.note,
    )
)
