"""Reuters: news stories of RCV1-v2 with one of four root topics, as tf-idf features of the 2000 most frequent words.

Words are counted, and features weighted, over all such stories (Xie et al.; IDEC). `reuters` are 54 000 of each topic
(tkuco2024, ledger D11), `reuters10k` the first 10 000 of the files (IDEC's code, ledger I3) and `reuters10k-random` a
random 10 000 (Xie et al.).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from benchmark.registry import register_dataset
from datasets.arrays import Labels, Raw, drawn_order
from datasets.identity import FACTS, KnownByFacts
from datasets.obtaining.files import OfficialFile, damaged
from datasets.rcv1 import ROOTS, count_words, labels_of, root_topics, stories
from datasets.term_weights import Rows, sublinear_tfidf

JMLR = (
    "http://www.ai.mit.edu/projects/jmlr/papers/volume5/lewis04a/",
    "http://jmlr.csail.mit.edu/papers/volume5/lewis04a/",
)
TOPICS = OfficialFile(
    "rcv1-v2.topics.qrels.gz",
    (
        "https://ndownloader.figshare.com/files/5976048",
        *(f"{url}a08-topic-qrels/rcv1-v2.topics.qrels.gz" for url in JMLR),
    ),
    "sha256:2a98e5e5d8b770bded93afc8930d88299474317fe14181aee1466cc754d0d1c1",
    limit=2**27,
    other_names=("rcv1v2.topics.qrels.gz",),
)
PARTS = ("test_pt0", "test_pt1", "test_pt2", "test_pt3", "train")
TOKENS = tuple(
    OfficialFile(name, tuple(f"{url}a12-token-files/{name}" for url in JMLR), limit=2**30)
    for name in (f"lyrl2004_tokens_{part}.dat.gz" for part in PARTS)
)
STORIES = 685_071
"""Stories with exactly one of the four root topics (Xie et al., table 1)."""
LICENCE = "research use only (Reuters, through RCV1-v2)"
CITATION = "Lewis, Yang, Rose, Li: RCV1, a new benchmark collection for text categorization, JMLR 5, 2004"
UNPINNED = "no publisher gives a hash of the token files: the number of stories is checked."


@dataclass(frozen=True, kw_only=True)
class TokenStories(KnownByFacts):
    """Stories in token files and their topics; `selection` says which of those with one root topic are taken.

    `stories` is how many of these there are. As loaded, x is sparse, each row of length 1.
    """

    selection: Literal["balanced", "first", "random"]
    stories: int = STORIES

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the features (n, 2000) of the chosen stories in the order of the files, and their labels."""
        topics_file, *token_files = self.files
        topics = root_topics(paths[topics_file.name], topics_file.limit)
        numbers: list[int] = []

        def texts() -> Iterator[str]:
            for file in token_files:
                for number, text in stories(paths[file.name], file.limit):
                    if number in topics:
                        numbers.append(number)
                        if len(numbers) > self.stories:
                            raise damaged(paths[file.name], f"there are more than {self.stories} stories of one topic")
                        yield text

        counts = count_words(texts(), self.shape[0])
        if not len(set(numbers)) == len(numbers) == self.stories:
            first = paths[token_files[0].name].parent
            raise damaged(first, f"it holds {len(numbers)} stories of one root topic where {self.stories} should be")
        y = labels_of(numbers, topics)
        rows = self._rows(y)
        return Raw(sublinear_tfidf(counts, rows), y[rows])

    def scale(self, x: sparse.csr_array) -> sparse.csr_array:
        """Return the features as they are."""
        return x

    def _rows(self, y: Labels) -> Rows:
        if self.selection == "first":
            return np.arange(self.n_samples)
        order = drawn_order(self.name, self.selection, len(y))
        if self.selection == "random":
            return np.sort(order[: self.n_samples])
        drawn = [order[y[order] == label][:count] for label, count in enumerate(self.class_counts)]
        return np.sort(np.concatenate(drawn))


def _stories(
    name: str, title: str, selection: Literal["balanced", "first", "random"], counts: tuple[int, ...], note: str
) -> TokenStories:
    return TokenStories(
        name=name,
        title=title,
        folder="rcv1",
        files=(TOPICS, *TOKENS),
        shape=(2000,),
        class_counts=counts,
        totals=None if counts else (10_000, len(ROOTS)),
        class_names=ROOTS,
        raw_range=(0, 1),
        digest=f"{FACTS}{STORIES} stories, {selection}, tf-idf of 2000 words",
        selection=selection,
        licence=LICENCE,
        citation=CITATION,
        note=f"{note}; {UNPINNED}",
    )


REUTERS = register_dataset(
    _stories(
        "reuters",
        "Reuters (RCV1-v2), 54 000 stories of each root topic, 2000 tf-idf features",
        "balanced",
        (54_000,) * len(ROOTS),
        "the paper does not say which stories: they are drawn here, by topic, with a generator seeded by the name",
    )
)
REUTERS10K = register_dataset(
    _stories(
        "reuters10k",
        "REUTERS-10K, the first 10 000 stories as in IDEC's code, 2000 tf-idf features",
        "first",
        (),
        "IDEC's code permutes them afterwards, with the seed 1234 (D13), and the paper calls them random (I3)",
    )
)
REUTERS10K_RANDOM = register_dataset(
    _stories(
        "reuters10k-random",
        "REUTERS-10K, 10 000 random stories as in Xie et al., 2000 tf-idf features",
        "random",
        (),
        "drawn here with a generator seeded by the name",
    )
)
