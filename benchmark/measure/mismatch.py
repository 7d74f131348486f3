"""Objective function mismatch: formulas on recorded numbers, which `benchmark.execution.observers` record.

From the inner products of the gradients of all loss terms (a Gram matrix, recorded at every evaluation) the cosine of
any two weighted sums of terms follows exactly: feature drift and OFM of whatever is called clustering or auxiliary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from benchmark.measure.ties import levels

Floats = npt.NDArray[np.float64]

GRAM, WEIGHT = "gram:", "weight:"
"""Prefixes of what the observer of drift records: inner products as "gram:A,B", weights as "weight:A"."""


class NotMeasured(ValueError):
    """A history lacks what a number needs, or is too short for it; the message says which, in a few words."""


def cosine(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the cosine of two vectors (p,): feature drift of two gradients, NaN where one is zero.

    dynae2022 Eq. 1 and 3, uco2021 Eq. 10, tkuco2024 Eq. 18. High values are agreement.

    Examples
    --------
    >>> cosine([1.0, 0.0], [0.0, 2.0])
    0.0
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else math.nan


def ofm(drift: float) -> float:
    """Return uco2021 Eq. 9, (1 - drift) / 2 in [0, 1]: high values are mismatch.

    >>> ofm(-1.0)
    1.0
    """
    return (1 - drift) / 2


def gram_entries(gradients: Mapping[str, npt.ArrayLike], weights: Mapping[str, float]) -> dict[str, float]:
    """Return inner products and weights of terms by the names under which they are recorded."""
    vectors = {name: np.asarray(value, dtype=np.float64) for name, value in gradients.items()}
    names = sorted(vectors)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place:]]
    inner = {f"{GRAM}{a},{b}": float(vectors[a] @ vectors[b]) for a, b in pairs}
    return inner | {f"{WEIGHT}{name}": float(weights.get(name, 1.0)) for name in names}


def recorded_terms(values: Iterable[str]) -> tuple[str, ...]:
    """Return the terms whose weights were recorded, sorted."""
    return tuple(sorted(name.removeprefix(WEIGHT) for name in values if name.startswith(WEIGHT)))


def matching(terms: Iterable[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the terms that one of the patterns (such as "companion_*") fits."""
    return tuple(term for term in terms if any(fnmatchcase(term, pattern) for pattern in patterns))


def drift(values: Mapping[str, float], auxiliary: Sequence[str]) -> float:
    """Return the feature drift of the weighted clustering terms against the weighted auxiliary ones.

    `values` are what was recorded at one evaluation; `auxiliary` are patterns of terms, all others are clustering.
    Auxiliary terms whose weights are all zero count with weight one.

    Raises
    ------
    NotMeasured
        Without recorded gradients, or where no term is auxiliary or all are.
    """
    terms = recorded_terms(values)
    if not terms:
        raise NotMeasured("history has no drift: rerun with --record drift")
    side = set(matching(terms, auxiliary))
    if not side or side == set(terms):
        raise NotMeasured("no clustering and auxiliary terms to compare")
    weights = {name: values[f"{WEIGHT}{name}"] for name in terms}
    if not any(weights[name] for name in side):
        weights |= dict.fromkeys(side, 1.0)
    gram = gram_matrix(values, terms)
    main = np.array([0.0 if name in side else weights[name] for name in terms])
    aux = np.array([weights[name] if name in side else 0.0 for name in terms])
    return _cosine_in(gram, main, aux)


def pair_drifts(values: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Return the drift between every pair of recorded terms."""
    terms = recorded_terms(values)
    gram, unit = gram_matrix(values, terms), np.eye(len(terms))
    return {
        (a, terms[j]): _cosine_in(gram, unit[i], unit[j]) for i, a in enumerate(terms) for j in range(i + 1, len(terms))
    }


def gram_matrix(values: Mapping[str, float], terms: Sequence[str]) -> Floats:
    """Return the recorded inner products (t, t) of the gradients of `terms`."""
    return np.array([[values[f"{GRAM}{min(a, b)},{max(a, b)}"] for b in terms] for a in terms], dtype=np.float64)


def _cosine_in(gram: Floats, first: Floats, second: Floats) -> float:
    size = float(first @ gram @ first) * float(second @ gram @ second)
    return float(first @ gram @ second) / math.sqrt(size) if size > 0 else math.nan


@dataclass(frozen=True)
class ROFM:
    """R-OFM of tkuco2024: `slope` (Eq. 20), `r2`, and `ratio`, what Eq. 21 prints, which is 1 - r2 (ledger C18).

    `points` is the number T of evaluations in the fit.
    """

    slope: float
    r2: float
    ratio: float
    points: int


def r_ofm(auxiliary: npt.ArrayLike, performance: npt.ArrayLike, degree: int = 2) -> ROFM:
    """Regress performance on the auxiliary loss by ordinary least squares (tkuco2024 Eq. 19-21).

    Parameters
    ----------
    auxiliary, performance
        (T,) loss a_t and performance p_t at T evaluations.
    degree
        gamma, the degree of the polynomial; the paper uses 2.

    Raises
    ------
    NotMeasured
        For fewer than degree + 2 evaluations, numbers that are not finite, a loss or performance that never changes, or
        losses of which no more than `degree` differ: a polynomial of this degree is not determined by them.
    """
    # statsmodels takes a second to import, and most commands fit nothing.
    from statsmodels.api import OLS

    a, p = np.asarray(auxiliary, dtype=np.float64), np.asarray(performance, dtype=np.float64)
    if len(a) < degree + 2:
        raise NotMeasured(f"{len(a)} evaluations are too few for a regression of degree {degree}")
    if not (np.isfinite(a).all() and np.isfinite(p).all()):
        raise NotMeasured("losses or performance are not finite")
    scale = float(a.std())
    if scale <= 1e-12 * max(1.0, float(np.abs(a).max())) or float(np.ptp(p)) == 0:
        raise NotMeasured("loss or performance never changes")
    different = int(levels(a).max()) + 1
    if different <= degree:
        raise NotMeasured(f"{different} different losses are too few for a regression of degree {degree}")
    # The fit is the same for shifted and scaled losses, but better conditioned; the slope is scaled back.
    z = (a - a.mean()) / scale
    fitted = OLS(p, np.vander(z, degree + 1, increasing=True)).fit()
    beta = np.asarray(fitted.params)
    slope = float(np.mean(sum(i * beta[i] * z ** (i - 1) for i in range(1, degree + 1)))) / scale
    r2 = float(fitted.rsquared)
    return ROFM(slope, r2, 1 - r2, len(a))


def calinski_harabasz(x: npt.ArrayLike, labels: npt.ArrayLike, *, squared: bool = True) -> float:
    """Return the Calinski-Harabasz index of clusters (n,) of samples (n, d); high is good.

    `squared` distances are the common convention (scikit-learn's); without, it is the formula of dtkc2019 section 7.1.
    NaN where there are fewer than two clusters, or nothing within them.
    """
    samples, groups = _clusters(x, labels)
    if len(groups) < 2:
        return math.nan
    power = 2 if squared else 1
    centre = samples.mean(axis=0)
    between = math.fsum(len(g) * float(np.linalg.norm(g.mean(axis=0) - centre)) ** power for g in groups)
    within = math.fsum(float((np.linalg.norm(g - g.mean(axis=0), axis=1) ** power).sum()) for g in groups)
    freedom = (len(samples) - len(groups)) / (len(groups) - 1)
    return freedom * between / within if within > 0 else math.nan


def davies_bouldin(x: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the Davies-Bouldin index of clusters (n,) of samples (n, d) (dtkc2019 section 7.1); low is good."""
    _, groups = _clusters(x, labels)
    if len(groups) < 2:
        return math.nan
    means = np.stack([g.mean(axis=0) for g in groups])
    spread = np.array([float(np.linalg.norm(g - m, axis=1).mean()) for g, m in zip(groups, means, strict=True)])
    gaps = np.linalg.norm(means[:, None] - means[None, :], axis=2)
    np.fill_diagonal(gaps, np.inf)
    if not gaps.min() > 0:
        return math.nan
    return float(((spread[:, None] + spread[None, :]) / gaps).max(axis=1).mean())


def _clusters(x: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, list[Floats]]:
    kinds = np.asarray(labels)
    samples = np.asarray(x, dtype=np.float64).reshape(len(kinds), -1)
    return samples, [samples[kinds == kind] for kind in np.unique(kinds)]


def purity(points: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of points (n, d) whose nearest other point has the same label (n,)."""
    return float(neighbours_match(points, labels).mean())


def neighbours_match(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each of the points (n, d) whether its nearest other point has the same label (n,)."""
    squares = (points**2).sum(axis=1)
    gaps = squares[:, None] + squares[None, :] - 2 * points @ points.T
    np.fill_diagonal(gaps, np.inf)
    match: np.ndarray = labels[gaps.argmin(axis=1)] == labels
    return match
