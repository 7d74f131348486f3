"""The simulation behind the table of docs/cluster.md: its numbers are those of the script, and it is consistent."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmark.plan.runs import PlannedRun
from tests.bench.paper_on_gpus import STACK, STEPS, WAYS, Stack, Step, jobs_of, paper_runs, simulated, stacked, step_of
from tests.support.checkout import ROOT


@pytest.fixture(scope="module")
def runs() -> list[PlannedRun]:
    return paper_runs()


@pytest.mark.parametrize("way", [WAYS[0], WAYS[-1]], ids=lambda way: way[0])
def test_the_table_in_the_docs_is_what_the_script_prints(runs: list[PlannedRun], way: tuple[str, int, bool]) -> None:
    """To 5 %, so that a table that a paper gains does not make the docs wrong: hours are a model's anyway."""
    lines = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "cluster.md").read_text().splitlines()]
    printed = {(cells[0], cells[1]): cells[2:] for cells in lines if len(cells) == 5}
    for row in simulated(runs, *way, gpus=(1, 64) if way[1] > 1 else (8,)):
        work, makespan, idle = (float(cell.removesuffix(" %")) for cell in printed[row.how, str(row.gpus)])
        told = "print the table again: python -m tests.bench.paper_on_gpus"
        assert (row.work, row.makespan) == (pytest.approx(work, rel=0.05), pytest.approx(makespan, rel=0.05)), told
        assert 100 * row.idle == pytest.approx(idle, abs=5), told


def test_every_run_is_in_one_stack_of_its_kind_behind_the_stacks_of_its_parents(runs: list[PlannedRun]) -> None:
    stacks = stacked(runs, STACK)
    held = Counter(run.spec.run_id for stack in stacks for run in stack.runs)
    assert held == Counter(run.spec.run_id for run in runs)
    for stack in stacks:
        assert len(stack.runs) <= STACK
        assert len({run.spec.model_copy(update={"replicate": 0}).run_id for run in stack.runs}) == 1
    waiting = {job.run_id: job.parents for job in jobs_of(stacks)}
    mine = {run.spec.run_id: stack.run_id for stack in stacks for run in stack.runs}
    born = [(mine[run.spec.run_id], mine[parent]) for run in runs for parent in run.parents]
    assert born and all(parent in waiting[child] for child, parent in born)


def test_more_gpus_and_larger_stacks_never_make_more_work(runs: list[PlannedRun]) -> None:
    few = runs[:400]
    whole = {size: simulated(few, "", size, False, (1, 4)) for size in (1, 5, 20)}
    for size, (one, four) in whole.items():
        longest = max(stack.seconds() for stack in stacked(few, size)) / 3600
        assert one.work == pytest.approx(four.work) and one.idle == pytest.approx(0.0, abs=1e-9)
        assert max(longest, four.work / 4) <= four.makespan + 1e-9 <= one.makespan + 1e-9
        assert four.idle == pytest.approx(1 - four.work / (4 * four.makespan))
    assert whole[1][0].work > whole[5][0].work > whole[20][0].work


def test_a_step_in_a_stack_lies_between_that_alone_and_that_of_twenty() -> None:
    for step in STEPS.values():
        costs = [step.in_stack(size) for size in (1, 2, 5, STACK)]
        assert costs == sorted(costs, reverse=True)
        assert (costs[0], costs[-1]) == pytest.approx((step.alone, step.stacked))
    assert Step(1.0, 1.0, 0.5).in_stack(2) == pytest.approx(0.5 + 0.5 * (20 / 2 - 1) / 19)


def test_larger_images_and_taps_before_the_pool_cost_more(runs: list[PlannedRun]) -> None:
    def cost(method: str, dataset: str, tap: str = "") -> float:
        found = [
            run.spec
            for run in runs
            if run.spec.method == method and run.spec.data.name == dataset and tap in str(run.spec.params.get("taps"))
        ]
        return step_of(found[0]).stacked

    assert cost("ddc", "mnist") == 0.36 < cost("ddc", "usps") < cost("ddc", "coil-100") < cost("ddc", "coil100-128px")
    assert cost("ddc-uco-t", "mnist-full", "block1_conv2") == 1.62 > cost("ddc-uco-t", "mnist", "block1_pool") == 0.59
    assert Stack(tuple(runs[:1])).seconds() < Stack(tuple(runs[:1])).seconds(eager=True)
