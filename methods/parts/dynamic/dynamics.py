"""The dynamics of DynAE: its network with centres, the targets of samples, and the checks that change both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import Field
from sklearn.cluster import KMeans as LloydKMeans
from torch import Tensor

from benchmark.training import Terms
from methods.parts.autoencoder import squared_error
from methods.parts.dynamic.conflicts import Schedule, thresholds_after, unconflicted
from methods.parts.dynamic.interpolation import ACAINetwork, ACAIParams
from methods.parts.refinement import still_finite, student_t

FORWARD = 1024
"""How many samples are assigned at once at a check."""


class DynAEParams(ACAIParams):
    """Parameters of DynAE; the ledger entry of each is named in brackets.

    Thresholds start at `kappa` (a share of the clusters) and half of it, and fall by `drop` times it, or as `schedule`
    says [Y2], at a check every `check_interval` steps [Y3]. Training stops when less than the share `tolerance` is
    conflicted. `edge` says whether a sample on a threshold is beyond it. The image of a centre is that of its sample,
    or its decoded embedding [Y4]. Conflicted samples have no part in the embedding term, or "consistency" [Y16].
    `embedding_weight` is gamma of the paper, one over that of the code [Y1]. `centre_starts` are of k-means.
    """

    kappa: float = Field(0.3, gt=0, lt=1)
    drop: float = Field(0.3, gt=0, le=1)
    schedule: Schedule = "fixed"
    edge: Literal["inclusive", "exclusive"] = "inclusive"
    check_interval: int = Field(140, ge=1)
    tolerance: float = Field(0.01, ge=0, lt=1)
    centre_images: Literal["sample", "decoded"] = "sample"
    conflicted_embedding: Literal["none", "consistency"] = "none"
    embedding_weight: float = Field(1.0, ge=0)
    centre_starts: int = Field(10, ge=1)


class DynAENetwork(ACAINetwork):
    """An auto-encoder with centres (k, e), their images (k, ...), and both thresholds, none of which is trained."""

    centres: Tensor
    images: Tensor
    thresholds: Tensor

    def __init__(self, params: DynAEParams, shape: tuple[int, ...]) -> None:
        super().__init__(params, shape)
        self.register_buffer("centres", torch.zeros(params.n_clusters, params.embedding))
        self.register_buffer("images", torch.zeros(params.n_clusters, *shape))
        self.register_buffer("thresholds", torch.zeros(2))

    def soft(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the soft assignments (b, k) and embeddings (b, e) of samples."""
        embedding = self.encode(x)[0]
        return student_t(embedding, self.centres), embedding


def dynamic_terms(model: DynAENetwork, clean: Tensor, x: Tensor, params: DynAEParams) -> tuple[Terms, Tensor]:
    """Return the terms `image` and `embedding` of samples `x` (b, ...), and the assignments (b, k) of `clean` ones.

    The targets are those of `clean`, the same samples before augmentation, by the network as it is; they have no
    gradient (Eq. 9, 12 to 14). Errors are summed or averaged over values, and averaged over all samples of the batch.
    """
    with torch.no_grad():
        assignments, embedded = model.soft(clean)
        sure, nearest = unconflicted(assignments, model.thresholds, params.edge), assignments.argmax(dim=1)
        of_sample = sure.reshape(-1, *(1 for _ in clean.shape[1:]))
        image = torch.where(of_sample, model.images[nearest], clean)
        target = torch.where(sure[:, None], model.centres[nearest], embedded)
    embedding = model.encode(x)[0]
    squares = (embedding - target).square().sum(dim=1)
    if params.conflicted_embedding == "none":
        squares = squares * sure
    pulled = squares.mean() / (embedding.shape[1] if params.errors == "mean" else 1)
    return {"image": squared_error(model.decode(embedding), image, params.errors), "embedding": pulled}, assignments


class Checks:
    """Counts conflicted samples now and then; where they no longer fall, finds centres anew and drops the thresholds.

    The check that ends training changes nothing, so that the labels are those it counted.
    """

    def __init__(self, model: DynAENetwork, params: DynAEParams, x: Tensor, seed: int) -> None:
        self.model, self.params, self.x, self.seed = model, params, x, seed
        self.drops, self.previous, self.share = 0, len(x), 1.0
        self._update()

    def run(self, step: int) -> None:
        """Make a check before `step` (Algorithm 1)."""
        count = len(self.x) - int(self._of_all(self._sure).sum())
        self.share = count / len(self.x)
        if self.share >= self.params.tolerance and count >= self.previous:
            self.drops += 1
            self._update()
        self.previous = count

    def settled(self, step: int) -> bool:
        """Whether less than the tolerance was conflicted at a check just before `step`."""
        return step % self.params.check_interval == 0 and self.share < self.params.tolerance

    def state(self) -> Mapping[str, Tensor]:
        """Return what must be known to go on."""
        numbers = torch.tensor([self.drops, self.previous, self.share], dtype=torch.float64)
        return {"checks": numbers}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`; centres and thresholds are of the model."""
        drops, previous, self.share = state["checks"].tolist()
        self.drops, self.previous = int(drops), int(previous)

    def _sure(self, x: Tensor) -> Tensor:
        return unconflicted(self.model.soft(x)[0], self.model.thresholds, self.params.edge)

    def _update(self) -> None:
        """Take the samples nearest to the means of k-means as centres, and the thresholds after all drops (4.2)."""
        embedding = self._of_all(lambda part: self.model.encode(part)[0])
        search = LloydKMeans(self.params.n_clusters, n_init=self.params.centre_starts, random_state=self.seed)
        found = search.fit(still_finite(embedding.cpu().numpy()))
        means = torch.from_numpy(found.cluster_centers_).to(embedding)
        nearest = torch.cdist(means.double(), embedding.double()).argmin(dim=1)
        model, params = self.model, self.params
        with torch.no_grad():
            model.centres.copy_(embedding[nearest])
            model.images.copy_(self.x[nearest] if params.centre_images == "sample" else model.decode(model.centres))
            both = thresholds_after(self.drops, params.kappa, params.drop, params.schedule)
            model.thresholds.copy_(torch.tensor(both))

    def _of_all(self, rows_of: Callable[[Tensor], Tensor]) -> Tensor:
        self.model.eval()
        with torch.no_grad():
            return torch.cat([rows_of(part) for part in torch.split(self.x, FORWARD)])
