"""MNIST: handwritten digits in 28x28 gray pixels.

Papers mean different parts of it (ledger C5): `mnist` is the training set, `mnist-test` the test set, and
`mnist-full` both, the training set first.
"""

from __future__ import annotations

from benchmark.registry import register_dataset
from datasets.idx_images import IdxImages, idx_file
from datasets.obtaining.files import OfficialFile

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
PUBLISHED = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FILES = tuple(
    idx_file(name, tuple(url + name for url in MIRRORS), f"sha256:{sha256}") for name, sha256 in PUBLISHED.items()
)
LICENCE = "CC BY-SA 3.0"
CITATION = "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998"
TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


def _part(
    name: str, title: str, files: tuple[OfficialFile, ...], class_counts: tuple[int, ...], digest: str
) -> IdxImages:
    return IdxImages(
        name=name,
        title=title,
        folder="mnist",
        files=files,
        shape=(1, 28, 28),
        class_counts=class_counts,
        digest=digest,
        licence=LICENCE,
        citation=CITATION,
    )


MNIST = register_dataset(
    _part(
        "mnist",
        "MNIST, training set",
        FILES[:2],
        TRAIN_COUNTS,
        "sha256:9e70b61b1999beb86e36815bad42015cefb379ba028f6103fe5d6f2e65fa64ba",
    )
)
MNIST_TEST = register_dataset(
    _part(
        "mnist-test",
        "MNIST, test set",
        FILES[2:],
        TEST_COUNTS,
        "sha256:1d16ec113d2ba5d1d4a0d5d52bad1180ebdc1bedb4cda88f9f0e3e20aa6baa6b",
    )
)
MNIST_FULL = register_dataset(
    _part(
        "mnist-full",
        "MNIST, training and test set",
        FILES,
        tuple(train + test for train, test in zip(TRAIN_COUNTS, TEST_COUNTS, strict=True)),
        "sha256:e26e37df1d4996e2647df0b7e75b9b917031f4a3208e0174a26d0fe737172567",
    )
)
