"""How far our enlarging of USPS and reducing of COIL lie from what the code of tkuco2024 does (ledger D4, C7).

    python -m tests.bench.measure_resize --data-dir DIR

prints, in levels of gray from 0 to 255, the mean and the largest difference of pixels that the network sees. `--coil
coil100-128px` takes COIL-100 itself, whose archive is large; COIL-20 has images of the same kind and size.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

import datasets
from benchmark.registry import load_plugins
from datasets.preprocessing import apply_steps

Array = npt.NDArray[np.float32]
LEVELS = 255.0


def main() -> None:
    """Print a line for each rule that differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--coil", default="coil-20")
    asked = parser.parse_args()
    load_plugins()
    print("| data | what differs | where | mean | largest |")
    print("|---|---|---|---|---|")
    digits, objects = (
        datasets.load_dataset(name, data_dir=asked.data_dir).prepare((), None).x for name in ("usps", asked.coil)
    )
    for data, what, where, difference in (*usps(digits), *coil(asked.coil, objects)):
        print(f"| {data} | {what} | {where} | {difference.mean():.2f} | {difference.max():.1f} |")


def usps(x: Array) -> Iterator[tuple[str, str, str, Array]]:
    """Yield the differences of images (n, 1, 16, 16) in [0, 1] enlarged to 32x32."""
    ours = apply_steps(x, ("resize:32x32",))
    for what, steps in (
        ("border mirrored", ("skimage_resize:32x32",)),
        ("pixels truncated", ("truncated", "resize:32x32")),
        ("both", ("truncated", "skimage_resize:32x32")),
    ):
        difference = LEVELS * np.abs(apply_steps(x, steps) - ours)
        ring = np.ones((32, 32), dtype=bool)
        ring[1:-1, 1:-1] = False
        yield "USPS", what, "outermost ring", difference[..., ring]
        yield "USPS", what, "all other pixels", difference[..., ~ring]


def coil(name: str, x: Array) -> Iterator[tuple[str, str, str, Array]]:
    """Yield the difference of images of 128x128 reduced to 64x64: smoothed first, against means of 2x2 pixels."""
    x = x[::4]
    means = x.reshape(*x.shape[:2], 64, 2, 64, 2).mean(axis=(3, 5))
    yield name, "smoothed first", "all pixels", LEVELS * np.abs(apply_steps(x, ("skimage_resize:64x64",)) - means)


if __name__ == "__main__":
    main()
