"""Vectors of documents: term counts to the tf-idf features that deep clustering papers use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Rows = npt.NDArray[np.int64]


def frequent_terms(totals: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return the indices of the `most` largest totals, ascending.

    Ties at the border fall as in scikit-learn's CountVectorizer, whose expression this is, for terms in its order.
    """
    return np.sort((-totals).argsort()[:most])


def sublinear_tfidf(counts: sparse.csr_array, rows: Rows) -> sparse.csr_array:
    """Return (1 + ln tf) idf of the documents `rows`, each row of length 1, float32, as Xie et al. and IDEC have it.

    idf = 1 + ln((1 + n) / (1 + df)) is that of all n documents in `counts` (n, d).
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    weights = TfidfTransformer(norm="l2", sublinear_tf=True).fit(counts)
    return sparse.csr_array(weights.transform(counts[rows].astype(np.float64)), dtype=np.float32)


def leading_features(weights: sparse.csr_array, most: int) -> sparse.csr_array:
    """Return the `most` features that occur in most documents, each row scaled to length 1 again, float32."""
    from sklearn.preprocessing import normalize

    frequency = np.bincount(weights.indices, minlength=weights.shape[1])
    chosen = weights[:, frequent_terms(frequency, most)]
    return sparse.csr_array(normalize(chosen.astype(np.float64)), dtype=np.float32)
