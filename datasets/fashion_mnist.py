"""Fashion-MNIST: articles of clothing in 28x28 gray pixels.

`fashion-mnist` is the training set, `fashion-mnist-full` the training and then the test set (ledger C5).
"""

from __future__ import annotations

from benchmark.registry import register_dataset
from datasets.files import OfficialFile
from datasets.idx import IdxImages

MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
PUBLISHED = {
    "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}
FILES = tuple(OfficialFile(name, tuple(url + name for url in MIRRORS), md5) for name, md5 in PUBLISHED.items())


def _part(name: str, title: str, files: tuple[OfficialFile, ...], per_class: int, digest: str) -> IdxImages:
    return IdxImages(
        name=name,
        title=title,
        folder="fashion_mnist",
        files=files,
        shape=(1, 28, 28),
        class_counts=(per_class,) * 10,
        digest=digest,
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST, a novel image dataset for benchmarking, arXiv 1708.07747, 2017",
    )


FASHION_MNIST = register_dataset(
    _part(
        "fashion-mnist",
        "Fashion-MNIST, training set",
        FILES[:2],
        6000,
        "sha256:44e4788819163e5436bbd55d9e03f0bea59ba6255bb642510bb3fd5d210bc55a",
    )
)
FASHION_MNIST_FULL = register_dataset(
    _part(
        "fashion-mnist-full",
        "Fashion-MNIST, training and test set",
        FILES,
        7000,
        "sha256:840d498d1f12805c0a85d0dda28f53c62164ce5d00759d11727af7fc6c5a40f8",
    )
)
