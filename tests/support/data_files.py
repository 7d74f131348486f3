"""Small data sets in official formats, built here: for every kind of source, one that reads them, and its files."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image
from scipy import sparse

import datasets
from benchmark.registry import DATASETS
from datasets.arrays import array_digest
from datasets.base import Source

datasets.load_dataset("digits")  # registers all

RANDOM = np.random.default_rng(5)
Files = dict[str, bytes]


def put(root: Path, source: Source, files: Files) -> Path:
    """Write the files of a source to their sub-folder of `root`, and return `root`."""
    (root / source.folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / source.folder / name).write_bytes(content)
    return root


def small(name: str, **facts: Any) -> Source:
    """Return the registered source `name` with the facts of a small data set, pinned to whatever it parses."""
    source = DATASETS[name]
    assert isinstance(source, Source)
    return replace(source, **facts)


def pinned(source: Source, root: Path) -> Source:
    """Return `source` with the digest of what it finds in `root`."""
    paths = {file.name: file.find([root / source.folder]) for file in source.files}
    found = {name: path for name, path in paths.items() if path is not None}
    return replace(source, digest=source.identify(source.parse(found), found))


def mat(**variables: Any) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=True)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def zipped(members: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def cells(*values: Any) -> np.ndarray:
    row = np.empty((1, len(values)), dtype=object)
    row[0, :] = values
    return row


# House numbers: X (height, width, 3, n), y (n, 1) with 10 for the digit 0.

NUMBERS = RANDOM.integers(0, 256, (32, 32, 3, 12), dtype=np.uint8)
DIGITS = np.array([10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1], dtype=np.uint8)[:, None]
SVHN = small("svhn", class_counts=(2, 2, 1, 1, 1, 1, 1, 1, 1, 1))
SVHN_FILES = {
    "train_32x32.mat": mat(X=NUMBERS[..., :7], y=DIGITS[:7]),
    "test_32x32.mat": mat(X=NUMBERS[..., 7:], y=DIGITS[7:]),
}

# Faces: a cell of (112, 92, images) for each person, or a folder of PGM files for each.

FACES = [RANDOM.integers(0, 256, (2 + person % 2, 112, 92), dtype=np.uint8) for person in range(20)]
UMIST = small("umist", class_counts=(2, 3) * 10)
UMIST_MAT = {"umist_cropped.mat": mat(facedat=cells(*(np.moveaxis(images, 0, 2) for images in FACES)))}


def pgm(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PPM")
    return stream.getvalue()


UMIST_ZIP = {
    "umist_cropped_pgm_575.zip": zipped(
        {
            f"umist/1{letter}/1{letter}{number:03}.pgm": pgm(image)
            for letter, images in zip("abcdefghijklmnopqrst", FACES, strict=True)
            for number, image in enumerate(images)
        }
    )
}

# Trajectories: cells (3, steps); the labels are a field of a structure.

LETTERS = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 20]], dtype=float)
STEPS = [109, 198, *range(120, 131)]
PATHS = [RANDOM.normal(size=(3, steps)) for steps in STEPS]
CHARACTERS = small("character-trajectories", totals=(11, 10))
CHARACTERS_FILES = {
    "mixoutALL_shifted.mat": mat(
        mixout=cells(*PATHS), consts={"charlabels": LETTERS, "key": cells(*"abcdeghlmnopqrsuvwyz"), "ra": 0.5}
    )
}
CHARTRAJ = small("chartraj-1607", class_counts=(1,) * 20, shape=(7, 3), lengths_range=(4, 7))
CHARTRAJ_LENGTHS = np.resize([4, 7, 5], 20).astype(np.int16)
CHARTRAJ_X = np.where(np.arange(7)[:, None] < CHARTRAJ_LENGTHS[:, None, None], RANDOM.normal(size=(20, 7, 3)), 0)
CHARTRAJ_FILES = {
    "chartraj_labelled_1607.npz": npz(
        x=CHARTRAJ_X.astype(np.float32), length=CHARTRAJ_LENGTHS, y=np.arange(1, 21, dtype=np.uint8)
    )
}

# Spoken digits: a line of 13 numbers for each step, a blank line before each utterance.

UTTERANCES = [RANDOM.normal(size=(4 + 89 * (number == 3) + number % 4, 13)).round(5)[:93] for number in range(30)]
ARABIC = small("spoken-arabic-digits", class_counts=(3,) * 10)


def utterances(values: list[np.ndarray]) -> bytes:
    blocks = ["\n".join(" ".join(f"{value:g}" for value in step) for step in block) for block in values]
    return "".join(f"            \n{block}\n" for block in blocks).encode()


ARABIC_FILES = {
    "Train_Arabic_Digit.txt.xz": lzma.compress(utterances(UTTERANCES[:20])),
    "Test_Arabic_Digit.txt": utterances(UTTERANCES[20:]),
}

# Stories: topics, and tokens in five files.

WORDS = np.array([f"{first}{second}word" for first in "abcdefghij" for second in "klmnop"] + ["x", "u.s", "don't"])


def stories(count: int = 200) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Return the texts and topics of stories, from 2286 on, some with several root topics or none."""
    random = np.random.default_rng(1)
    roots = ["CCAT", "GCAT", "MCAT", "ECAT"]
    texts, topics = {}, {}
    for number in range(2286, 2286 + count):
        words = WORDS[random.zipf(1.3, size=random.integers(5, 40)) % len(WORDS)]
        texts[number] = "\n".join(" ".join(part) for part in np.array_split(words, 3)) + "\n"
        topics[number] = [roots[number % 4]] + (["C15"] if number % 3 else []) + (["GCAT"] if number % 20 == 4 else [])
    topics[2286] = ["C11"]
    return texts, topics


TEXTS, TOPICS = stories()
NEWS = {number: ["CCAT", "GCAT", "MCAT", "ECAT"].index(topics[0]) for number, topics in TOPICS.items()
        if topics[0] != "C11" and sum(topic.endswith("CAT") for topic in topics) == 1}  # fmt: skip


def tokens(numbers: list[int]) -> bytes:
    return "".join(f".I {number}\n.W\n{TEXTS[number]}\n" for number in numbers).encode()


TOPIC_LINES = "".join(f"{topic} {number} 1\n" for number, topics in TOPICS.items() for topic in topics).encode()
PARTS = np.array_split(np.array(sorted(TEXTS)), 5)
REUTERS_FILES = {"rcv1-v2.topics.qrels.gz": gzip.compress(TOPIC_LINES)} | {
    f"lyrl2004_tokens_{part}.dat.gz": gzip.compress(tokens(numbers.tolist()))
    for part, numbers in zip(("test_pt0", "test_pt1", "test_pt2", "test_pt3", "train"), PARTS, strict=True)
}
REUTERS = small("reuters", class_counts=(30,) * 4, shape=(20,), stories=len(NEWS))
REUTERS10K = small("reuters10k", totals=(50, 4), shape=(20,), stories=len(NEWS))
REUTERS10K_RANDOM = small("reuters10k-random", totals=(50, 4), shape=(20,), stories=len(NEWS))

# Vectors of stories: LIBSVM lines, the number of the story in place of a label.

WEIGHTS = sparse.random_array((len(TEXTS), 47_236), density=0.001, rng=RANDOM, format="csr")
REUTERS_LTC = small("reuters10k-ltc", totals=(50, 4), shape=(30,))
REUTERS_LTC_FILES = {
    "rcv1-v2.topics.qrels.gz": REUTERS_FILES["rcv1-v2.topics.qrels.gz"],
    "lyrl2004_vectors_test_pt0.dat.gz": gzip.compress(
        "".join(
            f"{number}  {' '.join(f'{column + 1}:{value:.9f}' for column, value in zip(*entries, strict=True))}\n"
            for number, entries in zip(
                sorted(TEXTS),
                ((WEIGHTS[[row]].indices, WEIGHTS[[row]].data) for row in range(len(TEXTS))),
                strict=True,
            )
        ).encode()
    ),
}

# Cells: counts in MatrixMarket form, and a number for each cell.

COUNTS = RANDOM.poisson(0.4, size=(16, 720))
TYPES = np.array([0, 1, 2, 4, 6, 7, 8, 9] * 2)
TENX = small("10x73k", class_counts=(2,) * 8)


def matrix_market(matrix: Any) -> bytes:
    stream = io.BytesIO()
    scipy.io.mmwrite(stream, matrix)
    return stream.getvalue()


TENX_FILES = {
    "sub_set-720.mtx": matrix_market(sparse.coo_array(COUNTS)),
    "labels.txt": "".join(f"{label}\n" for label in TYPES).encode(),
}

# Digits: IDX.


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


MNIST_X, MNIST_Y = RANDOM.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.resize(np.arange(10, dtype=np.uint8), 60)
ZERO_TO_THREE = small("mnist-0-3", class_counts=(4, 4, 4, 4))
MNIST_FILES = {"train-images-idx3-ubyte.gz": gzip.compress(idx(MNIST_X)), "train-labels-idx1-ubyte": idx(MNIST_Y)}

SOURCES: dict[str, tuple[Source, Files]] = {
    "svhn": (SVHN, SVHN_FILES),
    "umist mat": (UMIST, UMIST_MAT),
    "umist zip": (UMIST, UMIST_ZIP),
    "character-trajectories": (CHARACTERS, CHARACTERS_FILES),
    "chartraj-1607": (CHARTRAJ, CHARTRAJ_FILES),
    "spoken-arabic-digits": (ARABIC, ARABIC_FILES),
    "reuters": (REUTERS, REUTERS_FILES),
    "reuters10k": (REUTERS10K, REUTERS_FILES),
    "reuters10k-random": (REUTERS10K_RANDOM, REUTERS_FILES),
    "reuters10k-ltc": (REUTERS_LTC, REUTERS_LTC_FILES),
    "10x73k": (TENX, TENX_FILES),
    "mnist-0-3": (ZERO_TO_THREE, MNIST_FILES),
}
"""Every kind of source with its files."""

__all__ = ["SOURCES", "array_digest", "pinned", "put"]
