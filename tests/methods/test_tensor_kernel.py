"""The tensor kernel against a float64 singular value decomposition, pair by pair, and autograd through float64."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import load_dataset
from methods import DDC
from methods.parts import projectors
from methods.parts.kernels import gaussian_kernel, tensor_distances
from tests.support.asking import nothing_is_asked

KINDS = ("full", "flat", "dead", "zero")
SHAPES = ((10, 10, 32), (3, 3, 32), (4, 4, 32), (6, 5, 4))
CONVENTIONS = ((True, "projector"), (False, "trace"), (False, "projector"), (True, "trace"))
RIDGE = 1e-6


def feature_maps(shape: tuple[int, ...], kind: str, n: int = 40) -> np.ndarray:
    """Return rectified random maps (n, height, width, channels) in float32: full rank or with an image's defects."""
    x = np.maximum(np.random.default_rng(0).normal(size=(n, *shape)), 0).astype(np.float32)
    if kind in ("flat", "dead"):  # background columns and rows are exact copies
        x[:, :, : shape[1] // 2] = x[:, :, :1]
        x[:, : shape[0] // 3 + 1] = x[:, :1]
    if kind == "dead":
        x[..., ::4] = 0
    if kind == "zero":
        x[:3] = 0
    return x


def matrices_of(x: np.ndarray, mode: int, transpose: bool) -> np.ndarray:
    matrices = np.moveaxis(x, mode, 1).reshape(len(x), x.shape[mode], -1).astype(np.float64)
    return matrices.transpose(0, 2, 1) if transpose and matrices.shape[1] > matrices.shape[2] else matrices


def svd_distances(x: np.ndarray, transpose: bool, form: str, ridge: float = RIDGE) -> np.ndarray:
    """Loop over modes and pairs: Eq. 16 or 17 with projectors V diag(s^2 / (s^2 + ridge)) V^T."""
    n = len(x)
    total = np.zeros((n, n))
    for mode in range(1, x.ndim):
        matrices = matrices_of(x, mode, transpose)
        spaces = []
        for matrix in matrices:
            _, s, vt = np.linalg.svd(matrix, full_matrices=False)
            spaces.append(vt.T @ ((s**2 / (s**2 + ridge))[:, None] * vt))
        for i in range(n):
            for j in range(n):
                if form == "projector":
                    total[i, j] += ((spaces[i] - spaces[j]) ** 2).sum()
                else:
                    total[i, j] += 2 * (matrices.shape[1] - (spaces[i] * spaces[j]).sum())
    return total


def dense_distances(x: torch.Tensor, transpose: bool, form: str) -> torch.Tensor:
    """The same, for autograd: dense projectors from float64 linear systems."""
    total = torch.zeros(len(x), len(x), dtype=torch.float64)
    for mode in range(1, x.ndim):
        m = x.movedim(mode, 1).flatten(2)
        m = m.mT if transpose and m.shape[1] > m.shape[2] else m
        if m.shape[1] <= m.shape[2]:
            dense = m.mT @ torch.linalg.solve(m @ m.mT + RIDGE * torch.eye(m.shape[1], dtype=m.dtype), m)
        else:
            gram = m.mT @ m
            dense = torch.linalg.solve(gram + RIDGE * torch.eye(m.shape[2], dtype=m.dtype), gram)
        flat = dense.flatten(1)
        inner = flat @ flat.T
        own = inner.diagonal()
        total = total + (own[:, None] + own - 2 * inner if form == "projector" else 2 * (m.shape[1] - inner))
    return total


def relative_error(ours: torch.Tensor, truth: torch.Tensor) -> float:
    return ((ours.double() - truth).norm() / truth.norm()).item()


def compare_with_truth(x: torch.Tensor, transpose: bool, form: str) -> tuple[float, float]:
    """Return the errors of distances (of the largest) and of the gradient of a kernel loss (relative norm)."""
    ours, exact = x.clone().requires_grad_(), x.double().requires_grad_()
    distances, truth = tensor_distances(ours, transpose=transpose, form=form), dense_distances(exact, transpose, form)
    weights = torch.from_numpy(np.random.default_rng(1).random((len(x), len(x))))
    (gaussian_kernel(distances, rule="tkuco") * weights).sum().backward()
    (gaussian_kernel(truth, rule="tkuco") * weights).sum().backward()
    error = ((distances - truth).abs().max() / truth.max()).item()
    return error, relative_error(ours.grad, exact.grad)


@pytest.mark.parametrize(("transpose", "form"), CONVENTIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_distances_and_gradients_match_float64(shape, kind, transpose, form):
    distance_error, gradient_error = compare_with_truth(torch.from_numpy(feature_maps(shape, kind)), transpose, form)
    assert distance_error < 1e-6
    assert gradient_error < 1e-5


@pytest.mark.parametrize(("transpose", "form"), CONVENTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_those_of_the_singular_value_decomposition(kind, transpose, form):
    for shape in ((3, 3, 12), (6, 5, 4)):
        x = feature_maps(shape, kind, n=8)
        truth = svd_distances(x, transpose, form)
        single = tensor_distances(torch.from_numpy(x), transpose=transpose, form=form)
        double = tensor_distances(torch.from_numpy(x).double(), transpose=transpose, form=form)
        assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
        assert np.abs(single.numpy() - truth).max() < 1e-6 * truth.max()
        assert np.abs(double.numpy() - truth).max() < 1e-8 * truth.max()


@pytest.mark.parametrize(("transpose", "form"), CONVENTIONS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 2, 5), (4,), (2, 3)])
def test_gradients_match_finite_differences(shape, transpose, form):
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(4, *shape))).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: tensor_distances(x, transpose=transpose, form=form, ridge=0.1).triu(1), (x,), atol=1e-6
    )


@pytest.mark.parametrize("way", [projectors._BlockDistances, projectors._FlattenedDistances])
@pytest.mark.parametrize("shape", [(40, 7, 120), (40, 30, 120), (5, 250, 260), (1, 3, 4)])
def test_both_ways_to_compare_projectors_agree_with_dense_ones(way, shape):
    factors = torch.from_numpy(np.random.default_rng(4).normal(size=shape)).float() / shape[2] ** 0.5
    ours, exact = factors.clone().requires_grad_(), factors.double().requires_grad_()
    dense = exact.mT @ exact
    truth = (dense[:, None] - dense[None]).square().sum(dim=(2, 3)) if len(factors) < 10 else _pairwise(dense)
    weights = torch.from_numpy(np.random.default_rng(5).random((len(factors), len(factors))))
    distances = way.apply(ours)
    (distances * weights).sum().backward()
    (truth * weights).sum().backward()
    assert (distances - truth).abs().max() <= 1e-6 * truth.max()
    assert (ours.grad - exact.grad).abs().max() <= 1e-5 * exact.grad.abs().max()


def _pairwise(dense: torch.Tensor) -> torch.Tensor:
    return torch.stack([(dense - one).square().sum(dim=(1, 2)) for one in dense])


def test_the_untransposed_trace_form_adds_46_at_the_3x3x32_tap():
    """Ledger K3: the 32 x 9 channel matricisation leaves 2 (32 - 9) on the diagonal; transposed nothing is left."""
    x = torch.from_numpy(feature_maps((3, 3, 32), "full"))
    untransposed = tensor_distances(x, transpose=False, form="trace").diagonal()
    transposed = tensor_distances(x, transpose=True, form="trace").diagonal()
    np.testing.assert_allclose(untransposed, 46, atol=1e-4)
    np.testing.assert_allclose(transposed, 0, atol=1e-4)


def test_the_trace_form_leaves_twice_the_missing_rank_on_the_diagonal_and_eq_16_nothing():
    x = torch.from_numpy(feature_maps((10, 10, 32), "flat"))
    ranks = sum(10 - np.linalg.matrix_rank(matrices_of(x.numpy(), mode, True)) for mode in (1, 2))
    channels = matrices_of(x.numpy(), 3, True)
    ranks = ranks + channels.shape[1] - np.linalg.matrix_rank(channels)
    np.testing.assert_allclose(tensor_distances(x, form="trace").diagonal(), 2 * ranks, atol=1e-3)
    assert torch.equal(tensor_distances(x).diagonal(), torch.zeros(40))


@pytest.mark.parametrize("transpose", [True, False])
def test_zero_tensors_have_zero_projectors_and_zero_gradients(transpose):
    x = torch.zeros(5, 4, 4, 8, requires_grad=True)
    distances = tensor_distances(x, transpose=transpose)
    distances.sum().backward()
    assert torch.equal(distances, torch.zeros(5, 5))
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("kind", ["full", "flat", "dead"])
@pytest.mark.parametrize("transpose", [True, False])
def test_the_factorisation_succeeds_at_any_large_scale(kind, transpose):
    x = torch.from_numpy(feature_maps((10, 10, 32), kind, n=12))
    truth = svd_distances(x.numpy(), transpose, "projector")
    for scale in (1e2, 1e4, 1e8):
        large = (scale * x).requires_grad_()
        distances = tensor_distances(large, transpose=transpose)
        distances.sum().backward()
        assert (distances - torch.from_numpy(truth)).abs().max() < 1e-4 * truth.max()
        assert torch.isfinite(large.grad).all()


def test_not_a_number_is_passed_on():
    x = torch.from_numpy(feature_maps((4, 4, 8), "full", n=4))
    x[1, 2, 3, 4] = torch.nan
    assert tensor_distances(x)[1, 2].isnan()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_distances_see_only_the_row_space_of_a_matricisation(seed):
    """With D_1 < D_2 both transposed matricisations of a matrix are the matrix itself."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 3, 9))
    mixing = np.linalg.qr(rng.normal(size=(6, 3, 3)))[0] * rng.uniform(0.5, 2, size=(6, 1, 3))
    mixed = tensor_distances(torch.from_numpy(mixing @ x))
    np.testing.assert_allclose(mixed, tensor_distances(torch.from_numpy(x)), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(CONVENTIONS))
def test_distances_are_symmetric_and_ignore_rotations_common_to_all_samples(seed, convention):
    transpose, form = convention
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, 3, 4, 6))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    distances = tensor_distances(torch.from_numpy(x), transpose=transpose, form=form)
    rotated = tensor_distances(torch.from_numpy(x @ rotation), transpose=transpose, form=form)
    assert torch.equal(distances, distances.T)
    assert (distances >= 0).all()
    np.testing.assert_allclose(rotated, distances, atol=1e-6)


def test_vectors_are_compared_as_lines_through_the_origin():
    x = np.random.default_rng(6).normal(size=(7, 20))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = 2 * (1 - (unit @ unit.T) ** 2)
    for form in ("projector", "trace"):
        np.testing.assert_allclose(tensor_distances(torch.from_numpy(x), form=form), expected, atol=1e-5)
        np.testing.assert_allclose(tensor_distances(torch.from_numpy(-3 * x), form=form), expected, atol=1e-5)


def test_untransposed_vectors_all_span_the_line_and_leave_the_offset_of_the_ledger():
    """Ledger K5: the offset is 2 (D - 1)."""
    x = torch.from_numpy(np.random.default_rng(7).normal(size=(5, 300)))
    np.testing.assert_allclose(tensor_distances(x, transpose=False, form="trace"), 2 * 299, rtol=1e-7)


def test_memory_format_and_order_of_modes_make_no_difference():
    x = torch.from_numpy(feature_maps((10, 10, 32), "full", n=20))
    expected = tensor_distances(x)
    channels_last = x.permute(0, 3, 1, 2)
    for same in (channels_last, channels_last.contiguous(), channels_last.permute(0, 1, 3, 2)):
        assert (tensor_distances(same) - expected).abs().max() < 1e-6 * expected.max()


@pytest.mark.parametrize(("transpose", "form"), CONVENTIONS)
def test_eigh32_agrees_with_the_exact_solver_where_matricisations_have_full_rank(transpose, form):
    x = torch.from_numpy(np.random.default_rng(8).normal(size=(12, 4, 5, 30)))
    gradients = []
    for solver in ("exact", "eigh32"):
        leaf = x.clone().requires_grad_()
        distances = tensor_distances(leaf, transpose=transpose, form=form, solver=solver)
        assert distances.dtype == torch.float64
        gaussian_kernel(distances, rule="tkuco").sum().backward()
        gradients.append(leaf.grad)
        np.testing.assert_allclose(distances.detach(), svd_distances(x.numpy(), transpose, form), atol=1e-3)
    if transpose:  # untransposed, 30 x 20 matrices are rank deficient
        assert relative_error(gradients[1], gradients[0]) < 1e-3


def test_eigh32_has_right_distances_and_wrong_gradients_on_flat_backgrounds():
    """Ledger K13, with float32 eigenvectors of null directions being noise."""
    x = feature_maps((20, 20, 32), "flat", n=12)
    x += np.float32(0.01) * (x == 0)
    gradients, distances = [], []
    for solver in ("exact", "eigh32"):
        leaf = torch.from_numpy(x).requires_grad_()
        distances.append(tensor_distances(leaf, form="trace", solver=solver))
        gaussian_kernel(distances[-1], rule="tkuco").sum().backward()
        gradients.append(leaf.grad.double())
    assert (distances[0] - distances[1]).abs().max() < 0.1 * distances[0].max()
    assert relative_error(gradients[1], gradients[0]) > 0.1


def test_close_eigenvalues_give_eigenvectors_no_gradient():
    matrices = torch.eye(3).repeat(2, 1, 1).requires_grad_()
    values, vectors = projectors._MaskedEigh.apply(matrices)
    (values.sum() + vectors.square().sum() + vectors[0, 0, 1]).backward()
    np.testing.assert_allclose(matrices.grad, torch.eye(3).repeat(2, 1, 1), atol=1e-6)


def test_separated_eigenvalues_and_vectors_have_the_gradient_of_torch():
    half = torch.from_numpy(np.random.default_rng(9).normal(size=(2, 4, 4)))
    gradients = []
    for solve in (torch.linalg.eigh, projectors._MaskedEigh.apply):
        leaf = (half + half.mT).requires_grad_()
        values, vectors = solve(leaf)
        weighted = (vectors * values[:, None, :].exp()) @ vectors.mT
        (weighted * half).sum().backward()
        gradients.append((leaf.grad + leaf.grad.mT) / 2)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("transpose", "form"), CONVENTIONS)
@pytest.mark.parametrize("shape", [(10, 10, 32), (3, 3, 32)])
def test_gradients_of_few_pairs_are_those_of_all_pairs(shape, transpose, form, monkeypatch):
    x = torch.from_numpy(feature_maps(shape, "flat", n=24)).requires_grad_()
    weights = torch.from_numpy(np.random.default_rng(5).random((24, 24)).astype(np.float32))
    weights = torch.where(weights > 0.95, weights, 0)  # not symmetric, some on the diagonal
    assert 0 < (weights + weights.T).count_nonzero() < 0.15 * 24 * 24
    asked = []
    monkeypatch.setattr(projectors, "_gradient_of_pairs", spy(projectors._gradient_of_pairs, asked))
    few = torch.autograd.grad(tensor_distances(x, transpose=transpose, form=form), x, weights)[0]
    assert len(asked) == 3  # once for each mode
    monkeypatch.setattr(projectors, "FEW_PAIRS", 0)
    all_pairs = torch.autograd.grad(tensor_distances(x, transpose=transpose, form=form), x, weights)[0]
    assert len(asked) == 3
    assert relative_error(few, all_pairs.double()) < 1e-5


def spy(function, calls):
    def called(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return called


def test_no_pair_with_a_gradient_gives_none(monkeypatch):
    x = torch.from_numpy(feature_maps((3, 3, 12), "flat", n=8)).requires_grad_()
    assert torch.autograd.grad(tensor_distances(x), x, torch.zeros(8, 8))[0].abs().max() == 0


@pytest.mark.parametrize("options", [{"form": "norm"}, {"solver": "svd"}])
def test_unknown_options_are_refused(options):
    with pytest.raises(ValueError, match="must be one of"):
        tensor_distances(torch.ones(3, 2, 2), **options)


def test_samples_without_a_dimension_are_refused():
    with pytest.raises(ValueError, match="shape"):
        tensor_distances(torch.ones(3))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("transpose", "form"), CONVENTIONS)
def test_devices_agree_without_synchronising_with_the_host(transpose, form):
    x = torch.from_numpy(feature_maps((10, 10, 32), "flat"))
    expected = tensor_distances(x, transpose=transpose, form=form)
    leaf = x.cuda().requires_grad_()
    tensor_distances(leaf, transpose=transpose, form=form)  # the first call loads libraries
    with nothing_is_asked():
        distances = tensor_distances(leaf, transpose=transpose, form=form)
        gaussian_kernel(distances).sum().backward()
    assert (distances.cpu() - expected).abs().max() < 1e-6 * expected.max()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak of a process from Linux's /proc")
@pytest.mark.parametrize("taps", [("block1_pool", "block2_pool"), ("block1_conv2", "block2_pool")])
def test_a_step_on_batches_of_mnist_size_takes_less_than_400_mib_above_the_libraries(taps):
    """In a process of its own, as the peak of a process never falls; getrusage also knows of the parent's."""
    program = f"""
import torch
torch.set_num_threads(1)
from methods import DDCUCOT
from datasets.digits import DIGITS

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

x = DIGITS.load().x[:240]
before = peak()
DDCUCOT(10, taps={taps!r}, epochs=1).fit(x)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 20 < float(done.stdout) < 400  # the plain form takes 520 and 630


def real_images(dataset: str, n: int) -> torch.Tensor:
    """Return real images (n, 1, height, width) in [-1, 1], or skip where there are none."""
    folder = os.environ.get("RECLUST_DATA", "")
    if not folder or not Path(folder, dataset).is_dir():
        pytest.skip(f"set RECLUST_DATA to a folder with {dataset}")
    steps = ("symmetric", "resize:32x32") if dataset == "usps" else ("symmetric",)
    return torch.from_numpy(load_dataset(dataset, folder).prepare(steps, n).x.copy())


@cache
def real_taps(dataset: str, trained: bool, dead: bool) -> dict[str, torch.Tensor]:
    """Return the taps of 16 real images in training mode, of a network as initialised or after 45 steps."""
    images = real_images(dataset, 600)
    method = DDC(10, epochs=9, random_state=1)
    if trained:
        model = method.fit(images.numpy()).model_
    else:
        model = method.build(method.checked_params(), images.shape[1:], method._standalone())
    if dead:
        with torch.no_grad():
            model.backbone.layers["block1_conv2"][1].bias[:8] = -100  # rectified: zero everywhere
    names = ("block1_conv2", "block1_pool", "block2_pool")
    with torch.no_grad():
        taps = model.train()(images[:16], names).taps
    return dict(zip(names, taps, strict=True))


@pytest.mark.data
@pytest.mark.parametrize("state", ["untrained", "trained", "dead channels"])
@pytest.mark.parametrize("dataset", ["usps", "mnist"])
def test_feature_maps_of_real_images_match_float64(dataset, state):
    taps = real_taps(dataset, state == "trained", state == "dead channels")
    for name, tap in taps.items():
        for transpose, form in CONVENTIONS[:2]:
            distance_error, gradient_error = compare_with_truth(tap, transpose, form)
            assert distance_error < 1e-6, (name, transpose, form)
            assert gradient_error < 1e-5, (name, transpose, form)
