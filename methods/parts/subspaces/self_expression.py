"""Every sample as a sparse combination of the others: orthogonal matching pursuit, and the elastic net.

Both work on blocks of samples at once. `x` (n, d) are samples by row, a representation is (support, coefficients), both
(b, s): the positions of the others, and how much of each; unused places have the coefficient 0.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, diags_array
from sklearn import config_context
from sklearn.linear_model import enet_path

from methods.parts.flat import stopping_at_its_limit

ROWS = 512
"""How many samples are represented at a time."""

SWEEPS, PRECISION = 1000, 1e-6
"""Coordinate descent of a sample ends after so many sweeps, or at this duality gap, as a share of its squared norm."""

Sparse = tuple[np.ndarray, np.ndarray]


def matching_pursuit(x: np.ndarray, rows: np.ndarray, size: int, threshold: float) -> Sparse:
    """Represent the samples at `rows` (b,) by at most `size` others, each the best for what is still missing.

    Pursuit of a sample ends when the squared norm of its residual is below `threshold` times the norm of the sample;
    the authors' code has it so, squared against unsquared.
    """
    targets = x[rows].astype(np.float64)
    limits = threshold * np.linalg.norm(targets, axis=1)
    support = np.zeros((len(rows), size), dtype=np.int64)
    coefficients = np.zeros((len(rows), size))
    residual, active = targets.copy(), np.arange(len(rows))
    for step in range(min(size, len(x) - 1)):
        active = active[np.square(residual[active]).sum(axis=1) >= limits[active]]
        if not len(active):
            break
        coherence = np.abs(residual[active].astype(x.dtype) @ x.T)
        np.put_along_axis(coherence, support[active, :step], -1.0, axis=1)
        coherence[np.arange(len(active)), rows[active]] = -1.0
        support[active, step] = coherence.argmax(axis=1)
        atoms = x[support[active, : step + 1]].astype(np.float64)
        gram = atoms @ atoms.transpose(0, 2, 1)
        right = np.einsum("bsd,bd->bs", atoms, targets[active])
        solved = np.einsum("bst,bt->bs", np.linalg.pinv(gram, hermitian=True), right)
        coefficients[active, : step + 1] = solved
        residual[active] = targets[active] - np.einsum("bs,bsd->bd", solved, atoms)
    return support, coefficients


def elastic_net(
    x: np.ndarray, rows: np.ndarray, tau: float, gamma: float, start: int = 100, kept: int = 50, rounds: int = 40
) -> Sparse:
    """Represent the samples at `rows` (b,) by an elastic net over all others (You et al., 2016).

    Minimises tau |c|_1 + (1 - tau) / 2 |c|^2 + 1 / (2 a) ||x_i - c X||^2 with c_i = 0 and a = max_j |x_j'x_i| /
    (tau gamma). Solved on the `start` most coherent others, to which those are added that violate optimality, until
    none does; of the result the `kept` largest stay.
    """
    targets = x[rows].astype(np.float64)
    coherence = _coherence(x, rows, targets)
    scale = coherence.max(axis=1) / (tau * gamma)
    size = min(start, len(x) - 1)
    support = np.argpartition(-coherence, size - 1, axis=1)[:, :size]
    found = np.zeros((len(rows), kept), dtype=np.int64), np.zeros((len(rows), kept))
    active = np.flatnonzero(scale > 0)  # what is orthogonal to all others stays without a representation
    support, coefficients = support[active], np.zeros((len(active), size))
    for turn in range(rounds):
        atoms = x[support].astype(np.float64)
        coefficients = _descended(atoms, targets[active], scale[active], tau, coefficients)
        pull = _coherence(x, rows[active], targets[active] - np.einsum("bs,bsd->bd", coefficients, atoms))
        np.put_along_axis(pull, support, -1.0, axis=1)
        violated = pull > (tau * scale[active] * (1 + 1e-4))[:, None]
        open_ = violated.any(axis=1) & (turn < rounds - 1)
        for whole, part in zip(found, _largest(support[~open_], coefficients[~open_], kept), strict=True):
            whole[active[~open_], : part.shape[1]] = part
        if not open_.any():
            break
        active, pull = active[open_], pull[open_]
        more = min(start, int(violated.sum(axis=1).max()))
        added = np.argpartition(-pull, more - 1, axis=1)[:, :more]
        support, coefficients = _widened(support[open_], coefficients[open_], added)
    return found


def affinity_of(n: int, blocks: list[tuple[np.ndarray, Sparse]]) -> csr_array:
    """Return the symmetric affinity (n, n) of representations: rows of unit length, moduli, the mean of both ways."""
    rows = np.concatenate([np.repeat(index, found[0].shape[1]) for index, found in blocks])
    columns = np.concatenate([found[0].ravel() for _, found in blocks])
    values = np.concatenate([found[1].ravel() for _, found in blocks])
    used = values != 0
    whole = csr_array((np.abs(values[used]), (rows[used], columns[used])), shape=(n, n))
    lengths = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=1)).ravel())
    scale = np.divide(1.0, lengths, out=np.zeros(n), where=lengths > 0)
    whole = csr_array(diags_array(scale) @ whole)
    return csr_array((whole + whole.T) / 2)


def _coherence(x: np.ndarray, rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return |x_j' v| (b, n) of every sample with each vector (b, d); of a sample with itself it is -1."""
    found = np.abs(vectors.astype(x.dtype) @ x.T)
    found[np.arange(len(rows)), rows] = -1.0
    return np.asarray(found, dtype=np.float64)


def _descended(atoms: np.ndarray, targets: np.ndarray, scale: np.ndarray, tau: float, start: np.ndarray) -> np.ndarray:
    """Return the coefficients (b, s) that minimise the elastic net on `atoms` (b, s, d), by coordinate descent.

    It begins at `start` (b, s), which it overwrites.
    """
    found = np.empty_like(start)
    gram = atoms @ atoms.transpose(0, 2, 1)
    right = np.einsum("bsd,bd->bs", atoms, targets)
    random = np.random.RandomState(0)  # enet_path draws a seed that it has no use for, else from the global generator
    with stopping_at_its_limit(), config_context(skip_parameter_validation=True):
        for row, target in enumerate(targets):
            _, path, _ = enet_path(
                atoms[row].T,
                target,
                l1_ratio=tau,
                alphas=[scale[row] / len(target)],  # scikit-learn divides the squares by the number of values
                precompute=gram[row],
                Xy=right[row],
                coef_init=start[row],
                check_input=False,
                random_state=random,
                max_iter=SWEEPS,
                tol=PRECISION,
            )
            found[row] = path[:, 0]
    return found


def _widened(support: np.ndarray, coefficients: np.ndarray, added: np.ndarray) -> Sparse:
    """Return a support with places `added` behind it, and without those that no sample of the block uses."""
    order = np.argsort(coefficients == 0, axis=1, kind="stable")
    used = int((coefficients != 0).sum(axis=1).max())
    kept = order[:, :used]
    wide = np.hstack([np.take_along_axis(support, kept, axis=1), added])
    values = np.take_along_axis(coefficients, kept, axis=1)
    return wide, np.hstack([values, np.zeros(added.shape)])


def _largest(support: np.ndarray, coefficients: np.ndarray, kept: int) -> Sparse:
    """Return the `kept` coefficients of largest modulus of each sample, and their places."""
    order = np.argsort(-np.abs(coefficients), axis=1, kind="stable")[:, :kept]
    return np.take_along_axis(support, order, axis=1), np.take_along_axis(coefficients, order, axis=1)
