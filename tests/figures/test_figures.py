"""Figures: declared by papers, drawn from stored numbers, the same bytes each time; what is missing says so."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.analysis import figures
from benchmark.analysis.artefacts import artefact_file
from benchmark.analysis.sheets import KERNELS, SheetContent, sheet_bytes
from benchmark.analysis.stored_numbers import StoredNumbers
from benchmark.cli import main as cli
from benchmark.errors import UsageError
from benchmark.figures import COLOURS, Drawing, Figure, NoNumbers, Numbers, canvas, curve
from benchmark.figures.kit import svg_bytes
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import Evaluation, RunRecord
from benchmark.registry import load_plugins
from benchmark.session import Session
from benchmark.store import Store
from tests.support.checkout import ROOT

load_plugins()
pytestmark = pytest.mark.usefixtures("nothing_shipped")
SVG = "{http://www.w3.org/2000/svg}"


def store_runs(results: Path, method: str = "ddc", losses: tuple[float, ...] = (3.0, 1.0, 2.0)) -> None:
    (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=(method,), runs=len(losses)))
    for spec, loss in zip(cell.specs, losses, strict=True):
        history = tuple(
            Evaluation(
                phase="train",
                step=10 * epoch,
                epoch=epoch,
                total=loss / (1 + epoch),
                terms={"separation": loss},
                metrics={"acc": 0.1 * epoch, "nmi": 0.1, "nmi_geometric": 0.1, "ari": 0.0},
                clusters=10,
            )
            for epoch in range(4)
        )
        values = {"status": "ok", "loss": loss, "metrics": {"acc": 0.3}, "history": history}
        Store(results).save(RunRecord(run_id=spec.run_id, spec=spec, **values))


def numbers(results: Path, profile: str = "quick") -> StoredNumbers:
    return StoredNumbers(Session(results), "tkuco2024", profile)


def test_traces_hold_what_was_stored_and_mark_the_run_with_the_lowest_loss(tmp_path):
    store_runs(tmp_path)
    (cell,) = numbers(tmp_path).traces("table2", ("ddc", "ddc-ae"), "mnist")
    assert (cell.method, cell.dataset, cell.planned) == ("ddc", "digits", 3)
    assert [trace.selected for trace in cell.traces] == [False, True, False]
    assert cell.best.loss == 1.0
    epochs, totals = cell.stacked("total")
    np.testing.assert_array_equal(epochs, [0, 1, 2, 3])
    np.testing.assert_allclose(totals, np.outer([3.0, 1.0, 2.0], [1, 1 / 2, 1 / 3, 1 / 4]))
    np.testing.assert_allclose(cell.traces[0].values["term:separation"], 3.0)


def store_phases(results: Path, acc: float = 0.3) -> None:
    """Store the runs of a table that varies settings: pre-training without metrics, then two steps in one epoch."""
    for cell in plan_cells(Request(tables=("tkuco2024/table4",), methods=("ddc-uco-n",))):
        for spec in cell.specs:
            rows = [
                Evaluation(phase="pretrain", step=5, epoch=2, total=9.0, terms={}, metrics={}, clusters=0),
                Evaluation(phase="train", step=0, epoch=0, total=2.0, terms={}, metrics={"acc": 0.1}, clusters=9),
                Evaluation(phase="train", step=3, epoch=0, total=1.0, terms={}, metrics={"acc": 0.2}, clusters=9),
            ]
            metrics = {"acc": acc + spec.params["companion_weight"] + 0.01 * spec.replicate}
            record = RunRecord(run_id=spec.run_id, spec=spec, status="ok", loss=1.0, metrics=metrics, history=rows)
            Store(results).save(record)


def test_traces_are_of_the_last_phase_and_count_epochs_and_steps(tmp_path):
    store_phases(tmp_path)
    (cell,) = numbers(tmp_path).traces("table4", ("ddc-uco-n",), "mnist")
    for trace in cell.traces:
        np.testing.assert_array_equal(trace.epochs, [0, 0])
        np.testing.assert_array_equal(trace.steps, [0, 3])
        np.testing.assert_array_equal(trace.values["acc"], [0.1, 0.2])


def test_scores_are_the_final_metrics_of_every_setting_by_the_labels_of_its_axes(tmp_path):
    store_phases(tmp_path)
    found = numbers(tmp_path).scores("table4", ("ddc-uco-n",), "mnist")
    assert [dict(cell.setting) for cell in found] == [
        {"lambda": weight, "omega": "constant"} for weight in ("0.010", "0.100")
    ]
    for cell in found:
        first = 0.3 + float(cell.setting["lambda"])
        np.testing.assert_allclose(cell.values["acc"], [first, first + 0.01, first + 0.02])
        assert (cell.method, cell.planned, cell.reading) == ("ddc-uco-n", 3, "paper")


def test_scores_without_runs_name_the_command_that_makes_them(tmp_path):
    with pytest.raises(NoNumbers, match=r"run --table tkuco2024/table4 --dataset digits --profile quick"):
        numbers(tmp_path).scores("table4", ("ddc-uco-n",), "mnist")


def test_parameters_and_layers_are_those_declared_and_need_no_run(tmp_path, monkeypatch):
    found = numbers(tmp_path, "cpu").parameters("table2", "ddc", "rcv1-23405")
    assert found["network"] == "mlp-small"
    assert numbers(tmp_path).layers("mlp-small") == (("layer1", 1024), ("layer2", 1024), ("layer3", 1024))
    rows = load_paper("tkuco2024").protocol.methods
    monkeypatch.setitem(rows, "dynae", rows["dynae"].model_copy(update={"method": ""}))
    with pytest.raises(NoNumbers, match="dynae has no runs"):
        numbers(tmp_path).parameters("table2", "dynae", "mnist")
    with pytest.raises(UsageError, match="did you mean 'mlp-small'"):
        numbers(tmp_path).layers("mlp-smal")


def test_without_runs_the_reason_names_the_command_that_makes_them(tmp_path):
    with pytest.raises(NoNumbers, match=r"run --table tkuco2024/table2 --dataset digits --profile quick"):
        numbers(tmp_path).traces("table2", ("ddc",), "mnist")


@pytest.mark.parametrize(("need", "observer"), [("gram:", "drift"), ("kernel_", "kernels"), ("fr", "features")])
def test_a_history_without_what_an_observer_leaves_says_so_and_how_to_record_it(tmp_path, need, observer):
    store_runs(tmp_path)
    with pytest.raises(NoNumbers, match=rf"history has no {observer} .*--record {observer}`"):
        numbers(tmp_path).traces("table2", ("ddc",), "mnist", needs=(need,))


def test_a_picture_of_an_epoch_that_the_run_did_not_reach_is_shown_once_as_that_of_its_end(tmp_path):
    store_runs(tmp_path)
    best = numbers(tmp_path).traces("table2", ("ddc",), "mnist")[0].best.run_id
    for epoch in (2, 20, 50):
        file = artefact_file(tmp_path / "stored", "tkuco2024", KERNELS, best, {"block": 2}, epoch)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sheet_bytes(SheetContent(np.zeros((2, 2), np.uint8))))
    found = numbers(tmp_path).sheets("kernels", "table2", ("ddc",), "mnist", {"block": 2}, (2, 20, 50))
    assert [(sheet.key, sheet.title) for sheet in found] == [("ddc@2", "DDC, epoch 2"), ("ddc@3", "DDC, epoch 3")]


def test_rows_come_from_a_committed_file_below_results_stored(tmp_path):
    place = tmp_path / "stored" / "tkuco2024"
    place.mkdir(parents=True)
    (place / "kernel.csv").write_text("epoch,error\n0,0.5\n", encoding="utf-8")
    assert numbers(tmp_path).rows("kernel.csv") == ({"epoch": "0", "error": "0.5"},)
    with pytest.raises(NoNumbers, match=r"no file other\.csv"):
        numbers(tmp_path).rows("other.csv")


def test_rows_come_from_the_folder_of_the_figure(tmp_path):
    assert numbers(tmp_path).rows("published.csv")[0]["paper"] == "tkuco2024"


def test_the_fullest_profile_with_numbers_is_drawn_and_the_caption_says_so(tmp_path):
    store_runs(tmp_path)
    rule = figures.load_figures("tkuco2024")["learning-curves"]
    drawn = figures.draw_figure(Session(tmp_path), "tkuco2024", rule, None, "paper")
    assert drawn.profile == "quick"
    assert "profile quick" in drawn.caption and "DDC 3/3" in drawn.caption and "stand-in" in drawn.caption


def test_what_is_written_are_whole_svg_and_png_files_with_text_as_text(tmp_path):
    rule = figures.load_figures("tkuco2024")["figure1"]
    drawn = figures.draw_figure(Session(tmp_path), "tkuco2024", rule, "quick", "paper")
    svg, png, text = figures.write_figure(drawn, tmp_path / "out")
    root = ElementTree.parse(svg).getroot()
    assert root.tag == f"{SVG}svg"
    words = " ".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))
    assert "block 1" in words
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert text.read_text(encoding="utf-8").startswith("Figure 1. ")


@pytest.mark.parametrize("folder", figures.figure_folders())
def test_every_declared_figure_draws_or_says_why_not(tmp_path, folder):
    for rule in figures.load_figures(folder).values():
        drawn = figures.draw_figure(Session(tmp_path), folder, rule, None, "paper")
        assert (drawn.drawing is None) == bool(drawn.missing)
        assert rule.alt and rule.title and not rule.title.endswith(".")
        assert rule.message or not rule.published


@pytest.mark.parametrize("folder", figures.figure_folders())
def test_folders_with_drawings_are_packages_so_that_their_imports_are_checked(folder):
    root = ROOT / "paper_tables" / folder
    assert (root / "__init__.py").is_file() or not (root / "figures.py").is_file()


def test_drawings_take_no_stored_numbers_and_all_else_is_data():
    declared = {f"{folder}/{name}" for folder in figures.figure_folders() for name in figures.load_figures(folder)}
    for folder in figures.figure_folders():
        root = ROOT / "paper_tables" / folder
        if (root / "figures.py").is_file():
            source = (root / "figures.py").read_text(encoding="utf-8")
            assert not any(f"numbers.{verb}(" in source for verb in ("traces", "rows", "scores", "embeddings"))
    assert len(declared) == 87


def test_figures_of_the_paper_come_first_in_their_order():
    assert list(figures.load_figures("tkuco2024"))[:5] == [f"figure{number}" for number in range(1, 6)]
    assert list(figures.load_figures("uco2021"))[-1] == "drift-of-pairs"


def test_a_figure_without_numbers_is_written_and_its_panel_says_what_is_missing_and_the_command(tmp_path):
    rule = figures.load_figures("uco2021")["figure2"]
    drawn = figures.draw_figure(Session(tmp_path), "uco2021", rule, "cpu", "paper")
    svg, png, text = figures.write_figure(drawn, tmp_path / "out")
    words = " ".join("".join(node.itertext()) for node in ElementTree.parse(svg).getroot().iter(f"{SVG}text"))
    assert "no run is stored in the cpu profile" in words
    assert "run --table uco2021/figure2 --dataset mnist-0-3 --profile cpu" in words
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "Not drawn: no run is stored" in text.read_text(encoding="utf-8")


def test_the_caption_says_what_is_stated_what_ours_says_of_it_and_of_which_runs(tmp_path):
    rule = figures.load_figures("uco2021")["figure2"]
    results = ROOT / "results"
    drawn = figures.draw_figure(Session(tmp_path, shipped=results / "stored"), "uco2021", rule, None, "paper")
    told = drawn.caption.partition("Ours: ")[2]
    assert told.startswith(
        "The mismatch of DDC-UCO lies below that of DDC-AE at every evaluation: agrees (at 101 of 101"
    )
    assert "5 runs)" in told and "profile cpu" in told and "reading paper" in told and "data MNIST" in told


def test_equal_numbers_give_equal_bytes():
    def drawn() -> bytes:
        figure, (axes,) = canvas()
        curve(axes, [0, 1, 2], [[1, 2, 3], [2, 3, 5]], "A", 0)
        return svg_bytes(figure, "A title")

    assert drawn() == drawn()


def test_a_curve_shows_mean_and_range_and_the_number_of_runs():
    _, (axes,) = canvas()
    curve(axes, [0, 1], [[1.0, 2.0], [3.0, 6.0]], "A", 0)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [2.0, 4.0])
    assert axes.lines[0].get_label() == "A (n=2)"
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 6.0)


def test_lines_differ_without_colour():
    _, (axes,) = canvas()
    for place in range(6):
        curve(axes, [0, 1], [[1.0, 2.0]], str(place), place)
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes.lines}) == 6


def test_neighbouring_colours_differ_in_grey():
    def grey(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    greys = [grey(colour) for colour in COLOURS[:2]]
    assert abs(greys[0] - greys[1]) > 0.05


def test_the_command_lists_draws_and_fails_for_a_missing_figure_asked_for_by_name(tmp_path):
    runner = CliRunner()
    results = ["--results", str(tmp_path)]
    listed = runner.invoke(cli.app, ["figures", "--list"])
    assert "tkuco2024/figure5" in listed.output
    good = runner.invoke(cli.app, ["figures", "--figure", "tkuco2024/figure3", "--out", str(tmp_path / "o"), *results])
    assert good.exit_code == 0, good.output
    assert (tmp_path / "o" / "tkuco2024" / "figure3.svg").is_file()
    bad = runner.invoke(cli.app, ["figures", "--figure", "tkuco2024/figure5", *results])
    assert bad.exit_code == 1
    assert "embed" in str(bad.exception)
    assert (tmp_path / "figures" / "tkuco2024" / "figure5.svg").is_file()
    wrong = runner.invoke(cli.app, ["figures", "--figure", "tkuco2024/figur3", *results])
    assert "did you mean 'figure" in str(wrong.exception)


def test_a_figure_of_ones_own_needs_only_a_function(tmp_path):
    def draw(found: Numbers) -> Drawing:
        figure, (axes,) = canvas()
        rows = found.rows("audit.csv")
        curve(axes, [float(r["epoch"]) for r in rows], [[float(r["error"]) for r in rows]], "tap 1", 0)
        return Drawing(figure, "errors fall.")

    place = tmp_path / "stored" / "audit"
    place.mkdir(parents=True)
    (place / "audit.csv").write_text("epoch,error\n0,0.5\n1,0.25\n", encoding="utf-8")
    rule = Figure("gradient", "Error of a gradient", draw, "One falling curve.")
    drawn = figures.draw_figure(Session(tmp_path), "audit", rule, None, "paper")
    assert "ours; not in the paper" in drawn.caption and "errors fall." in drawn.caption
    assert len(figures.write_figure(drawn, tmp_path / "out")) == 3
