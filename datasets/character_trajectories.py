"""Character Trajectories: pen tip velocities and force while one writer writes letters, 3 values at each step.

`character-trajectories` has the first ten of the twenty letters, as dtkc2019 section 17.9 chooses them; `chartraj-1607`
is a stand-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.arrays import Array, Raw
from datasets.base import Source
from datasets.formats.matfile import read_mat
from datasets.identity import HashedFiles, published_hash
from datasets.obtaining.archives import read_npz
from datasets.obtaining.files import OfficialFile, damaged
from datasets.sequences import Values, as_loaded, padded

LETTERS = tuple("abcdeghlmnopqrsuvwyz")
UCI = "https://archive.ics.uci.edu/"
NAME = "mixoutALL_shifted.mat"
FILES = (
    OfficialFile(
        NAME,
        (
            f"{UCI}ml/machine-learning-databases/character-trajectories/{NAME}",
            f"{UCI}static/public/175/character+trajectories.zip#{NAME}",
        ),
        "md5:433cac77ca9bbb0aaac28951e146f519",
        limit=2**26,
    ),
)
LICENCE = "CC BY 4.0"
CITATION = "Williams, Toussaint, Storkey: Extracting motion primitives from natural handwriting data, 2006; UCI 175"


@dataclass(frozen=True, kw_only=True)
class Trajectories(HashedFiles):
    """Trajectories in a MATLAB file: the cells ``mixout`` (3, steps), and the letters ``consts.charlabels`` from 1."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return those of the first letters (n, steps, 3) as float32, padded with zeros, the letters, the lengths."""
        path = paths[self.files[0].name]
        found = read_mat(path, ("mixout", "consts"), self.files[0].limit)
        cells, labels = found["mixout"].ravel(), self._labels(path, found["consts"])
        kept = labels <= self.n_clusters
        if cells.dtype != object or len(cells) != len(labels) or kept.sum() > self.n_samples:
            raise damaged(path, f"{len(cells)} trajectories with {len(labels)} labels, {kept.sum()} of these letters")
        sequences = [self._sequence(path, cell) for cell in cells[kept]]
        if not sequences:
            raise damaged(path, "it has no trajectory of these letters")
        x, lengths = padded(sequences, self.shape[0])
        return Raw(x, labels[kept] - 1, lengths)

    def scale(self, x: Array) -> Values:
        """Return the trajectories as they are: their publisher has normalised them."""
        return as_loaded(x)

    def _labels(self, path: Path, consts: Array) -> Array:
        if consts.dtype.names is None or "charlabels" not in consts.dtype.names or consts.size != 1:
            raise damaged(path, "consts has no field charlabels")
        labels = np.asarray(consts["charlabels"].item()).ravel()
        if labels.dtype.kind not in "iuf" or not np.isin(labels, np.arange(1, len(LETTERS) + 1)).all():
            raise damaged(path, f"charlabels should be 1 to {len(LETTERS)}")
        return labels.astype(np.int64)

    def _sequence(self, path: Path, cell: object) -> Values:
        steps, width = self.shape
        if not isinstance(cell, np.ndarray) or cell.dtype.kind != "f" or cell.ndim != 2 or cell.shape[0] != width:
            raise damaged(path, f"a trajectory should have {width} rows of numbers")
        if not 1 <= cell.shape[1] <= steps or not np.isfinite(cell).all():
            raise damaged(
                path, f"a trajectory has {cell.shape[1]} steps where 1 to {steps} are possible, or no numbers"
            )
        return cell.T.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class PaddedTrajectories(Source):
    """Trajectories in an npz file: ``x`` (n, steps, 3) padded with zeros, ``length`` and ``y`` (n,), from 1."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the trajectories, the letters from 0, and the lengths."""
        path = paths[self.files[0].name]
        found = read_npz(path, ("x", "length", "y"), self.files[0].limit)
        if any(found[name].dtype.kind not in "iu" for name in ("length", "y")):
            raise damaged(path, "length and y should be whole numbers")
        x, lengths, y = found["x"], found["length"].astype(np.int64), found["y"].astype(np.int64) - 1
        if x.dtype != np.float32 or x.shape[1:] != self.shape or {lengths.shape, y.shape} != {(len(x),)}:
            raise damaged(path, f"x is {x.dtype} of shape {x.shape} where float32 sequences {self.shape} should be")
        if y.min(initial=0) < 0 or (x * (np.arange(x.shape[1])[:, None] >= lengths[:, None, None])).any():
            raise damaged(path, "a label is 0, or a sequence is longer than its length says")
        return Raw(x, y, lengths)

    def scale(self, x: Array) -> Values:
        """Return the trajectories as they are."""
        return as_loaded(x)


CHARACTER_TRAJECTORIES = register_dataset(
    Trajectories(
        name="character-trajectories",
        title="Character Trajectories, the first ten letters",
        folder="character_trajectories",
        files=FILES,
        shape=(198, 3),
        class_counts=(),
        totals=(1491, 10),
        class_names=LETTERS[:10],
        raw_range=(-10, 10),
        lengths_range=(109, 198),
        digest=published_hash(FILES),
        licence=LICENCE,
        citation=CITATION,
    )
)
CHARTRAJ_1607 = register_dataset(
    PaddedTrajectories(
        name="chartraj-1607",
        title="Character Trajectories, 1607 of 2858, all twenty letters",
        folder="character_trajectories",
        files=(OfficialFile("chartraj_labelled_1607.npz", limit=2**26),),
        shape=(205, 3),
        class_counts=(94, 92, 77, 80, 105, 79, 69, 88, 75, 71, 76, 76, 65, 66, 75, 78, 97, 66, 77, 101),
        class_names=LETTERS,
        raw_range=(-10, 10),
        lengths_range=(109, 205),
        digest="sha256:03552981c7a79dc04b18e5420f843432ee15324bde11e6e42328e2f9519ecce7",
        licence=LICENCE,
        citation=CITATION,
        stand_in_for="character-trajectories",
        note="A part of the trajectories, of all twenty letters where dtkc2019 takes ten.",
    )
)
