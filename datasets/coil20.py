"""COIL-20: 20 objects in 72 poses, 128x128 gray pixels, from the official archive of processed images."""

from __future__ import annotations

from benchmark.registry import register_dataset
from datasets.coil import CoilArchive
from datasets.obtaining.files import OfficialFile

MIRRORS = (
    "https://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-20/",
    "http://www1.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-20/",
)

COIL20 = register_dataset(
    CoilArchive(
        name="coil-20",
        title="COIL-20",
        folder="coil20",
        files=(OfficialFile("coil-20-proc.zip", tuple(url + "coil-20-proc.zip" for url in MIRRORS), limit=2**27),),
        shape=(1, 128, 128),
        class_counts=(72,) * 20,
        raw_range=(0, 255),
        positions=range(72),
        digest="sha256:d5a59e0c2187af5ff173efd3bb15d05665e7bfc798cdea57248726048bcb08f2",
        licence="research use only (Columbia University)",
        citation="Nene, Nayar, Murase: Columbia Object Image Library (COIL-20), CUCS-005-96, 1996",
    )
)
