"""Fashion-MNIST: articles of clothing in 28x28 gray pixels.

`fashion-mnist` is the training set, `fashion-mnist-full` the training and then the test set (ledger C5).
"""

from __future__ import annotations

from benchmark.registry import register_dataset
from datasets.idx_images import IdxImages, idx_file
from datasets.obtaining.files import OfficialFile

MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
PUBLISHED = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
FILES = tuple(
    idx_file(name, tuple(url + name for url in MIRRORS), f"sha256:{sha256}") for name, sha256 in PUBLISHED.items()
)
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _part(name: str, title: str, files: tuple[OfficialFile, ...], per_class: int, digest: str) -> IdxImages:
    return IdxImages(
        name=name,
        title=title,
        folder="fashion_mnist",
        files=files,
        shape=(1, 28, 28),
        class_counts=(per_class,) * 10,
        class_names=CLASSES,
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
