"""Pictures of clusters: which members are shown, and whether outputs are nearer to a cluster than to their sample."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.analysis.sheets import read_sheet
from benchmark.errors import UserError
from benchmark.repeat.artefacts import Shown
from benchmark.repeat.cluster_sheets import make_confident, make_outputs

N, K = 12, 3


class Model(nn.Module):
    """Codes a sample by its first value, and decodes to flat images of that, or to 0."""

    def __init__(self, kept: float) -> None:
        super().__init__()
        self.kept = nn.Parameter(torch.tensor(kept))

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return x.flatten(1)[:, :1], []

    def decode(self, embedding: Tensor) -> Tensor:
        return self.kept * embedding.expand(-1, 4)


class Assigning:
    def assign(self, model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        sure = x.flatten(1)[:, 1:2]
        label = (x.flatten(1)[:, 0] * 10).round().long() % K
        return sure * nn.functional.one_hot(label, K), x


def shown(kept: float = 1.0, shape: tuple[int, ...] = (4,)) -> Shown:
    clusters = np.arange(N) % K
    x = np.zeros((N, 4), dtype=np.float32)
    x[:, 0], x[:, 1] = clusters / 10, (np.arange(N) + 1) / N
    classes = np.where(np.arange(N) < 6, clusters, 0)  # the later, surer samples are all of class 0
    return Shown(Assigning(), SimpleNamespace(x=x.reshape(N, *shape), y=classes), Model(kept), clusters)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
def test_the_surest_members_of_each_cluster_make_its_row(shape):
    sheet = read_sheet(make_confident(shown(shape=shape), {"members": 3}))
    assert sheet.image.shape == (2 * K, 2 * 3)
    # the three surest of cluster 0 are samples 9, 6, 3; of 1, 10, 7, 4: two of class 0; of 2, 11, 8, 5: likewise
    np.testing.assert_allclose(sheet.numbers["purity of the members shown"], [1, 2 / 3, 2 / 3], atol=1e-6)
    assert sheet.image[0, 1] == 255 * 10 // 12 + (255 * 10 % 12 > 6)


def test_outputs_that_are_the_samples_are_nearer_to_them_and_means_to_the_cluster():
    x = np.asarray(shown().data.x)

    class Identity(Model):
        def encode(self, given: Tensor) -> tuple[Tensor, list[Tensor]]:
            return given, []

        def decode(self, embedding: Tensor) -> Tensor:
            return embedding

    class Mean(Identity):
        def decode(self, embedding: Tensor) -> Tensor:
            label = (embedding[:, 0] * 10).round().long() % K
            means = np.stack([x[np.arange(N) % K == k].mean(axis=0) for k in range(K)])
            return torch.from_numpy(means)[label]

    for model, sign in ((Identity(1.0), -1), (Mean(1.0), 1)):
        base = shown()
        sheet = read_sheet(make_outputs(Shown(base.estimator, base.data, model, base.clusters), {"images": 5}))
        assert sheet.image.shape == (4, 10)
        nearer = sheet.numbers["nearer to the mean of the cluster"]
        assert len(nearer) == 5
        assert (sign * nearer > 0).all()


def test_what_has_no_image_or_no_decoder_is_refused():
    base = shown()
    with pytest.raises(UserError, match="square"):
        make_confident(
            Shown(base.estimator, SimpleNamespace(x=base.data.x[:, :3], y=base.data.y), base.model, base.clusters),
            {"members": 2},
        )
    with pytest.raises(UserError, match="auto-encoder"):
        make_outputs(Shown(base.estimator, base.data, nn.Linear(4, 2), base.clusters), {"images": 2})
