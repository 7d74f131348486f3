"""Every parser of data files that downloads meet, with a small file that it reads."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from datasets.formats.idx import read_idx
from datasets.formats.matfile import read_mat
from datasets.formats.matrix_market import read_matrix_market
from datasets.obtaining.archives import read_npz
from datasets.rcv1 import count_words, root_topics, stories
from datasets.spoken_arabic_digits import read_utterances
from datasets.tenx_73k import read_labels
from datasets.usps import read_libsvm
from tests.support import data_files as made

LIMIT = 2**20


def all_stories(path: Path) -> Any:
    return count_words((text for _, text in stories(path, LIMIT)), 10)


def small_mat() -> bytes:
    stream = io.BytesIO()
    cells = np.array([[np.ones((2, 2)), np.zeros((1, 3), np.uint8)]], dtype=object)
    scipy.io.savemat(stream, {"x": cells, "s": {"labels": np.arange(3.0)}, "e": scipy.sparse.eye_array(3)})
    return stream.getvalue()


Parser = Callable[[Path], Any]
PARSERS: dict[str, tuple[str, Parser, bytes]] = {
    "idx": ("a.gz", lambda path: read_idx(path, 3, LIMIT), gzip.compress(made.idx(made.MNIST_X[:2, :4, :4].copy()))),
    "idx plain": ("a", lambda path: read_idx(path, 3, LIMIT), made.idx(made.MNIST_X[:2, :4, :4].copy())),
    "libsvm": ("a", lambda path: read_libsvm(path, 4, 3, LIMIT, 2**16), b"1 1:0.5 2:-1 4:0.25 \n3 3:1\n2\n"),
    "uci": ("a.txt", lambda path: read_utterances(path, 3, LIMIT, (100, 10)), b"  \n1 2 3\n-4.5 5 6e-1\n \n7 8 9\n"),
    "mat": ("a.mat", lambda path: read_mat(path, ["x", "s", "e"], LIMIT, sparse=True), small_mat()),
    "tokens": ("a", all_stories, b".I 1\n.W\nword word other\nmore\n\n.I 2\n.W\nagain word\n\n"),
    "topics": ("a", lambda path: root_topics(path, LIMIT), b"CCAT 1 1\nC15 1 1\nGCAT 2 1\n"),
    "matrix market": (
        "a.mtx",
        lambda path: read_matrix_market(path, (3, 2), LIMIT),
        b"%%MatrixMarket matrix coordinate real general\n%\n3 2 2\n1 1 0.5\n3 2 4\n",
    ),
    "matrix market array": (
        "a.mtx",
        lambda path: read_matrix_market(path, (3, 2), LIMIT),
        b"%%MatrixMarket matrix array integer general\n3 2\n1\n2\n3\n4\n5\n6\n",
    ),
    "labels": ("a", lambda path: read_labels(path, LIMIT, 100), b"0\n9\n4\n"),
    "npz": ("a.npz", lambda path: read_npz(path, ["x", "y"], LIMIT), made.npz(x=np.eye(3), y=np.arange(3))),
}
"""By the name of a format: the name of a file, what parses it, and the content of a good one."""
