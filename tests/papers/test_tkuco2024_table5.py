"""Table 5 of tkuco2024: DEC-based models in both readings, on images and vectors, and the cells left blank."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.analysis.assemble import assemble
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.spec import RunSpec
from benchmark.tables import render_table
from benchmark.tables.values import BLANK

READINGS = ("paper", "code")
IMAGES = ("dec-conv", "dcec", "dec-conv-uco-n", "dec-conv-uco-t")
VECTORS = ("dec", "idec", "dec-uco-n", "dec-uco-t")
COMPANIONS = ("dec-conv-uco-n", "dec-conv-uco-t", "dec-uco-n", "dec-uco-t")


@pytest.fixture(autouse=True, scope="module")
def plugins() -> None:
    load_plugins()


def spec(method: str, reading: str, column: str = "", profile: str = "paper") -> RunSpec:
    column = column or ("mnist" if method in IMAGES else "reuters")
    asked = Request(profile, tables=("tkuco2024/table5",), methods=(method,), datasets=(column,), readings=(reading,))
    (cell,) = plan_cells(asked)
    return cell.specs[0]


@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("method", [*IMAGES, *VECTORS])
def test_refinement_is_the_code_s_but_for_what_the_readings_disagree_on(method, reading):
    found = spec(method, reading)
    phase = found.protocol.phases["cluster"]
    slow = reading == "code" and method in COMPANIONS
    assert (phase.optimiser.name, phase.optimiser.lr) == ("adam", 1e-4 if slow else 1e-3)
    assert (phase.budget.unit, phase.budget.amount, phase.evaluate_every, phase.keep) == ("epochs", 400, 5, "best")
    assert (phase.batch_size, phase.sampler, phase.drop_last) == (256, "shuffled", False)
    assert (phase.clip.kind, phase.clip.norm) == ("tensor", 10.0)
    assert not any(phase.drop_last for phase in found.protocol.phases.values()), "D6"
    assert found.params["update_interval"] == 140
    assert found.params["update_unit"] == ("steps" if reading == "paper" else "epochs")
    assert (found.params["tolerance"], found.params["starts"]) == (0.0, 20)


@pytest.mark.parametrize("method", [*IMAGES, *VECTORS])
def test_only_the_code_moves_statistics_in_evaluations_and_not_those_of_dec_and_dec_conv(method):
    """C20: `calc_ofm` of tk-uco's config/dec/experiments."""
    moves = [spec(method, reading).protocol.phases["cluster"].evaluation_moves_statistics for reading in READINGS]
    assert moves == [False, method not in ("dec", "dec-conv")]


def test_only_the_code_has_the_authors_gradient_and_for_naive_companions_alone():
    """K15: tensor kernels are differentiated automatically; DEC and DCEC have no kernel."""
    found = {method: spec(method, "code").params.get("distance_gradient") for method in (*IMAGES, *VECTORS)}
    assert {method for method, kind in found.items() if kind == "authors"} == {"dec-conv-uco-n", "dec-uco-n"}
    assert all(spec(method, "paper").params.get("distance_gradient") in (None, "exact") for method in found)


@pytest.mark.parametrize("method", ["dcec", "idec"])
def test_reconstruction_weighs_ten_times_the_clustering_on_the_mean_error(method):
    for reading in ("paper", "code"):
        params = spec(method, reading).params
        values = (params["clustering_weight"], params["reconstruction_weight"], params["reconstruction"])
        assert values == (1.0, 10.0, "mean")


@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("method", IMAGES)
def test_images_are_pre_trained_end_to_end_in_both_readings(method, reading):
    found = spec(method, reading)
    phase = found.protocol.phases["pretrain"]
    assert set(found.protocol.phases) == {"pretrain", "cluster"}
    assert (found.params["network"], found.params["embedding"]) == ("cnn-small", 10)
    assert (phase.optimiser.name, phase.optimiser.lr, phase.batch_size) == ("adam", 1e-3, 256)
    assert (phase.budget.unit, phase.budget.amount) == ("epochs", 200)
    assert phase.optimiser.decay_every == 0


@pytest.mark.parametrize("method", VECTORS)
def test_vectors_are_pre_trained_layer_by_layer_in_the_paper_reading_alone(method):
    paper, code = spec(method, "paper"), spec(method, "code")
    assert set(paper.protocol.phases) == {"layer", "pretrain", "cluster"}
    assert set(code.protocol.phases) == {"pretrain", "cluster"}
    assert (paper.protocol.phases["pretrain"].budget.amount, code.protocol.phases["pretrain"].budget.amount) == (
        100_000,
        200,
    )
    assert (paper.params["initialisation"], code.params["initialisation"]) == ("normal", "glorot")


@pytest.mark.parametrize("column", ["reuters", "rcv1-23405", "10x73k", "pbmc-facs-3774"])
def test_vectors_take_the_layers_of_dec_and_not_those_of_the_ddc_models(column):
    for reading in ("paper", "code"):
        params = spec("dec-uco-t", reading, column, "cpu").params
        assert (params["network"], params["taps"], params["transpose"]) == ("mlp-dec", ["layer2", "layer3"], True)
        assert params["vector_kernel"] == "grassmann"
    table2 = Request("cpu", tables=("tkuco2024/table2",), methods=("ddc-uco-t",), datasets=(column,))
    (cell,) = plan_cells(table2)
    assert cell.specs[0].params["network"] == "mlp-small"


def test_companions_of_images_have_the_taps_and_the_kernel_of_the_reading():
    paper, code = (spec("dec-conv-uco-t", reading).params for reading in ("paper", "code"))
    assert paper["taps"] == ["block1_pool", "block2_pool"] and code["taps"] == ["block1_conv2", "block2_pool"]
    assert (paper["transpose"], code["transpose"]) == (True, False)
    assert {params["companion_weight"] for params in (paper, code)} == {0.01}


def test_only_companions_on_coil_100_have_batches_of_200_and_in_the_code_reading_alone():
    sizes = {
        (method, reading): spec(method, reading, "coil-100").protocol.phases["cluster"].batch_size
        for method in IMAGES
        for reading in ("paper", "code")
    }
    assert {key for key, size in sizes.items() if size == 200} == {(m, "code") for m in COMPANIONS[:2]}


@pytest.mark.parametrize("profile", ["quick", "cpu", "paper"])
@pytest.mark.parametrize(("methods", "column"), [(IMAGES, "usps"), (VECTORS, "rcv1-23405")])
def test_the_models_of_a_column_start_from_one_pre_training(methods, column, profile):
    column = {"quick": "digits", "paper": "reuters" if column == "rcv1-23405" else column}.get(profile, column)
    for reading in ("paper", "code") if profile != "quick" else ("paper",):
        parents = {parent_of(spec(method, reading, column, profile)).run_id for method in methods}
        assert len(parents) == 1


def test_the_cpu_profile_is_a_tenth_with_the_three_updates_of_the_code():
    for method in ("dec-conv", "dec"):
        column = "usps" if method == "dec-conv" else "rcv1-23405"
        found = spec(method, "code", column, "cpu")
        amounts = {name: phase.budget.amount for name, phase in found.protocol.phases.items()}
        assert amounts == {"pretrain": 20, "cluster": 40}
        interval = found.params["update_interval"]
        assert len(range(0, 40, interval)) == len(range(0, 400, 140)) == 3
    assert spec("dec-conv", "paper", "usps", "cpu").params["update_interval"] == 140


def drawn(**more: Any) -> Any:
    asked = Request("cpu", tables=("tkuco2024/table5",), datasets=("usps", "pbmc-facs-3774"), **more)
    cells = plan_cells(asked)
    held = {
        found.run_id: RunRecord(
            run_id=found.run_id,
            spec=found,
            status="ok",
            loss=1.0 + found.replicate,
            metrics={"acc": 0.5, "nmi_geometric": 0.4},
            environment={"device": "cpu"},
        )
        for cell in cells
        for found in cell.specs
    }
    return assemble(
        load_paper("tkuco2024"),
        "table5",
        cells,
        lambda found: [held[found.run_id]] if found.run_id in held else [],
        lambda record: False,
        ("paper",),
    )


def test_rows_are_blank_in_the_columns_of_the_other_kind_of_samples():
    table = drawn()
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            own = (row.method in IMAGES) == (column.dataset == "usps")
            result = cell.results["paper"]
            assert (result.verdict == BLANK) == (not own)
            assert (result.value is None) == (not own)
            assert result.counts.get("missing", 0) == 0


def test_a_blank_cell_is_empty_in_every_form_of_the_table():
    for form in ("md", "tex", "csv"):
        text = render_table(drawn(), form)
        assert "not run" not in text and "incomplete" not in text
    lines = [line for line in render_table(drawn(), "md").splitlines() if line.startswith("| DCEC")]
    assert [cell.strip() for cell in lines[0].split("|")[3:7]][2:] == ["", ""]
