"""The paper data of idec2017: numbers as published, both readings field by field, shared pre-training, its figures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.analysis import figures
from benchmark.analysis.assemble import assemble, data_table
from benchmark.catalogue import method_facts
from benchmark.figures.declared import embedding_name
from benchmark.figures.kit import png_bytes
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.plan.resolve import applies
from benchmark.record import Evaluation, RunRecord
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.store import shipped_rows
from tests.support.checkout import ROOT

load_plugins()
pytestmark = pytest.mark.usefixtures("nothing_shipped")
FOLDER = ROOT / "paper_tables" / "idec2017"
TABLE2 = "idec2017/table2"
TRAINED = ("ae-k-means", "dec", "idec")

# Table 2 as printed: ACC, NMI by column; None where the paper has none.
PRINTED = {
    "k-means": [(53.24, None), (66.82, None), (51.62, None)],
    "sec": [(80.37, None), (None, None), (60.08, None)],
    "ae-k-means": [(81.82, 74.73), (69.31, 66.20), (70.52, 39.79)],
    "dec": [(86.55, 83.72), (74.08, 75.29), (73.68, 49.76)],
    "idec": [(88.06, 86.72), (76.05, 78.46), (75.64, 49.81)],
}
COLUMNS = ("mnist-full", "usps", "reuters10k")


def cells(table: str = TABLE2, profile: str = "paper", **more: Any) -> list[PlannedCell]:
    return plan_cells(Request(profile, tables=(table,), **more))


def spec(method: str, column: str, reading: str, profile: str = "paper") -> RunSpec:
    (cell,) = cells(profile=profile, methods=(method,), datasets=(column,), readings=(reading,))
    return cell.specs[0]


def value(found: RunSpec, path: str) -> Any:
    """Return what stands at a dotted path, None where a field has its introduction default or is unused."""
    head, *rest = path.split(".")
    plain: Any = found.params if head == "params" else found.protocol.phases
    for part in rest:
        plain = plain[part] if isinstance(plain, dict) else getattr(plain, part)
    return plain


def test_every_published_number_of_table_2_is_there_and_is_the_printed_one():
    paper = load_paper("idec2017")
    table, protocol = paper.table("table2"), paper.protocol
    found = {
        row: [
            tuple(
                number.value if number else None
                for metric in ("acc", "nmi")
                for number in [
                    paper.published_value(
                        table, protocol.methods[row], protocol.columns[column], "", protocol.metrics[metric], "best"
                    )
                ]
            )
            for column in COLUMNS
        ]
        for row in PRINTED
    }
    assert found == PRINTED
    with (FOLDER / "published.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 23


BOTH = [  # methods, column, path, paper, code
    (TRAINED, "usps", "params.network", "mlp-dec", "mlp-dec"),
    (TRAINED, "usps", "params.embedding", 10, 10),
    (TRAINED, "usps", "params.pretraining", "layer-wise", "end-to-end"),
    (TRAINED, "mnist-full", "params.initialisation", "normal", "fan-in"),
    (TRAINED, "usps", "params.initialisation", "normal", "glorot"),
    (TRAINED, "reuters10k", "params.initialisation", "normal", "fan-in"),
    (TRAINED, "usps", "params.starts", 20, 20),
    (TRAINED, "mnist-full", "phases.pretrain.optimiser.name", "sgd", "adam"),
    (TRAINED, "mnist-full", "phases.pretrain.optimiser.lr", 0.1, 1e-3),
    (TRAINED, "reuters10k", "phases.pretrain.optimiser.name", "sgd", "sgd"),
    (TRAINED, "reuters10k", "phases.pretrain.optimiser.lr", 0.1, 1.0),
    (TRAINED, "usps", "phases.pretrain.optimiser.name", "sgd", "adam"),
    (TRAINED, "usps", "phases.pretrain.optimiser.lr", 0.1, 1e-3),
    (TRAINED, "usps", "phases.pretrain.optimiser.decay", 0.1, 1.0),
    (TRAINED, "usps", "phases.pretrain.batch_size", 256, 256),
    (TRAINED, "usps", "phases.pretrain.budget.unit", "steps", "epochs"),
    (TRAINED, "mnist-full", "phases.pretrain.budget.amount", 100_000, 300),
    (TRAINED, "usps", "phases.pretrain.budget.amount", 100_000, 50),
    (TRAINED, "reuters10k", "phases.pretrain.budget.amount", 100_000, 50),
    (("dec", "idec"), "usps", "params.tolerance", 1e-3, 1e-3),
    (("dec", "idec"), "usps", "params.update_unit", "steps", "steps"),
    (("idec",), "mnist-full", "params.update_interval", 140, 140),
    (("idec",), "usps", "params.update_interval", 30, 30),
    (("idec",), "reuters10k", "params.update_interval", 3, 3),
    (("dec",), "mnist-full", "params.update_interval", 160, 140),
    (("dec",), "usps", "params.update_interval", 30, 30),
    (("dec",), "reuters10k", "params.update_interval", 20, 20),
    (("idec",), "usps", "params.clustering_weight", 0.1, 0.1),
    (("idec",), "usps", "params.reconstruction", "mean", "mean"),
    (("idec",), "mnist-full", "phases.cluster.optimiser.name", "adam", "adam"),
    (("idec",), "mnist-full", "phases.cluster.optimiser.lr", 1e-3, 1e-3),
    (("idec",), "usps", "phases.cluster.optimiser.name", "sgd", "sgd"),
    (("idec",), "usps", "phases.cluster.optimiser.lr", 0.1, 0.1),
    (("idec",), "usps", "phases.cluster.optimiser.momentum", 0.99, 0.99),
    (("idec",), "reuters10k", "phases.cluster.optimiser.momentum", 0.99, 0.99),
    (("dec",), "mnist-full", "phases.cluster.optimiser.lr", 0.01, 0.01),
    (("dec",), "usps", "phases.cluster.optimiser.momentum", 0.9, 0.9),
    (("dec", "idec"), "usps", "phases.cluster.batch_size", 256, 256),
    (("dec", "idec"), "usps", "phases.cluster.sampler", "fixed", "fixed"),
    (("dec", "idec"), "usps", "phases.cluster.drop_last", False, False),
    (("dec", "idec"), "usps", "phases.cluster.budget.unit", "steps", "steps"),
    (("dec", "idec"), "usps", "phases.cluster.budget.amount", 20_000, 20_000),
]


@pytest.mark.parametrize(("methods", "column", "path", "paper", "code"), BOTH)
def test_fields_are_those_of_the_reading(methods, column, path, paper, code):
    for method in methods:
        assert value(spec(method, column, "paper"), path) == paper
        assert value(spec(method, column, "code"), path) == code


def test_layers_are_pre_trained_as_in_the_paper_of_dec_and_only_in_the_paper_reading():
    phase = spec("dec", "mnist-full", "paper").protocol.phases["layer"]
    sgd = phase.optimiser
    assert (sgd.name, sgd.lr, sgd.momentum, sgd.decay, sgd.decay_every) == ("sgd", 0.1, 0.9, 0.1, 20_000)
    assert (phase.budget.unit, phase.budget.amount, phase.batch_size) == ("steps", 50_000, 256)
    assert spec("dec", "mnist-full", "paper").params["noise"] == 0.2
    assert "layer" not in spec("dec", "mnist-full", "code").protocol.phases


@pytest.mark.parametrize(
    ("column", "paper", "code", "steps"),
    [
        ("mnist-full", "mnist-full", "mnist-full", ("flatten", "times:5.1")),
        ("usps", "usps", "usps", ("flatten", "times:2")),
        ("reuters10k", "reuters10k-random", "reuters10k", ("sqrt_dim",)),
        ("reuters10k-ltc", "reuters10k-ltc", "reuters10k-ltc", ("sqrt_dim",)),
        ("rcv1-23405", "rcv1-23405", "rcv1-23405", ("sqrt_dim",)),
        ("rcv1-10000", "rcv1-10000", "rcv1-10000", ("sqrt_dim",)),
    ],
)
def test_data_are_those_of_the_reading(column, paper, code, steps):
    for reading, name in (("paper", paper), ("code", code)):
        data = spec("idec", column, reading).data
        assert (data.name, data.preprocess, data.samples) == (name, steps, None)
    assert load_paper("idec2017").protocol.columns[column].stand_in == (
        column in ("reuters10k-ltc", "rcv1-23405", "rcv1-10000")
    )


def test_table_1_counts_what_the_paper_counts():
    table = data_table(load_paper("idec2017"), "table1")
    at = {name: table.header.index(name) for name in ("samples", "classes")}
    found = {row[0]: (row[at["samples"]], row[at["classes"]]) for row in table.rows}
    assert found["MNIST"] == ("70000", "10") and found["USPS"] == ("9298", "10")
    assert found["REUTERS-10K"] == ("10000", "4")
    dimensions = {"mnist-full": 784, "usps": 256, "reuters10k": 2000}
    assert {name: int(np.prod(DATASETS[name].shape)) for name in dimensions} == dimensions


@pytest.mark.parametrize("profile", ["cpu", "paper"])
@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("column", COLUMNS)
def test_the_three_methods_of_a_column_have_one_pre_training(column, reading, profile):
    found = [spec(method, column, reading, profile) for method in TRAINED]
    shared = set(found[0].params)
    assert {"network", "embedding", "initialisation", "pretraining", "noise", "starts"} <= shared
    for other in found[1:]:
        assert {name: other.params[name] for name in shared} == found[0].params
        assert {n: p for n, p in other.protocol.phases.items() if n != "cluster"} == dict(found[0].protocol.phases)
        assert other.data == found[0].data


@pytest.mark.parametrize(("profile", "runs"), [("quick", 3), ("cpu", 5), ("paper", 10)])
def test_profiles_have_their_runs_and_the_reduced_ones_count_epochs(profile, runs):
    found = cells(profile=profile, methods=TRAINED)
    assert {cell.runs for cell in found} == {runs}
    units = {phase.budget.unit for cell in found for phase in cell.specs[0].protocol.phases.values()}
    assert units == ({"epochs"} if profile != "paper" else {"steps"})
    if profile == "cpu":
        assert all(
            cell.specs[0].protocol.phases["cluster"].budget.amount == 20 for cell in found if cell.row != "ae-k-means"
        )
        sizes = {c.specs[0].data.samples or DATASETS[c.specs[0].data.name].n_samples for c in found}
        assert max(sizes) <= 10_000


def test_the_sweep_of_figure_4_is_settings_with_the_optimiser_of_the_text():
    found = cells("idec2017/figure4", datasets=("mnist-full",))
    assert len(found) == 4 * 7
    optimisers = [cell.specs[0].protocol.phases["cluster"].optimiser for cell in found]
    assert {(o.name, o.momentum) for o in optimisers} == {("sgd", 0.9)}
    assert {o.lr for o in optimisers} == {0.1, 0.01, 0.001, 0.0001}
    gammas = {cell.specs[0].params["clustering_weight"] for cell in found}
    assert (min(gammas), max(gammas)) == (0.01, 100.0)
    (dec,) = {
        c.specs[0].run_id
        for c in cells("idec2017/figure4-dec")
        if c.setting == "lambda=0.01" and c.column == "mnist-full"
    }
    assert dec == spec("dec", "mnist-full", "paper").run_id


def test_every_ledger_field_is_a_field_of_a_method_or_of_the_data():
    ledger = load_paper("idec2017").ledger
    assert {f"I{n}" for n in (1, 2, 3, 4, 5, 7, 8, 9, 10)} <= set(ledger)
    for entry in ledger.values():
        assert entry.evidence and entry.choice
        for path in entry.fields:
            known = path.startswith("data.") or any(applies(path, method_facts(name)) for name in METHODS)
            assert known, (entry.id, path)


# ---------------------------------------------------------------- tables and figures from fixture records


def history(method: str, high: float) -> tuple[Evaluation, ...]:
    """Pre-training without metrics, then four evaluations of clustering, two in each epoch."""
    before = Evaluation(
        phase="pretrain", step=0, epoch=0, total=9.0, terms={"reconstruction": 9.0}, metrics={}, clusters=0
    )
    terms = {"clustering": 0.2} | ({"reconstruction": 0.4} if method == "idec" else {})
    return (
        before,
        *(
            Evaluation(
                phase="cluster",
                step=4 * number,
                epoch=number // 2,
                total=0.5 - 0.1 * number,
                terms={name: part / (1 + number) for name, part in terms.items()},
                metrics={"acc": high - 0.1 * (3 - number), "nmi": 0.5, "nmi_geometric": 0.5, "ari": 0.4},
                clusters=10,
            )
            for number in range(4)
        ),
    )


def stored(results: Path, table: str = TABLE2) -> dict[str, list[RunSpec]]:
    """Store every quick run of a table: replicate r of method m has the loss 3 - r and the ACC .5 + .1 r."""
    held: dict[str, list[RunSpec]] = {}
    for cell in cells(table, "quick"):
        for place, each in enumerate(cell.specs):
            acc = 0.5 + 0.1 * place
            values = {"loss": 3.0 - place, "metrics": {"acc": acc, "nmi": acc / 2, "nmi_geometric": acc / 2}}
            past = history(cell.row, acc) if cell.row in ("dec", "idec") else ()
            record = RunRecord(run_id=each.run_id, spec=each, status="ok", history=past, **values)
            Store(results).save(record)
            held.setdefault(cell.row, []).append(each)
    return held


def test_table_2_shows_best_mean_and_sd_of_stored_runs(tmp_path):
    stored(tmp_path)
    session = Session(tmp_path)
    table = assemble(
        load_paper("idec2017"), "table2", cells(profile="quick"), session.find, lambda r: False, ("paper",)
    )
    assert [row.label for row in table.rows] == ["k-means", "SEC", "AE+k-means", "DEC", "IDEC"]
    assert [column.metric for column in table.columns] == ["acc", "nmi", "acc-mean", "acc-sd"]
    for row in table.rows:
        values = [cell.results["paper"].value for cell in row.cells]
        assert values == pytest.approx([70.0, 35.0, 60.0, 10.0])
    apart = {line[0]: line for line in table.published_apart}
    at = table.published_apart[0].index("USPS NMI")
    assert apart["IDEC"][at] == "78.46" and apart["SEC"][at] == "-"


def drawn(results: Path, name: str, shipped: Path | None = None) -> figures.DrawnFigure:
    session = Session(results, shipped=shipped)
    return figures.draw_figure(session, "idec2017", figures.load_figures("idec2017")[name], None, "paper")


def test_figure_1_is_drawn_from_the_declared_layers(tmp_path):
    found = drawn(tmp_path, "figure1")
    assert "d-500-500-2000-10" in found.caption
    words = [text.get_text() for axes in found.drawing.figure.axes for text in axes.texts]
    assert [word for word in words if word == "d" or word.isdigit()] == [
        "d",
        "500",
        "500",
        "2000",
        "10",
        "2000",
        "500",
        "500",
        "d",
    ]


def test_figure_2_shows_the_run_with_the_lowest_loss_over_its_steps(tmp_path):
    stored(tmp_path)
    found = drawn(tmp_path, "figure2")
    scores, losses = found.drawing.figure.axes
    np.testing.assert_array_equal(scores.lines[0].get_xdata(), [0, 4, 8, 12])
    np.testing.assert_allclose(scores.lines[0].get_ydata(), [40, 50, 60, 70])
    labels = [line.get_label() for line in losses.lines]
    assert labels == ["DEC", "IDEC (total loss)", "IDEC (clustering loss)", "IDEC (reconstruction loss)"]
    assert "profile quick" in found.caption and "stand-in" in found.caption


def test_figure_3_shows_the_stored_epochs_of_both_methods(tmp_path):
    held = stored(tmp_path)
    folder = tmp_path / "stored" / "idec2017" / "embeddings"
    folder.mkdir(parents=True)
    for method, epochs in (("idec", (0, 15, 30)), ("dec", (0, 5))):
        for epoch in epochs:
            name = embedding_name(held[method][-1].run_id, "embedding", "tsne", epoch)
            rows = "".join(f"{i},{i % 2}.0,{i % 3},{i % 2},{min(epoch, 9)}\n" for i in range(12))
            (folder / name).write_text(f"x,y,class,cluster,epoch\n{rows}", encoding="utf-8")
    found = drawn(tmp_path, "figure3")
    titles = [axes.get_title() for axes in found.drawing.figure.axes]
    assert titles == ["IDEC, epoch 0", "IDEC, epoch 9", "DEC, epoch 0", "DEC, epoch 5"]


def test_figure_3_names_the_command_where_runs_are_stored_and_embeddings_are_not(tmp_path):
    stored(tmp_path)
    assert "embed idec2017/table2 idec digits" in drawn(tmp_path, "figure3").missing
    assert (
        "--tap embedding --projection tsne --samples 1000 --epoch 0 --epoch 15 --epoch 30"
        in drawn(tmp_path, "figure3").missing
    )


def test_figure_4_has_a_point_for_each_gamma_and_a_line_for_each_rate(tmp_path):
    stored(tmp_path, "idec2017/figure4")
    found = drawn(tmp_path, "figure4")
    (axes,) = found.drawing.figure.axes
    (line,) = axes.lines
    quick = {float(cell.setting.rpartition("=")[2]) for cell in cells("idec2017/figure4", "quick")}
    np.testing.assert_array_equal(line.get_xdata(), sorted(quick))
    np.testing.assert_allclose(line.get_ydata(), [60.0] * len(quick))
    assert "runs 3/3 for each" in found.caption
    stored(tmp_path, "idec2017/figure4-dec")
    (axes,) = drawn(tmp_path, "figure4").drawing.figure.axes
    assert [line.get_label() for line in axes.lines][-1] == "DEC $\\lambda$ = 0.01"


def test_figures_without_numbers_say_which_command_makes_them(tmp_path):
    for name in ("figure2", "figure3", "figure4"):
        assert "python -m benchmark" in drawn(tmp_path, name).missing


def test_every_figure_becomes_a_picture(tmp_path):
    stored(tmp_path)
    stored(tmp_path, "idec2017/figure4")
    for name in ("figure1", "figure2", "figure4"):
        assert png_bytes(drawn(tmp_path, name).drawing.figure, name)[:4] == b"\x89PNG"


def test_the_committed_numbers_draw_every_figure_and_fill_the_quick_table(tmp_path):
    for name in figures.load_figures("idec2017"):
        assert not drawn(tmp_path, name, shipped_rows()).missing, name
    session = Session(tmp_path, shipped=shipped_rows())
    table = assemble(
        load_paper("idec2017"), "table2", cells(profile="quick"), session.find, lambda r: False, ("paper",)
    )
    assert all(cell.results["paper"].n_ok == 3 for row in table.rows for cell in row.cells)
