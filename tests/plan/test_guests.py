"""Methods in a table that does not list them: whose rules are theirs, what is replaced, and their own protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.replaced import replaced_fields
from benchmark.plan.request import Request
from benchmark.registry import METHODS, load_plugins, register_method
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.training import Clusterer, ClusterParams

load_plugins()
LR, PRETRAIN_LR = 3e-4, 7e-4
DDC_ALONE = "uco2021/table3"
"""A table whose rows are all of one family: none of them has a pre-training."""


class VisitorParams(ClusterParams):
    noise: float = 0.7  # a parameter of DEC's has this name
    width: float = 0.9  # one of DDC's has this


@pytest.fixture(autouse=True)
def visitor() -> Iterator[None]:
    """Register a method with phases that have the names of DDC's training and of DEC's pre-training."""

    @register_method("visitor")
    class Visitor(Clusterer):
        """A guest."""

        Params = VisitorParams
        default_protocol = Protocol(
            phases={
                "train": Phase(optimiser=Optimiser(lr=LR), batch_size=50, budget=Budget(amount=77)),
                "pretrain": Phase(optimiser=Optimiser(lr=PRETRAIN_LR), budget=Budget(amount=33)),
            }
        )

    yield
    dict.pop(METHODS._entries, "visitor")  # type: ignore[arg-type]


def planned(table: str, *, profile: str = "paper", own: bool = False, dataset: str = "mnist") -> PlannedCell:
    asked = Request(profile, tables=(table,), methods=("visitor",), datasets=(dataset,), own_protocol=own)
    return plan_cells(asked)[0]


def spec_of(cell: PlannedCell):  # type: ignore[no-untyped-def]
    assert cell.resolved is not None
    return cell.resolved.spec


def test_rules_for_another_family_catch_no_phase_or_parameter_of_the_same_name():
    ddc = spec_of(planned(DDC_ALONE))
    assert ddc.protocol.phases["train"].optimiser.lr == 1e-4, "the protocol of the table's own rows"
    assert ddc.protocol.phases["pretrain"].optimiser.lr == PRETRAIN_LR, "DEC's rules are of another family"
    assert (ddc.params["width"], ddc.params["noise"]) == (0.15, 0.7)
    dec = spec_of(planned("tkuco2024/table5"))
    assert dec.protocol.phases["pretrain"].optimiser.lr != PRETRAIN_LR
    assert dec.params["noise"] == 0.2


def test_a_profile_of_another_family_spends_nothing_either():
    phases = spec_of(planned(DDC_ALONE, profile="quick", dataset="digits")).protocol.phases
    assert (phases["train"].budget.amount, phases["pretrain"].budget.amount) == (5, 33)


def test_fields_that_the_table_replaces_are_told_with_both_values():
    found = {item.path: (item.own, item.value) for item in replaced_fields(planned(DDC_ALONE))}
    assert found["phases.train.optimiser.lr"] == (LR, 1e-4)
    assert found["phases.train.batch_size"] == (50, 120)
    assert found["params.width"] == (0.9, 0.15)
    assert not [path for path in found if path.startswith(("phases.pretrain", "params.noise", "params.n_clusters"))]


def test_its_own_protocol_stays_with_the_budget_of_the_profile_and_another_run_id():
    own, host = planned("tkuco2024/table2", own=True), planned("tkuco2024/table2")
    spec = spec_of(own)
    assert spec.protocol.phases["train"].optimiser.lr == LR and spec.protocol.phases["train"].batch_size == 50
    assert spec.params["width"] == 0.9 and spec.data == spec_of(host).data
    assert spec.run_id != spec_of(host).run_id
    assert own.context.setting == "own-protocol" and not host.context.setting
    quick = spec_of(planned("tkuco2024/table2", profile="quick", own=True, dataset="digits"))
    assert quick.protocol.phases["train"].budget.amount == 8
    assert replaced_fields(own) == []


def test_rows_of_the_table_are_no_guests_and_keep_their_protocol():
    for own in (False, True):
        asked = Request("paper", tables=("tkuco2024/table2",), methods=("ddc",), own_protocol=own)
        cell = plan_cells(asked)[0]
        assert not cell.guest and not cell.own_protocol and replaced_fields(cell) == []
        assert (
            spec_of(cell).run_id
            == spec_of(plan_cells(Request("paper", tables=asked.tables, methods=("ddc",)))[0]).run_id
        )
