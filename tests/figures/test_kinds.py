"""Declared figures: each kind draws the numbers that it is given, judges its statements, and refuses what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.errors import UsageError
from benchmark.figures import CellTraces, Drawing, Embedding, NoNumbers, Scores, Trace
from benchmark.figures.kinds import draw_declared
from benchmark.figures.rules import figure_rule
from benchmark.measure import drift, ofm

HEAD = {"title": "A figure", "alt": "A picture"}
TABLE = {"table": "t", "methods": ["a", "b"], "dataset": "d"}


def trace(replicate: int, height: float, terms: dict[str, float] | None = None) -> Trace:
    """A run of five evaluations whose ACC rises by .1 to `height`, and whose terms fall."""
    acc = height - 0.1 * np.arange(5)[::-1] + 0.001 * replicate
    values = {"total": 5.0 - np.arange(5), "acc": acc}
    values |= {f"term:{name}": size / (1 + np.arange(5.0)) for name, size in (terms or {"main": 1.0}).items()}
    epochs = np.arange(5.0)
    return Trace(f"run{replicate}", replicate, float(replicate), replicate == 0, epochs, 10 * epochs, values)


def cell(method: str, height: float, **more: Any) -> CellTraces:
    traces = tuple(trace(replicate, height, **more) for replicate in range(3))
    return CellTraces(method, method.upper(), "d", "Data", "paper", 3, traces)


class Held:
    """Numbers by hand."""

    profile = "cpu"

    def __init__(self, **held: Any) -> None:
        self.held = held

    def traces(self, table: str, methods: Any, dataset: str, needs: Any = ()) -> tuple[CellTraces, ...]:
        return self._of("traces", methods)

    def scores(self, table: str, methods: Any, dataset: str) -> tuple[Scores, ...]:
        return self._of(table, methods)

    def embeddings(self, table: str, methods: Any, *rest: Any) -> tuple[Embedding, ...]:
        return self._of("embeddings", methods)

    def rows(self, file: str) -> Any:
        return self.held["rows"]

    def _of(self, kind: str, methods: Any) -> Any:
        found = tuple(each for each in self.held.get(kind, ()) if each.method in methods)
        if not found:
            raise NoNumbers(f"no {kind} of {', '.join(methods)}")
        return found


def drawn(held: Held, **fields: Any) -> Drawing:
    return draw_declared(figure_rule({**HEAD, **fields}, "toml [x]"), held)


CURVES = {"kind": "curves", **TABLE}
ACC = {"y": "acc", "label": "ACC", "unit": "%", "scale": 100, "told": "ACC"}


def test_curves_draw_the_mean_of_all_runs_and_judge_by_replicate():
    stated = {"says": "A is above B", "rule": "higher", "a": "a", "b": "b", "at": "every"}
    found = drawn(Held(traces=[cell("a", 0.9), cell("b", 0.6)]), **CURVES, panel=[ACC], statement=[stated])
    (axes,) = found.figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [50.1, 60.1, 70.1, 80.1, 90.1])
    assert axes.get_ylabel() == "ACC [%]"
    ((says, answer),) = found.answers
    assert (says, answer.word, answer.held, answer.of, answer.n) == ("A is above B", "agrees", 5, 5, 3)
    assert answer.estimate == pytest.approx(30.0)
    assert found.finding == "mean ACC from first to last evaluation: A 50.1 to 90.1, B 20.1 to 60.1 %."


def test_curves_of_the_best_run_show_its_losses_and_statements_still_use_all_runs():
    cells = [cell("a", 0.9, terms={"main": 1.0, "side": 2.0}), cell("b", 0.6)]
    stated = {"says": "s", "rule": "higher", "of": "term:main", "a": "a", "b": "b", "at": "last"}
    panels = [{"y": "losses", "label": "loss"}]
    found = drawn(Held(traces=cells), **CURVES, runs="best", x="step", panel=panels, statement=[stated])
    (axes,) = found.figure.axes
    assert [each.get_label() for each in axes.lines] == ["A (total loss)", "A (main loss)", "A (side loss)", "B"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0, 10, 20, 30, 40])
    assert (found.answers[0][1].word, found.answers[0][1].n) == ("undecided", 3)


def test_ends_are_those_of_each_run_where_runs_stop_at_different_epochs():
    long = cell("a", 0.9)
    short = trace(1, 0.9)
    short = replace(
        short, epochs=short.epochs[:3], steps=short.steps[:3], values={n: v[:3] for n, v in short.values.items()}
    )
    stated = {"says": "s", "rule": "rises", "a": "a"}
    held = Held(traces=[replace(long, traces=(long.traces[0], short, long.traces[2]))])
    answer = drawn(held, **CURVES, panel=[ACC], statement=[stated]).answers[0][1]
    assert answer.estimate == pytest.approx(100 * (0.4 + 0.2 + 0.4) / 3)


def test_a_panel_has_several_quantities_of_the_best_run_and_ends_are_where_a_quantity_has_a_value():
    whole = cell("a", 0.9)
    part = np.array([0.8, 0.7, 0.6, 0.5, np.nan])  # a part of the data that has no samples left at the end
    traces = tuple(replace(each, values={**each.values, "acc:part": part}) for each in whole.traces)
    panel = {"y": "acc:part", "label": "scores", "scale": 100, "told": "ACC of the part", "also": {"acc": "ACC of all"}}
    stated = {"says": "s", "rule": "falls", "of": "acc:part", "a": "a"}
    rises = {"says": "s", "rule": "rises", "of": "acc", "a": "a"}
    held = Held(traces=[replace(whole, traces=traces)])
    found = drawn(held, **CURVES, runs="best", panel=[panel], statement=[stated, rises])
    (axes,) = found.figure.axes
    assert [each.get_label() for each in axes.lines] == ["ACC of the part", "ACC of all"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 * part)
    assert "80.0 to 50.0" in found.finding
    assert [answer.estimate for _, answer in found.answers] == pytest.approx([30.0, 40.0])


def test_ofm_is_that_of_the_recorded_gradients():
    grams = {
        "gram:main,main": 1.0,
        "gram:main,side": 0.3,
        "gram:side,side": 4.0,
        "weight:main": 1.0,
        "weight:side": 2.0,
    }
    one = trace(0, 0.9, {"main": 1.0, "side": 1.0})
    values = dict(one.values) | {name: np.full(5, value) for name, value in grams.items()}
    held = Held(traces=[CellTraces("a", "A", "d", "Data", "paper", 1, (replace(one, values=values),))])
    found = drawn(held, **CURVES, panel=[{"y": "ofm", "label": "OFM"}], auxiliary=["side"])
    np.testing.assert_allclose(found.figure.axes[0].lines[0].get_ydata(), ofm(drift(grams, ["side"])))
    assert found.facts[-1] == "nothing stored of b"
    matrix = drawn(held, kind="matrix", **TABLE)
    assert "main and side (0.15)" in matrix.finding


def test_a_statement_about_a_method_that_is_not_stored_is_undecided_and_the_facts_say_so():
    stated = {"says": "s", "rule": "higher", "a": "a", "b": "b"}
    found = drawn(Held(traces=[cell("a", 0.9)]), **CURVES, panel=[ACC], statement=[stated])
    assert str(found.answers[0][1]) == "undecided (nothing is stored of b)"
    assert "nothing stored of b" in found.facts


def test_a_scatter_fits_the_best_run_and_leaves_out_what_is_before_the_first_step():
    cells = [cell("a", 0.9, terms={"main": 1.0, "side": 2.0})]
    fields = {"x": "auxiliary", "y": "acc", "x_label": "loss", "y_label": "ACC", "auxiliary": ["side"], "scale": 100}
    stated = {"says": "s", "rule": "lower", "of": "slope", "a": "a", "b": 0}
    found = drawn(Held(traces=cells), kind="scatter", **TABLE, **fields, statement=[stated])
    dots = found.figure.axes[0].collections[-1].get_offsets()
    np.testing.assert_allclose(dots[:, 0], 2.0 / np.arange(2.0, 6.0))
    np.testing.assert_allclose(dots[:, 1], [60, 70, 80, 90])
    assert found.answers[0][1].word == "agrees"


def embedding(method: str, apart: bool, epoch: int | None = None) -> Embedding:
    labels = np.repeat([0, 1], 30)
    points = np.random.default_rng(0).normal(size=(60, 2)) + (50 * labels[:, None] if apart else 0)
    return Embedding(method, method.upper(), "Data", "run", points, labels, labels, "best of 3/3 runs", epoch)


EMBEDDED = {"kind": "embedding", **TABLE, "tap": "x", "projection": "pca"}


def test_embeddings_have_a_panel_each_and_are_compared_sample_by_sample():
    stated = {"says": "s", "rule": "higher", "a": "a", "b": "b"}
    held = Held(embeddings=[embedding("a", True), embedding("b", False)])
    found = drawn(held, **EMBEDDED, statement=[stated])
    assert [axes.get_title() for axes in found.figure.axes] == ["A", "B"]
    answer = found.answers[0][1]
    assert (answer.word, answer.n, answer.counted) == ("agrees", 60, "samples of these runs")


def test_rows_of_epochs_that_are_missing_are_named():
    held = Held(embeddings=[embedding("a", True, 0), embedding("a", False, 5)])
    stated = {"says": "s", "rule": "lower", "a": "a@5", "b": "a@0"}
    found = drawn(held, **EMBEDDED, epochs={"a": [0, 5], "b": [0]}, statement=[stated])
    assert [axes.get_title() for axes in found.figure.axes] == ["A, epoch 0", "A, epoch 5"]
    assert "missing: no embeddings of b" in found.facts
    assert found.answers[0][1].word == "agrees"


def score(method: str, setting: dict[str, str], acc: list[float]) -> Scores:
    values = {"acc": np.array(acc)}
    return Scores(method, method.upper(), "Data", "paper", 3, setting, values, tuple(range(len(acc))))


def test_a_sweep_draws_a_line_for_each_value_and_the_best_level():
    levels = [score("b", {"rate": rate}, [acc, acc + 0.01, acc + 0.02]) for rate, acc in (("1", 0.3), ("2", 0.5))]
    grid = [score("a", {"g": g, "rate": "1"}, [0.7, 0.72, 0.74]) for g in ("10", "1")]
    fields = {"x": "g", "lines": "rate", "lines_name": "rate", "metric": "acc", "scale": 100}
    fields |= {"line_label": "{label} rate {rate}", "x_label": "g", "y_label": "ACC"}
    fields |= {"level": {"table": "level", "methods": ["b"], "label": "{label} rate {rate}"}}
    stated = {"says": "s", "rule": "higher", "a": "1", "b": "level", "at": "every"}
    found = drawn(Held(t=grid, level=levels), kind="sweep", **TABLE, **fields, statement=[stated])
    lines = found.figure.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 10])
    assert [each.get_label() for each in lines] == ["A rate 1", "B rate 2"]
    assert (found.answers[0][1].word, found.answers[0][1].of) == ("agrees", 2)
    without = drawn(Held(t=grid), kind="sweep", **TABLE, **fields, statement=[stated])
    assert without.answers[0][1].word == "undecided" and "nothing stored of level" in without.facts


def test_curves_of_a_file_have_panels_across_and_tell_of_each_group():
    rows = [
        {"set": s, "kind": k, "epoch": str(e), "error": str(v * (1 + e))}
        for s in ("p", "q")
        for k, v in (("x", 0.1), ("y", 2.0))
        for e in range(3)
    ]
    fields = {"file": "f.csv", "x": "epoch", "x_label": "epoch", "across": ["set"], "across_label": "{set}"}
    fields |= {"lines": ["kind"], "lines_label": "{kind}", "told_by": "kind", "names": {"set": {"p": "P"}}}
    fields |= {"facts": ["of {set}, {last} epochs"]}
    panel = {"y": "error", "label": "error", "tells": ["median", "largest", "below 1"]}
    found = drawn(Held(rows=rows), kind="file-curves", **fields, panel=[panel])
    assert [axes.get_title() for axes in found.figure.axes] == ["P", "q"]
    assert found.finding.startswith("x: error 0.2 in the median, 0.3 at most, error below 1 in 6 of 6 measurements; y:")
    assert found.facts == ("of p, q, 2 epochs",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({**CURVES, "kind": "curve"}, "did you mean 'curves'"),
        ({**CURVES, "panel": [ACC], "tabel": "t"}, "did you mean 'table'"),
        ({**CURVES, "panel": [{**ACC, "labl": "x"}]}, "panel.0.labl"),
        ({**CURVES, "panel": []}, "panel = "),
        ({**CURVES, "panel": [ACC], "x": "step"}, "all runs share epochs, not steps"),
        ({**CURVES, "panel": [{"y": "ofm", "label": "OFM"}]}, "need the patterns of the auxiliary terms"),
        ({**CURVES, "panel": [{"y": "losses", "label": "loss"}]}, 'write runs = "best"'),
        ({**CURVES, "panel": [{**ACC, "also": {"nmi": "NMI"}}]}, "further quantities of a panel are those of one run"),
        ({**CURVES, "panel": [ACC], "title": "A figure."}, "without a full stop"),
        ({**CURVES, "panel": [ACC], "published": "Figure 1"}, "says the message"),
        ({**CURVES, "panel": [ACC], "statement": [{"says": "s", "rule": "rises", "a": "c"}]}, "about c, which"),
        ({**CURVES, "panel": [ACC], "statement": [{"says": "s", "rule": "rises", "a": "a", "of": "acx"}]}, "about acx"),
        ({**CURVES, "panel": [ACC], "statement": [{"says": "s", "rule": "rise", "a": "a"}]}, "statement.0"),
        ({**EMBEDDED, "epochs": {"a": [0]}}, "for every method, or for none"),
        ({**EMBEDDED, "projection": "tsnee"}, "projection = 'tsnee' is refused"),
    ],
)
def test_a_wrong_declaration_is_one_sentence_that_names_the_place(fields, said):
    with pytest.raises(UsageError) as error:
        figure_rule({**HEAD, **fields}, "paper/figures.toml [x]")
    assert said in str(error.value) and "paper/figures.toml [x]" in str(error.value)
    assert "\n" not in str(error.value)
