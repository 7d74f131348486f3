"""The losses of the DDC family against float64 NumPy, computed from what the network gives for real digits."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.spec import Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Batch, RunContext, Terms
from datasets.digits import DIGITS
from methods import DDC, DDCAE, DDCUCON, DDCUCOT
from tests.support.paper_files import written_rules

CLASSES = {"ddc": DDC, "ddc-ae": DDCAE, "ddc-uco-n": DDCUCON, "ddc-uco-t": DDCUCOT}

every_method = pytest.mark.parametrize("name", CLASSES)


@cache
def reading(name: str, which: str) -> dict[str, Any]:
    """Return the parameters of a method under a reading; a later rule wins."""
    values = {}
    for rule in written_rules("tkuco2024"):
        field = rule["path"].removeprefix("params.")
        if field in CLASSES[name].Params.model_fields and name in rule.get("methods", CLASSES):
            values[field] = rule[which]
    return values


@cache
def images(n: int) -> torch.Tensor:
    return torch.from_numpy(DIGITS.load().prepare(("symmetric",), n).x)


class Problem:
    """A method's freshly initialised network in training mode, and its loss of one batch."""

    def __init__(self, name: str, n: int = 24, dtype: torch.dtype = torch.float64, **values: Any) -> None:
        self.method = CLASSES[name](10, **values)
        self.params = self.method.checked_params()
        context = RunContext(Streams("digits", 0), Protocol(phases={"train": Phase()}))
        self.model: nn.Module = self.method.build(self.params, (1, 28, 28), context).to(dtype).train()
        self.batch = Batch(images(n).to(dtype), torch.arange(n))
        [self.phase] = self.method.phases(self.model, self.params, self.batch.x, context)
        [self.objective] = self.phase.objectives

    def terms(self) -> Terms:
        return self.phase.forward(self.model, self.batch)[0]

    def total(self) -> float:
        return self.objective.total(self.terms()).item()

    def output(self) -> Any:
        return self.model(self.batch.x, self.method.tapped(self.params))


def distances(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    return np.array([((row - flat) ** 2).sum(axis=1) for row in flat])


def grassmann(x: np.ndarray, transpose: bool, form: str, ridge: float) -> np.ndarray:
    """Sum Eq. 16 or 17 of tkuco2024 over the modes, with right singular vectors scaled by s / sqrt(s^2 + ridge)."""
    n, total = len(x), 0
    for mode in (1, 2, 3):
        matrices = np.moveaxis(x, mode, 1).reshape(n, x.shape[mode], -1)
        if transpose and matrices.shape[1] > matrices.shape[2]:
            matrices = matrices.swapaxes(1, 2)
        _, s, vt = np.linalg.svd(matrices, full_matrices=False)
        bases = (s / np.sqrt(s**2 + ridge))[:, :, None] * vt
        traces = np.array([[((a @ b.T) ** 2).sum() for b in bases] for a in bases])
        own = np.diag(traces)
        ranks = own[:, None] + own if form == "projector" else 2 * matrices.shape[1]
        total = total + ranks - 2 * traces
    return np.maximum(total, 0)


def gaussian(d2: np.ndarray, width: float, rule: str) -> np.ndarray:
    if rule == "paper":
        return np.exp(-d2 / (2 * (width * np.median(np.sqrt(d2))) ** 2))
    assert rule == "tkuco"
    return np.exp(-d2 / (2 * width * np.median(d2)))


def divergence(a: np.ndarray, kernel: np.ndarray) -> float:
    k = a.shape[1]
    quotients = [
        (a[:, i] @ kernel @ a[:, j]) / math.sqrt((a[:, i] @ kernel @ a[:, i]) * (a[:, j] @ kernel @ a[:, j]))
        for i, j in combinations(range(k), 2)
    ]
    return sum(quotients) / math.comb(k, 2)


def expected_terms(name: str, p: dict[str, Any], problem: Problem) -> dict[str, float]:
    """Return all terms in float64, from the arrays that the network gives."""
    with torch.no_grad():
        output = problem.output()
        decoded = problem.model.decoder(output.features) if name == "ddc-ae" else None
    alpha, hidden = output.assignments.double().numpy(), output.hidden.double().numpy()
    taps = [tap.double().numpy() for tap in output.taps]
    kernel = gaussian(distances(hidden), p["width"], p["width_rule"])
    corners = np.exp([[-((row - corner) ** 2).sum() for corner in np.eye(10)] for row in alpha])
    assert p["orthogonality"] == "mean"
    terms = {
        "separation": divergence(alpha, kernel),
        "orthogonality": np.mean([a @ b for a, b in combinations(alpha, 2)]),
        "simplex": divergence(corners, kernel),
    }
    if decoded is not None:
        terms["reconstruction"] = ((decoded.double() - problem.batch.x) ** 2).numpy().mean()
    for number, tap in enumerate(taps, start=1):
        d2 = distances(tap)
        if name == "ddc-uco-t":
            d2 = grassmann(tap, p["transpose"], p["projector_form"], p["ridge"])
        terms[f"companion_{number}"] = divergence(alpha, gaussian(d2, p["width"], p["width_rule"]))
    return terms


@every_method
@pytest.mark.parametrize("which", ["paper", "paper, wide", "code"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_term_equals_the_float64_computation_under_both_readings(name, which, dtype):
    values = dict(reading(name, which.removesuffix(", wide")))
    if which.endswith("wide"):  # the paper's width leaves next to nothing of the tensor kernel beside its diagonal
        values["width"] = 1.0
    problem = Problem(name, dtype=dtype, **values)
    with torch.no_grad():
        terms = {key: value.item() for key, value in problem.terms().items()}
    expected = expected_terms(name, values, problem)
    assert list(terms) == list(expected)
    assert terms == pytest.approx(expected, rel=1e-7 if dtype == torch.float64 else 1e-4)


@every_method
def test_defaults_are_the_paper_reading(name):
    assert Problem(name).params == Problem(name, **reading(name, "paper")).params


@pytest.mark.parametrize("name", ["ddc-uco-n", "ddc-uco-t"])
@pytest.mark.parametrize(
    ("omega", "weights"),
    [
        ("constant", (0.1, 0.1, 0.1)),
        ("linear", (0.1 / 3, 0.2 / 3, 0.1)),
        ("exponential", (0.001, 0.01, 0.1)),
        ("exponential-printed", (10.0, 1.0, 0.1)),
    ],
)
def test_companions_weigh_lambda_times_omega(name, omega, weights):
    taps = ("block1_pool", "block2_conv1", "block2_pool")
    problem = Problem(name, taps=taps, omega=omega, companion_weight=0.1)
    found = [problem.objective.weights[f"companion_{b}"] for b in (1, 2, 3)]
    assert found == pytest.approx(weights, rel=1e-12)
    terms = {key: value.item() for key, value in problem.terms().items()}
    total = terms["separation"] + terms["orthogonality"] + terms["simplex"]
    total += sum(weight * terms[f"companion_{b}"] for b, weight in enumerate(weights, start=1))
    assert problem.total() == pytest.approx(total, rel=1e-12)


def test_total_of_ddc_is_the_plain_sum_and_reconstruction_counts_a_tenth():
    for name, factors in {"ddc": (1, 1, 1), "ddc-ae": (1, 1, 1, 0.1)}.items():
        terms = [value.item() for value in Problem(name).terms().values()]
        assert Problem(name).total() == pytest.approx(np.dot(terms, factors), rel=1e-12)


def test_summed_orthogonality_is_the_mean_times_the_number_of_pairs():
    mean, total = (Problem("ddc", orthogonality=rule).terms()["orthogonality"].item() for rule in ("mean", "sum"))
    assert total == pytest.approx(mean * 24 * 23 / 2, rel=1e-12)


def test_readings_tap_the_first_block_after_and_before_its_pool():
    paper = Problem("ddc-uco-t", **reading("ddc-uco-t", "paper")).output().taps
    code = Problem("ddc-uco-t", **reading("ddc-uco-t", "code")).output().taps
    assert [tuple(tap.shape[1:]) for tap in paper] == [(32, 10, 10), (32, 3, 3)]
    assert [tuple(tap.shape[1:]) for tap in code] == [(32, 20, 20), (32, 3, 3)]
    pooled = code[0].detach().numpy().reshape(-1, 32, 10, 2, 10, 2).max(axis=(3, 5))
    np.testing.assert_allclose(paper[0].detach(), pooled, rtol=1e-12)


@pytest.mark.parametrize("name", ["ddc-uco-n", "ddc-uco-t"])
@pytest.mark.parametrize("number", [1, 2])
def test_detached_assignments_stop_the_gradient_of_companions_at_the_head(name, number):
    gradients = {}
    for detach in (False, True):
        problem = Problem(name, detach_assignments=detach)
        term = problem.terms()[f"companion_{number}"]
        convolution = problem.model.backbone.layers["block1_conv1"][0].weight
        parameters = (convolution, problem.model.head.hidden.weight, problem.model.head.output.weight)
        gradients[detach] = term.item(), torch.autograd.grad(term, parameters, allow_unused=True)
    assert gradients[True][0] == gradients[False][0]
    assert all(gradient.abs().max() > 0 for gradient in gradients[False][1])
    assert gradients[True][1][0].abs().max() > 0
    assert gradients[True][1][1] is gradients[True][1][2] is None


@pytest.mark.parametrize("vector_kernel", ["grassmann", "gaussian"])
def test_tensor_companions_on_vectors_compare_lines_or_points(vector_kernel):
    tap = np.random.default_rng(0).normal(size=(9, 5))
    problem = Problem("ddc-uco-t", vector_kernel=vector_kernel)
    found = problem.method.block_distances(torch.from_numpy(tap), problem.params)
    lines = tap / np.linalg.norm(tap, axis=1, keepdims=True)
    expected = distances(tap) if vector_kernel == "gaussian" else 2 - 2 * (lines @ lines.T) ** 2
    np.testing.assert_allclose(found, expected, atol=1e-5)


@every_method
@pytest.mark.parametrize("which", ["paper", "code"])
def test_a_few_steps_on_digits_lower_the_loss(name, which):
    problem = Problem(name, n=60, dtype=torch.float32, **reading(name, which))
    optimiser = torch.optim.Adam(problem.objective.parameters, lr=1e-3)
    first = problem.total()
    for _ in range(8):
        optimiser.zero_grad()
        problem.objective.total(problem.terms()).backward()
        optimiser.step()
    assert problem.total() < 0.95 * first


@every_method
def test_the_objective_trains_every_parameter(name):
    problem = Problem(name, dtype=torch.float32)
    trained = {id(parameter) for parameter in problem.objective.parameters}
    assert trained == {id(parameter) for parameter in problem.model.parameters()}
    problem.objective.total(problem.terms()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in problem.model.parameters())


# From the code reading, where the tensor kernel is wide, and the two forms of its distance differ.
CHANGES: dict[str, Any] = {
    "initialisation": "he",
    "batch_norm_epsilon": 1e-1,
    "width": 0.3,
    "width_rule": "paper",
    "width_average": "mean",
    "bandwidth": "sqrt2sigma",
    "orthogonality": "sum",
    "divergence_factor": "classes",
    "epsilon": "root",
    "reconstruction_weight": 0.2,
    "companion_weight": 0.1,
    "omega": "linear",
    "taps": ("block1_pool", "block2_pool"),
    "transpose": True,
    "projector_form": "projector",
    "kernel_solver": "eigh32",
    "ridge": 1e-3,
}
EVERYWHERE = {"width", "width_rule", "width_average", "bandwidth", "divergence_factor", "epsilon"}
# The loss of one batch of maps in training mode cannot see these; they have tests of their own, here or with the
# networks. Another number of clusters or network is another model.
UNSEEN = {"n_clusters", "network", "batch_norm_momentum", "detach_assignments", "vector_kernel"}
UNSEEN |= {"negligible_weight", "precision", "distance_gradient"}


@every_method
def test_every_parameter_has_a_change_to_test(name):
    assert set(CLASSES[name].Params.model_fields) <= CHANGES.keys() | UNSEEN


@every_method
def test_every_parameter_changes_the_loss_of_a_batch(name):
    def losses(**changes: Any) -> tuple[float, Terms]:
        problem = Problem(name, n=16, **reading(name, "code") | changes)
        with torch.no_grad():
            terms = problem.terms()
            return problem.objective.total(terms).item(), terms

    loss, terms = losses()
    assert losses() == (loss, terms)
    for field in CHANGES.keys() & CLASSES[name].Params.model_fields:
        changed_loss, changed_terms = losses(**{field: CHANGES[field]})
        assert abs(changed_loss - loss) > 1e-9 * loss, f"{field} is ignored"
        if field in EVERYWHERE:
            same = {key for key in terms if changed_terms[key] == terms[key]}
            assert same <= {"orthogonality", "reconstruction"}, f"{same} ignore {field}"


def test_batch_norm_momentum_changes_the_loss_in_inference_mode():
    losses = []
    for momentum in (0.99, 0.5):
        problem = Problem("ddc", batch_norm_momentum=momentum)
        problem.terms()
        problem.model.eval()
        losses.append(problem.total())
    assert losses[0] != pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("name", ["ddc", "ddc-ae"])
def test_bf16_rounds_the_convolutions_and_nothing_else(name):
    exact, rounded = (Problem(name, dtype=torch.float32, precision=p) for p in ("float32", "bf16"))
    seen = {}
    for module in ("backbone", "decoder"):
        part = getattr(rounded.model, module)
        if part is not None:
            part.register_forward_hook(lambda m, i, o, module=module: seen.update({module: o}))
    terms, truth = rounded.terms(), exact.terms()
    features = seen["backbone"][0]
    assert features.dtype == torch.bfloat16
    assert all(value.dtype == torch.float32 for value in terms.values())
    for term, value in terms.items():
        error = abs(value.item() - truth[term].item())
        assert error < 0.03 * abs(truth[term].item()), term
    assert any(terms[term] != truth[term] for term in terms)
    rounded.objective.total(terms).backward()
    assert all(p.grad.dtype == torch.float32 and torch.isfinite(p.grad).all() for p in rounded.model.parameters())


@pytest.mark.parametrize("taps", [("block1_pool", "block2_pool"), ("block1_conv2", "block2_pool")])
def test_leaving_out_negligible_kernel_entries_changes_gradients_by_less_than_a_millionth(taps):
    gradients = []
    for negligible in (0.0, 1e-8):
        problem = Problem("ddc-uco-t", n=60, dtype=torch.float32, taps=taps, negligible_weight=negligible)
        problem.objective.total(problem.terms()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in problem.model.parameters()]).double())
    assert ((gradients[1] - gradients[0]).norm() / gradients[0].norm()).item() < 1e-6


@every_method
def test_the_authors_distance_gradient_changes_directions_but_no_loss(name):
    """K15: the losses stay what they are; by way of its kernel the hidden layer is pushed elsewhere."""
    exact, authors = (Problem(name, distance_gradient=rule) for rule in ("exact", "authors"))
    assert {k: v.item() for k, v in exact.terms().items()} == {k: v.item() for k, v in authors.terms().items()}
    pushes = []
    for problem in (exact, authors):
        output = problem.output()
        kernel_only = replace(output, assignments=output.assignments.detach())
        terms = problem.method.terms(problem.model, kernel_only, problem.batch, problem.params)
        loss = terms["separation"] + terms["simplex"]
        pushes.append(torch.autograd.grad(loss, output.hidden)[0].flatten())
    assert torch.cosine_similarity(*pushes, dim=0) < 0.97
