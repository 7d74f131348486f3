"""Speed and memory of data sets: ``python tests/bench/data_speed.py [cache] [corpus]``.

`cache` loads every data set that is here twice and times the second load, and the way of MNIST to a tensor. `corpus`
writes token files of the size of RCV1-v2 (804 414 stories, about 100 million words) to a temporary folder, parses them
in a process of its own, and says how long that took and how much memory (about four minutes; 700 MB on the disk).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import datasets
from benchmark.registry import DATASETS

FIRST, STORIES = 2286, 804_414
TERMS = 300_000


def cache() -> None:
    """Time the second load of everything, and MNIST to a tensor."""
    datasets.load_dataset("digits")
    for name, source in DATASETS.items():
        if source.status().state != "ready":
            continue
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            source.load()
            seconds.append(time.perf_counter() - started)
        print(f"{name}: first {seconds[0]:.2f} s, second {seconds[1]:.4f} s")
    started = time.perf_counter()
    total = torch.from_numpy(datasets.load_dataset("mnist-full").x).sum()
    seconds = time.perf_counter() - started
    print(f"mnist-full from the cache to a tensor, every value touched: {seconds:.2f} s ({total:.0f})")


def write_corpus(folder: Path) -> int:
    """Write token files and topics, words by Zipf's law, and return how many stories have one root topic."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(letters[random.integers(0, 26, size)]) for size in random.integers(2, 12, TERMS)]
    weights = 1 / (np.arange(TERMS) + 10.0)
    limits = np.cumsum(weights / weights.sum())
    limits[-1] = 1
    folder.mkdir()
    roots = random.choice(["CCAT", "GCAT", "MCAT", "ECAT"], STORIES, p=[0.44, 0.25, 0.23, 0.08])
    single = random.random(STORIES) < 0.85
    with (folder / "rcv1-v2.topics.qrels").open("w") as topics:
        for number, root, one in zip(range(FIRST, FIRST + STORIES), roots, single, strict=True):
            topics.write(
                f"{root} {number} 1\n" + ("" if one else f"{'GCAT' if root != 'GCAT' else 'MCAT'} {number} 1\n")
            )
    lines = [" ".join(words[i] for i in row) for row in np.searchsorted(limits, random.random((200_000, 40))).tolist()]
    parts = ("test_pt0", "test_pt1", "test_pt2", "test_pt3", "train")
    for part, numbers in zip(parts, np.array_split(np.arange(FIRST, FIRST + STORIES), 5), strict=True):
        chosen = random.integers(0, len(lines), (len(numbers), 3)).tolist()
        with (folder / f"lyrl2004_tokens_{part}.dat").open("w") as file:
            for number, three in zip(numbers, chosen, strict=True):
                file.write(f".I {number}\n.W\n" + "\n".join([lines[i] for i in three]) + "\n\n")
    return int(single.sum())


def corpus() -> None:
    """Write a corpus, and parse it in another process."""
    with tempfile.TemporaryDirectory() as root:
        started = time.perf_counter()
        stories = write_corpus(Path(root) / "rcv1")
        size = sum(path.stat().st_size for path in (Path(root) / "rcv1").iterdir())
        print(f"written: {STORIES} stories, {size / 1e6:.0f} MB, {time.perf_counter() - started:.0f} s", flush=True)
        subprocess.run([sys.executable, __file__, "parse", root, str(stories)], check=True)


def parse(root: str, stories: str) -> None:
    """Parse the corpus below `root` as `reuters`, and say what it took."""
    datasets.load_dataset("digits")
    source = replace(DATASETS["reuters"], stories=int(stories), class_counts=(50_000,) * 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, worked = time.perf_counter(), time.process_time()
    raw = source.parse({file.name: file.find([Path(root) / "rcv1"]) for file in source.files})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, work = time.perf_counter() - started, time.process_time() - worked
    print(f"parsed: {raw.x.shape}, {raw.x.nnz} features, {seconds:.0f} s, {work:.0f} s of the processor")
    print(f"peak memory {peak / 2**20:.2f} GiB, of which {before / 2**20:.2f} GiB before")


if __name__ == "__main__":
    if sys.argv[1:2] == ["parse"]:
        parse(*sys.argv[2:])
    else:
        for name in sys.argv[1:] or ("cache", "corpus"):
            {"cache": cache, "corpus": corpus}[name]()
