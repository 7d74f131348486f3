"""External clustering metrics: ACC, NMI and ARI, all from one contingency table.

Labels are any non-negative integers, with or without gaps; only the partition they describe counts. All metrics
are fractions.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Average = Literal["arithmetic", "geometric"]
Table = npt.NDArray[np.int64]

# A joint count over this many bins is still cheaper than sorting the labels of a usual data set.
_MAX_DENSE_BINS = 1 << 18


def contingency_table(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Table:
    """Count the samples of each class in each cluster.

    Parameters
    ----------
    y_true, y_pred
        Classes and clusters of the same n samples: (n,) non-negative integers, n >= 1.

    Returns
    -------
    (n_classes, n_clusters) int64
        One row per class and one column per cluster that occurs, in increasing order of the labels.

    Raises
    ------
    ValueError
        If the labels are not one-dimensional, not integers, negative, empty, or of different lengths.

    Examples
    --------
    >>> contingency_table([0, 0, 7], [1, 1, 0])
    array([[0, 2],
           [1, 0]])
    """
    true, pred = _labels(y_true, "y_true"), _labels(y_pred, "y_pred")
    if len(true) != len(pred):
        raise ValueError(f"y_true has {len(true)} labels and y_pred {len(pred)}: give one of each per sample.")
    rows, columns = int(true.max()) + 1, int(pred.max()) + 1
    if rows * columns > _MAX_DENSE_BINS:
        true, pred = np.unique(true, return_inverse=True)[1], np.unique(pred, return_inverse=True)[1]
        rows, columns = int(true.max()) + 1, int(pred.max()) + 1
    joint = true.astype(np.int64) * columns + pred.astype(np.int64)
    table = np.bincount(joint, minlength=rows * columns).reshape(rows, columns).astype(np.int64, copy=False)
    occupied: Table = table[table.any(axis=1)][:, table.any(axis=0)]
    return occupied


def clustering_accuracy(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> float:
    """Return the ACC: the share of samples on the best one-to-one map of clusters to classes.

    The assignment is by the Hungarian method. Where there are more clusters than classes, or fewer, the ones left over
    match nothing and their samples count as wrong (dtkc2019 section 7.2, dynae2022 Eq. 15).

    Examples
    --------
    >>> clustering_accuracy([0, 0, 1, 1], [5, 5, 5, 2])
    0.75
    """
    return _accuracy(contingency_table(y_true, y_pred))


def nmi(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, average: Average = "arithmetic") -> float:
    """Return the normalised mutual information, divided by a mean of the two entropies.

    The arithmetic mean is that of dtkc2019 section 7.2; the geometric one is that of tkuco2024's code and of
    scikit-learn before 0.22, and never gives less. As in scikit-learn, two partitions of one cluster each give 1,
    and one of them against any other gives 0.

    Examples
    --------
    >>> nmi([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    """
    if average not in ("arithmetic", "geometric"):
        raise ValueError(f"average must be 'arithmetic' or 'geometric', not {average!r}.")
    return _nmi(contingency_table(y_true, y_pred))[average]


def ari(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985), which is 0 on average for random labels.

    Examples
    --------
    >>> ari([0, 0, 1, 1], [0, 1, 0, 1])
    -0.5
    """
    return _ari(contingency_table(y_true, y_pred))


def evaluate_clustering(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> dict[str, float]:
    """Return acc, nmi (arithmetic), nmi_geometric and ari, as fractions, from one contingency table."""
    table = contingency_table(y_true, y_pred)
    information = _nmi(table)
    return {
        "acc": _accuracy(table),
        "nmi": information["arithmetic"],
        "nmi_geometric": information["geometric"],
        "ari": _ari(table),
    }


def _labels(labels: npt.ArrayLike, name: str) -> npt.NDArray[np.integer[Any]]:
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, but its shape is {array.shape}.")
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one label.")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, but its type is {array.dtype}.")
    if array.min() < 0:
        raise ValueError(f"{name} must hold non-negative labels, but its lowest is {array.min()}.")
    return array


def _accuracy(table: Table) -> float:
    from scipy.optimize import linear_sum_assignment

    # SciPy solves the rectangular problem itself: the optimum is that of the table padded with zeros to a square.
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def _nmi(table: Table) -> dict[str, float]:
    if table.size == 1:
        return {"arithmetic": 1.0, "geometric": 1.0}
    # One class tells nothing of many clusters; rounding, which grows with their number, would say otherwise.
    if 1 in table.shape:
        return {"arithmetic": 0.0, "geometric": 0.0}
    joint = table / table.sum()
    classes, clusters = joint.sum(axis=1), joint.sum(axis=0)
    row, column = np.nonzero(table)
    p = joint[row, column]
    information = float(p @ np.log(p / (classes[row] * clusters[column])))
    # Rounding leaves about 1e-16 of information between independent partitions.
    if information <= np.finfo(np.float64).eps:
        return {"arithmetic": 0.0, "geometric": 0.0}
    h_true, h_pred = _entropy(classes), _entropy(clusters)
    return {
        "arithmetic": min(1.0, information / ((h_true + h_pred) / 2)),
        "geometric": min(1.0, information / float(np.sqrt(h_true * h_pred))),
    }


def _entropy(p: npt.NDArray[np.float64]) -> float:
    return -float(p @ np.log(p))


def _ari(table: Table) -> float:
    # Python integers: the products below pass 2^63 from about 60 000 samples.
    n = int(table.sum())
    together = int((table**2).sum()) - n
    same_class = int((table.sum(axis=1) ** 2).sum()) - n
    same_cluster = int((table.sum(axis=0) ** 2).sum()) - n
    pairs = n * (n - 1)
    if together == same_class == same_cluster:
        return 1.0
    # (together - expected) / (maximum - expected), with expected = same_class * same_cluster / pairs, times 2 pairs.
    chance = 2 * same_class * same_cluster
    return (2 * together * pairs - chance) / ((same_class + same_cluster) * pairs - chance)
