"""Spoken Arabic Digits: ten digits said by 88 people, 13 mel-frequency cepstral coefficients at 4 to 93 steps.

The files are text: a line of 13 numbers for each step, a blank line before each utterance; a file holds the digits in
their order, as many utterances of each.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.arrays import Array, Lengths, Raw
from datasets.base import Source
from datasets.obtaining.files import OfficialFile, damaged, read_lines
from datasets.sequences import Values, as_loaded, padded

UCI = "https://archive.ics.uci.edu/"
MIRRORS = (f"{UCI}ml/machine-learning-databases/00195/", f"{UCI}static/public/195/spoken+arabic+digit.zip#")
PUBLISHED = {
    "Train_Arabic_Digit.txt": "sha256:cecd3ee9951658e5391f0342e9b6467ba7c0e7ecff5c9012b9c1ed9f81b97bc6",
    "Test_Arabic_Digit.txt": "sha256:de40eac66ce18fca8924bad592002ee7ef646fc84d48b065ce21ac9f88946922",
}

LONGEST_NUMBER = 64
"""Bytes that a number may take, with the space before it."""


def read_utterances(path: Path, width: int, limit: int, most: tuple[int, int]) -> list[Values]:
    """Return the utterances (steps, width) in the text file `path`, or raise DataError.

    There may be at most so many utterances, each of so many steps: a line of text is a whole padded utterance later.
    """
    utterances, longest = most
    values, ends, after_blank = array("d"), [0], False
    for line in read_lines(path, limit, utterances * (longest + 2), LONGEST_NUMBER * (width + 1)):
        words = line.split()
        if len(words) not in (0, width):
            raise damaged(path, f"a line has neither {width} numbers nor none")
        try:
            values.extend(map(float, words))
        except ValueError:
            raise damaged(path, "a word is no number") from None
        if words and (after_blank or ends == [0]):
            ends.append(ends[-1])
        ends[-1] += bool(words)
        after_blank = not words
        if len(ends) - 1 > utterances or ends[-1] - ends[-2:][0] > longest:
            raise damaged(path, f"there are more than {utterances} utterances, or one of more than {longest} steps")
    found = np.frombuffer(values, dtype=np.float64) if values else np.empty(0)
    if not len(found) or not (np.abs(found) < 1e6).all():
        raise damaged(path, "there are no numbers, or impossible ones")
    return np.split(found.astype(np.float32).reshape(-1, width), ends[1:-1])


@dataclass(frozen=True, kw_only=True)
class Utterances(Source):
    """Utterances in text files, joined in the order of `files`."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the coefficients (n, steps, 13) as float32, padded with zeros, the digits, and the lengths."""
        utterances: list[Values] = []
        labels: list[Lengths] = []
        for file in self.files:
            most = (self.n_samples, self.shape[0])
            found = read_utterances(paths[file.name], self.shape[1], file.limit, most)
            each, rest = divmod(len(found), self.n_clusters)
            if rest:
                raise damaged(paths[file.name], f"{len(found)} utterances, not as many of each digit")
            utterances += found
            labels.append(np.repeat(np.arange(self.n_clusters), each))
        x, lengths = padded(utterances, self.shape[0])
        return Raw(x, np.concatenate(labels).astype(np.int64), lengths)

    def scale(self, x: Array) -> Values:
        """Return the coefficients as they are."""
        return as_loaded(x)


SPOKEN_ARABIC_DIGITS = register_dataset(
    Utterances(
        name="spoken-arabic-digits",
        title="Spoken Arabic digits, training and test set",
        folder="spoken_arabic_digits",
        files=tuple(
            OfficialFile(name, tuple(url + name for url in MIRRORS), sha256, limit=2**26)
            for name, sha256 in PUBLISHED.items()
        ),
        shape=(93, 13),
        class_counts=(880,) * 10,
        raw_range=(-30, 30),
        lengths_range=(4, 93),
        digest="sha256:e547f22e0183e27d8655ac5842026b2e1af1a27b006683436a6678abf3d39b66",
        licence="CC BY 4.0",
        citation="Hammami, Bedda: Improved tree model for Arabic speech recognition, 2010; UCI data set 195",
    )
)
