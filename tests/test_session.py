"""A cell of a paper's table in Python: its estimator has the whole protocol, and gives the bits of its runs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from benchmark.errors import UsageError
from benchmark.execution.execute import execute
from benchmark.execution.jobs import one_thread
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.session import cell_spec, estimator, samples

SMALL = ("phases.pretrain.budget.amount=1", "phases.cluster.budget.amount=1", "data.samples=300")
CELLS = [
    ("tkuco2024/table2", "ddc", "digits", ("phases.train.budget.amount=1", "data.samples=300")),
    ("tkuco2024/table2", "k-means", "digits", ("data.samples=300",)),
    ("idec2017/table2", "idec", "digits", SMALL),
]


@pytest.mark.parametrize(("table", "method", "dataset", "sets"), CELLS, ids=[f"{t} {m}" for t, m, *_ in CELLS])
def test_a_fit_gives_the_bits_of_the_run_of_the_same_cell(table, method, dataset, sets):
    cell = {"reading": "paper", "profile": "quick", "sets": sets}
    spec = cell_spec(table, method, dataset, **cell)
    (planned,) = plan_cells(Request(tables=(table,), methods=(method,), datasets=(dataset,), sets=sets))
    assert planned.specs[0].run_id == spec.run_id
    data = samples(table, method, dataset, **cell)
    for replicate in (0, 2):
        with one_thread():
            run = execute(spec.model_copy(update={"replicate": replicate}))
        fitted = estimator(table, method, dataset, replicate=replicate, **cell).fit(data.x)
        record, outcome = run.record, fitted.outcome_
        assert (record.loss, record.final_loss) == (outcome.loss, outcome.final_loss)
        assert record.first_losses == outcome.first_losses
        np.testing.assert_array_equal(run.labels, fitted.labels_)


def test_the_estimator_has_the_protocol_of_reading_and_profile():
    found = estimator("idec2017/table2", "idec", "usps", reading="code", profile="cpu")
    spec = cell_spec("idec2017/table2", "idec", "usps", reading="code", profile="cpu")
    assert type(found).__name__ == "IDEC" and found.protocol == spec.protocol
    assert {name: getattr(found, name) for name in spec.params} == spec.params
    other = estimator("idec2017/table2", "idec", "usps", reading="paper", profile="cpu")
    paper = cell_spec("idec2017/table2", "idec", "usps", reading="paper", profile="cpu")
    assert (paper.params, paper.protocol) != (spec.params, spec.protocol)
    assert other.protocol == paper.protocol and other.initialisation == paper.params["initialisation"]
    assert found.protocol != estimator("idec2017/table2", "idec", "usps", reading="code", profile="paper").protocol


def test_arguments_replace_those_of_the_cell():
    found = estimator("tkuco2024/table2", "ddc", "digits", n_clusters=4, epochs=1, random_state=5)
    assert (found.n_clusters, found.epochs, found.random_state) == (4, 1, 5)


def test_the_estimator_is_cloned_and_pickled_as_any_other():
    found = estimator("tkuco2024/table2", "k-means", "digits")
    x = np.random.default_rng(0).random((40, 3))
    labels = found.fit(x).labels_
    for copy in (clone(found), pickle.loads(pickle.dumps(found))):
        assert copy.get_params() == found.get_params()
        np.testing.assert_array_equal(copy.fit(x).labels_, labels)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (("tkuco2024/table9", "ddc", "digits"), "table9"),
        (("tkuco2024/table2", "dcc", "digits"), "did you mean"),
        (("tkuco2024/table2", "ddc", "usps"), "in the quick profile"),
        (("tkuco2024/table4", "ddc-uco-t", "digits"), "setting="),
    ],
)
def test_a_cell_that_is_none_or_several_is_one_sentence(cell, words):
    with pytest.raises(UsageError, match=words) as caught:
        estimator(*cell)
    assert "\n" not in str(caught.value) and str(caught.value)[-1] in ".?"
