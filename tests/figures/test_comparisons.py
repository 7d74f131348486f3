"""Pictures of comparisons: no label is crossed by a line, nothing leaves the sheet, and TeX compiles."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from benchmark.figures.comparisons import Difference, differences, ranks
from benchmark.figures.sketch import Sketch
from benchmark.tables.latex import escape

LONG = "a-method-with-a-long-name:code,kernel_solver=eigh32"
SKETCHES = {
    "one": differences([Difference("a − b", 3.0, None)], "difference of ACC"),
    "wide": differences(
        [
            Difference(f"{LONG} − b, usps", 12.0, (2.5, 21.5)),
            Difference("b − c, a-data-set", -0.2, (-0.3, -0.1)),
            Difference("c − d", -30.0, (-90.0, 30.0)),
        ],
        "difference of ACC, mean and 95 % interval",
    ),
    "equal": differences([Difference("a − b", 0.0, (0.0, 0.0))], "difference of ACC"),
    "two": ranks({"a": 1.2, "b": 1.8}, 0.9),
    "many": ranks({LONG: 4.9, "b": 1.4, "c": 2.3, "d": 2.4, "e": 4.0, "f": 6.0}, 1.9),
    "same": ranks({"a": 2.0, "b": 2.0, "c": 2.0}, 0.5),
    "apart": ranks({"a": 1.0, "b": 2.0, "c": 3.0}, 5.0),
}


def boxes(sketch: Sketch) -> tuple[Any, list[tuple[str, Bbox]], list[np.ndarray]]:
    """Return the figure as drawn, the boxes of its texts and the ends of its lines, in pixels."""
    figure = sketch.canvas()
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = [(text.get_text(), text.get_window_extent()) for text in axes.texts]
    lines = [line.get_transform().transform(line.get_xydata()) for line in axes.lines if len(line.get_xydata()) == 2]
    return figure, texts, lines


def crossed(box: Bbox, line: np.ndarray) -> bool:
    along = np.linspace(0, 1, 400)[:, None]
    points = line[0] + along * (line[1] - line[0])
    return bool(((points > box.min) & (points < box.max)).all(axis=1).any())


@pytest.mark.parametrize("name", SKETCHES)
def test_no_label_is_crossed_by_a_line_or_lies_on_another(name):
    figure, texts, lines = boxes(SKETCHES[name])
    assert texts and lines
    for text, box in texts:
        for line in lines:
            assert not crossed(box, line), (text, line)
        assert box.xmin >= 0 and box.ymin >= 0, text
        assert box.xmax <= figure.bbox.xmax and box.ymax <= figure.bbox.ymax, text
        for other, its in texts:
            assert text == other or not box.overlaps(its), (text, other)


def segments(sketch: Sketch, colour: str) -> Iterator[tuple[float, float]]:
    for stroke in sketch.strokes:
        if stroke.colour == colour:
            yield stroke.start[0], stroke.end[0]


def test_intervals_and_differences_stand_on_one_scale():
    sketch = differences([Difference("x", 1.0, (0.0, 2.0)), Difference("y", 4.0, (2.0, 6.0))], "u")
    first, second = segments(sketch, "#0072b2")
    assert second[1] - second[0] == pytest.approx(2 * (first[1] - first[0]))
    assert first[1] == pytest.approx(second[0])
    dots = [dot.at[0] for dot in sketch.dots]
    assert dots == pytest.approx([np.mean(first), np.mean(second)])


def test_bars_join_methods_within_the_critical_difference():
    def joined(means: dict[str, float], gap: float) -> int:
        return len(list(segments(ranks(means, gap), "#0072b2")))

    means = {"a": 1.0, "b": 2.0, "c": 3.5}
    assert [joined(means, gap) for gap in (0.9, 1.0, 1.5, 2.5)] == [0, 1, 2, 1]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("options", ["", "twocolumn"])
def test_tex_pictures_compile_without_a_package(tmp_path: Path, options: str):
    body = "\n\n".join(sketch.latex(escape) for sketch in SKETCHES.values())
    text = f"\\documentclass[{options}]{{article}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_tex_pictures_hold_the_same_and_are_escaped():
    sketch = ranks({"a_b": 1.0, "50%": 2.0}, 1.0)
    text = sketch.latex(escape)
    assert r"a\_b (1.00)" in text and r"50\% (2.00)" in text and text.count("{") == text.count("}")
    assert text.count(r"\line(") == len(sketch.strokes) and text.count(r"\makebox") == len(sketch.words)
