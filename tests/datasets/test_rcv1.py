"""Token files as streams: cut anywhere, counted in blocks, the same as scikit-learn's counts of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from benchmark.errors import DataError
from benchmark.registry import DATASETS
from datasets import rcv1
from tests.support import data_files as made

TEXTS = list(made.TEXTS.values())


@pytest.mark.parametrize("block", [1, 50, 10**6])
@pytest.mark.parametrize("most", [1, 7, 20, 10_000])
def test_counts_are_those_of_scikit_learn_whatever_the_blocks(
    block: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rcv1, "BLOCK", block)
    expected = CountVectorizer(max_features=most).fit_transform(TEXTS).toarray()
    found = rcv1.count_words(iter(TEXTS), most)
    assert found.shape == expected.shape and found.indices.dtype == np.int32
    np.testing.assert_array_equal(found.toarray(), expected)


def test_a_word_that_is_there_more_than_65535_times_is_counted_in_full() -> None:
    assert rcv1.count_words(["ab " * 70_000 + "cd", "cd"], 5).toarray().tolist() == [[70_000, 1], [0, 1]]


def test_texts_without_words_are_rows_of_zeros() -> None:
    assert rcv1.count_words(["a b c", "word", ""], 5).toarray().tolist() == [[0], [1], [0]]


@pytest.mark.parametrize("chunk", [1, 3, 50, 2**20])
def test_stories_are_whole_wherever_the_stream_is_cut(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rcv1, "CHUNK", chunk)
    (tmp_path / "a").write_bytes(made.tokens(list(made.TEXTS)[:40]))
    found = dict(rcv1.stories(tmp_path / "a", 10**6))
    assert list(found) == list(made.TEXTS)[:40]
    assert all(text.split() == made.TEXTS[number].split() for number, text in found.items())


def test_a_story_without_end_is_refused_before_it_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rcv1, "LONGEST_STORY", 1000)
    monkeypatch.setattr(rcv1, "CHUNK", 100)
    (tmp_path / "a").write_bytes(b".I 1\n.W\n" + b"word " * 10_000)
    with pytest.raises(DataError, match="longer than 1000 bytes"):
        list(rcv1.stories(tmp_path / "a", 10**6))


def test_a_token_file_of_more_bytes_than_it_may_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(made.tokens(list(made.TEXTS)))
    with pytest.raises(DataError, match="more than the 100 bytes"):
        list(rcv1.stories(tmp_path / "a", 100))


def test_only_stories_with_exactly_one_root_topic_are_kept(tmp_path: Path) -> None:
    lines = "C15 1 1\nCCAT 1 1\nMCAT 2 1\nGCAT 2 1\nECAT 3 1\nE11 4 1\nGCAT 5 1\n"
    (tmp_path / "a").write_text(lines)
    assert rcv1.root_topics(tmp_path / "a", 1000) == {1: 0, 3: 3, 5: 1}


@pytest.mark.data
def test_the_first_stories_are_those_of_the_whole_set_in_its_order_with_features_of_their_own() -> None:
    status = DATASETS["rcv1-10000"].status()
    if status.state == "missing":
        pytest.skip(status.detail)
    whole, first = DATASETS["rcv1-23405"].load(), DATASETS["rcv1-10000"].load()
    np.testing.assert_array_equal(first.y, whole.y[:10_000])
    assert first.x.shape == (10_000, 2000)
    np.testing.assert_allclose(first.x.multiply(first.x).sum(axis=1), 1, rtol=1e-5)
