"""What float32 eigendecompositions do to the gradient of the tensor kernel (ledger K13), along a real training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.figures import Drawing, Figure, Numbers, canvas, curve

FILE = "kernel-gradient.csv"
LABELS = {"block1_pool": "tap 1", "block1_conv2": "tap 1", "block2_pool": "tap 2"}

Row = Mapping[str, str]


def kernel_gradient(numbers: Numbers) -> Drawing:
    """Error and cosine of both solvers' gradients, a column for each data set and reading, a line for each tap."""
    rows = numbers.rows(FILE)
    columns = list(dict.fromkeys((row["dataset"], row["reading"]) for row in rows))
    figure, axes = canvas(2, len(columns), width=2.6 * len(columns), height=5.0)
    for place, column in enumerate(columns):
        mine = [row for row in rows if (row["dataset"], row["reading"]) == column]
        for number, (label, lines) in enumerate(_lines(mine).items()):
            epochs = [int(row["epoch"]) for row in lines]
            for sheet, name in ((axes[place], "relative_error"), (axes[place + len(columns)], "cosine")):
                curve(sheet, epochs, [[float(row[name]) for row in lines]], label, number)
        axes[place].set_title(f"{column[0]}, {column[1]} reading", fontsize=9)
        axes[place].set_yscale("log")
        axes[place].axhline(1, color="#000000", linewidth=0.8)
        axes[place + len(columns)].set_ylim(-0.3, 1.05)
        axes[place + len(columns)].set_xlabel("epoch")
    axes[0].set_ylabel("relative error of the gradient")
    axes[len(columns)].set_ylabel("cosine with the gradient")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)
    return Drawing(figure, _finding(rows), _facts(rows))


def _lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(f"{LABELS[row['tap']]}, {row['solver']}", []).append(row)
    return lines


def _finding(rows: Sequence[Row]) -> str:
    """Say how far each solver is from the gradient in float64, over all data sets, readings, taps and epochs."""
    parts = []
    for solver in dict.fromkeys(row["solver"] for row in rows):
        mine = [row for row in rows if row["solver"] == solver]
        cosines = np.array([float(row["cosine"]) for row in mine])
        errors = np.array([float(row["relative_error"]) for row in mine])
        parts.append(
            f"{solver} has a relative error of {np.median(errors):.2g} in the median and {errors.max():.2g} at most, "
            f"and a cosine below 0.5 with the gradient in {(cosines < 0.5).sum()} of {len(mine)} measurements"
        )
    return "; ".join(parts) + ". Above the black line the error is larger than the gradient itself."


def _facts(rows: Sequence[Row]) -> tuple[str, ...]:
    data = ", ".join(dict.fromkeys(row["dataset"] for row in rows))
    last = max(int(row["epoch"]) for row in rows)
    return (
        f"one training of DDC-UCO_T each on {data} (paper reading, cpu profile, {last} epochs, exact solver)",
        "one batch of 120 samples at each evaluation, the gradient of a companion with respect to its tap",
        "on the same weights: tap 1 after the pool and narrow kernel (paper), before it and wide (code)",
    )


FIGURES = (
    Figure(
        "kernel-gradient",
        "Gradients of the tensor kernel by float32 eigendecompositions and by the exact solver",
        kernel_gradient,
        "Two rows of panels: relative error on a logarithmic axis, and cosine, against the epoch, a line for each tap "
        "and solver. The lines of the eigendecomposition are high in error and low in cosine, those of the exact "
        "solver stay near an error of zero and a cosine of one.",
    ),
)
