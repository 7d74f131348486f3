"""UMIST: 575 faces of 20 people from profile to frontal view, cropped to 112x92 gray pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.arrays import Array, Images, Raw
from datasets.base import Source
from datasets.coil import channels_first, decode_image
from datasets.formats.matfile import read_mat
from datasets.obtaining.archives import opened, read_member
from datasets.obtaining.files import OfficialFile, damaged

FACE = re.compile(r"(?:.*/)?1([a-t])/\w+\.pgm")


@dataclass(frozen=True, kw_only=True)
class CroppedFaces(Source):
    """Faces in a MATLAB file, a cell for each person, or in a zip archive of PGM images, a folder for each.

    The two forms are published in different orders, perhaps: the images of a person are put in the order of their
    bytes, so that the arrays are the same.
    """

    raw_range: tuple[float, float] = (0, 255)

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, height, width) uint8 by person, and the people's numbers."""
        path = paths[self.files[0].name]
        people = self._cells(path) if path.suffix == ".mat" else self._folders(path)
        ordered = [np.stack(sorted(images, key=np.ndarray.tobytes)) for images in people]  # type: ignore[arg-type]
        y = np.repeat(np.arange(len(ordered)), [len(images) for images in ordered])
        return Raw(np.concatenate(ordered), y.astype(np.int64))

    def scale(self, x: Array) -> Images:
        """Return x / 255, (n, 1, height, width)."""
        return channels_first(x, self.raw_range[1])

    def _cells(self, path: Path) -> list[list[Array]]:
        cells = read_mat(path, ("facedat",), self.files[0].limit)["facedat"].ravel()
        if cells.dtype != object or len(cells) != self.n_clusters:
            raise damaged(path, f"facedat should hold {self.n_clusters} cells")
        return [[self._image(path, cell[..., i]) for i in range(cell.shape[-1])] for cell in self._whole(path, cells)]

    def _whole(self, path: Path, cells: Array) -> Iterator[Array]:
        for cell in cells:
            if not isinstance(cell, np.ndarray) or cell.ndim != 3 or not cell.size or cell.dtype.kind not in "iuf":
                raise damaged(path, "a cell of facedat should hold the images of a person")
            yield cell

    def _image(self, path: Path, image: Array) -> Array:
        if image.shape != self.shape[1:] or not ((image >= 0) & (image <= 255)).all():
            raise damaged(path, f"an image of shape {image.shape} where {self.shape[1:]} bytes should be")
        return np.ascontiguousarray(image.astype(np.uint8))

    def _folders(self, path: Path) -> list[list[Array]]:
        people: dict[str, list[Array]] = {}
        height, width = self.shape[1:]
        with opened(path, self.files[0].limit) as archive:
            for name in sorted(archive.namelist()):
                if face := FACE.fullmatch(name):
                    image = decode_image(read_member(archive, name), path / name, "PPM", "L", (width, height))
                    people.setdefault(face[1], []).append(image)
        if len(people) != self.n_clusters:
            raise damaged(path, f"it holds {len(people)} people where {self.n_clusters} should be")
        return [people[letter] for letter in sorted(people)]


UMIST = register_dataset(
    CroppedFaces(
        name="umist",
        title="UMIST faces, cropped",
        folder="umist",
        files=(
            OfficialFile(
                "umist_cropped.mat",
                ("https://cs.nyu.edu/~roweis/data/umist_cropped.mat",),
                limit=2**25,
                other_names=("umist_cropped_pgm_575.zip",),
            ),
        ),
        shape=(1, 112, 92),
        class_counts=(38, 35, 26, 24, 26, 23, 19, 22, 20, 32, 34, 34, 26, 30, 19, 26, 26, 33, 48, 34),
        digest="sha256:e4570d931478c4e6a2a26cac3d9f03568f1cffe3e5397921732e03953e0df901",
        licence="research use only",
        citation="Graham, Allinson: Characterizing virtual eigensignatures for general purpose face recognition, 1998",
        note="The digest is that of the PGM form; ten images of the second person are there twice, as published.",
    )
)
