"""The files of RCV1-v2: topics of stories, tokens of stories, read as streams.

A topic file has a line ``TOPIC STORY 1`` for each topic of a story. A token file has, for each story, a line
``.I STORY``, a line ``.W``, and lines of stemmed words.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from benchmark.errors import DataError
from datasets.arrays import Array, Labels
from datasets.obtaining.files import CHUNK, DAMAGE, damaged, decompressed, read_lines, too_large
from datasets.term_weights import frequent_terms

ROOTS = ("CCAT", "GCAT", "MCAT", "ECAT")
"""The root topics in the order of Xie et al.: corporate/industrial, government/social, markets, economics."""

WORD = re.compile(r"\b\w\w+\b")
"""What scikit-learn's CountVectorizer counts as a word."""

LONGEST_STORY = 2**20
MOST_STORIES = 2**20
"""More than RCV1-v2 has (804 414)."""
MOST_TOPICS = 2**22
"""More lines than its topic file has (2.6 million)."""
MOST_WORDS = 2**21
"""More different words than its tokens are (less than .3 million)."""
MOST_COUNTS = 2**27
"""More words in all stories, each counted once in a story, than there are (some 60 million)."""
BLOCK = 2**22
"""Counts gathered before they are packed: few enough to be small, enough to make packing rare."""


class Block(NamedTuple):
    """Counts of some stories: words and how often each is there, story after story; how many words each story has."""

    words: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.int64]


def root_topics(path: Path, limit: int) -> dict[int, int]:
    """Return the root topic, 0..3, of every story in the topic file `path` that has exactly one."""
    found: dict[int, int] = {}
    for line in read_lines(path, limit, MOST_TOPICS, 256):
        words = line.split()
        try:
            topic, story = words[0].decode("ascii"), int(words[1])
        except (IndexError, ValueError):
            raise damaged(path, "a line is not TOPIC STORY 1") from None
        if topic in ROOTS:
            found[story] = ROOTS.index(topic) if story not in found else -1
            if len(found) > MOST_STORIES:
                raise damaged(path, f"it names more than {MOST_STORIES} stories")
    return {story: root for story, root in found.items() if root >= 0}


def stories(path: Path, limit: int) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every story in the token file `path`, which is read bit by bit.

    Raises
    ------
    DataError
        If it is damaged, not in the format of token files, or larger than `limit` when decompressed.
    """
    rest = b"\n"
    for chunk in _chunks(path, limit):
        *whole, rest = (rest + chunk).split(b"\n.I ")
        yield from (_story(path, text) for text in whole if text.strip())
        if len(rest) > LONGEST_STORY:
            raise damaged(path, f"a story is longer than {LONGEST_STORY} bytes")
        rest = b"\n.I " + rest if whole else rest
    if rest.strip():
        yield _story(path, rest.removeprefix(b"\n.I "))


def _story(path: Path, text: bytes) -> tuple[int, str]:
    number, _, words = text.partition(b"\n")
    mark, _, words = words.partition(b"\n")
    if not number.strip().isdigit() or len(number) > 20 or mark.strip() != b".W":
        raise damaged(path, "a story does not begin with .I, its number, and .W")
    try:
        return int(number), words.decode("ascii")
    except UnicodeDecodeError:
        raise damaged(path, f"the story {int(number)} is no text") from None


def _chunks(path: Path, limit: int) -> Iterator[bytes]:
    left = limit
    with decompressed(path) as stream:
        while chunk := _chunk(path, stream):
            left -= len(chunk)
            if left < 0:
                raise too_large(path, limit)
            yield chunk


def _chunk(path: Path, stream: IO[bytes]) -> bytes:
    try:
        return stream.read(CHUNK)
    except DAMAGE as error:
        raise damaged(path, error) from None


def count_words(texts: Iterable[str], most: int) -> sparse.csr_array:
    """Return how often each text has each of the `most` words that are the most frequent in all texts, (n, most).

    Equals scikit-learn's CountVectorizer with `max_features`, with memory for 6 bytes instead of a Python object for
    each count. Words are in alphabetical order. DataError for more words than there can be.
    """
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    words, counts, lengths = array("I"), array("I"), array("q")
    blocks: list[Block] = []
    counted_words = 0
    for text in texts:
        counted = Counter(WORD.findall(text.lower()))
        words.extend(map(vocabulary.__getitem__, counted))
        counts.extend(counted.values())
        lengths.append(len(counted))
        counted_words += len(counted)
        if len(vocabulary) > MOST_WORDS or counted_words > MOST_COUNTS:
            raise DataError(
                f"the stories have more than {MOST_WORDS} words, or {MOST_COUNTS} in all: take the official files."
            )
        if len(words) >= BLOCK:
            blocks.append(_packed(words, counts, lengths))
            words, counts, lengths = array("I"), array("I"), array("q")
    blocks.append(_packed(words, counts, lengths))
    totals = np.zeros(len(vocabulary), dtype=np.int64)
    for block in blocks:
        totals += np.bincount(block.words, weights=block.counts, minlength=len(totals)).astype(np.int64)
    ordered = np.array([vocabulary[word] for word in sorted(vocabulary)], dtype=np.int64)
    chosen = ordered[frequent_terms(totals[ordered], most)]
    place = np.full(len(totals), -1, dtype=np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    return _matrix(blocks, place, len(chosen))


def _packed(words: array[int], counts: array[int], lengths: array[int]) -> Block:
    values = np.frombuffer(counts, dtype=np.uint32)
    small = values.max(initial=0) < 2**16
    packed = values.astype(np.uint16) if small else values
    return Block(np.frombuffer(words, dtype=np.uint32), packed, np.frombuffer(lengths, dtype=np.int64))


def _matrix(blocks: list[Block], place: npt.NDArray[np.int32], width: int) -> sparse.csr_array:
    """Return the counts of the words that have a place; the blocks are used up on the way, to save their memory."""
    columns, values, lengths = [], [], []
    while blocks:
        block = blocks.pop(0)
        known = place[block.words]
        inside = known >= 0
        columns.append(known[inside])
        values.append(block.counts[inside])
        before = np.concatenate([[0], np.cumsum(inside)])
        ends = np.cumsum(block.lengths)
        lengths.append(before[ends] - before[ends - block.lengths])
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    index = np.int32 if starts[-1] < 2**31 else np.int64
    parts = (_joined(values), _joined(columns).astype(index, copy=False), starts.astype(index))
    matrix = sparse.csr_array(parts, shape=(len(starts) - 1, width))
    matrix.sort_indices()
    return matrix


def _joined(pieces: list[Array]) -> Array:
    """Return the pieces as one array, and let go of them."""
    joined = np.concatenate(pieces)
    pieces.clear()
    return joined


def labels_of(numbers: Iterable[int], topics: dict[int, int]) -> Labels:
    """Return the root topics of stories as labels."""
    return np.array([topics[number] for number in numbers], dtype=np.int64)
