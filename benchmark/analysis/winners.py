"""Who wins a comparison, and its pictures and tables as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.figures.comparisons import Difference, differences, ranks
from benchmark.figures.kit import png_bytes, svg_bytes
from benchmark.figures.sketch import Sketch
from benchmark.files.writing import write_changed
from benchmark.measure.ties import tied
from benchmark.tables.latex_text import escape


def winners(
    means: Mapping[tuple[str, str], float], pairs: Sequence[Mapping[str, Any]], higher: bool
) -> list[dict[str, Any]]:
    """Return for each data set the method with the best mean, the next one, its lead and whether that is clear.

    `means`, over all runs of a method, are by method and data set, `pairs` as `compare_methods` gives them. The lead is
    the difference of the pair: of runs that both have, where these are paired. It is clear where the 95 % interval of
    the difference to every other method excludes 0. Of a tie no method is the winner.
    """
    found = []
    for dataset in dict.fromkeys(dataset for _, dataset in means):
        values = {method: mean for (method, where), mean in means.items() if where == dataset}
        if len(values) < 2:
            continue
        ordered = sorted(values, key=lambda method: -values[method] if higher else values[method])
        best, after = ordered[:2]
        tie = tied(values[best], values[after])
        leads = [_lead(pairs, dataset, best, other) for other in ordered[1:]]
        clear = all(ends is not None and (ends[0] > 0 if higher else ends[1] < 0) for _, ends in leads)
        found.append(
            {
                "dataset": dataset,
                "winner": "" if tie else best,
                "mean": values[best],
                "next": after,
                "next_mean": values[after],
                "lead": leads[0][0],
                "interval": leads[0][1],
                "clear": clear and not tie,
                "methods": len(values),
            }
        )
    return found


def _lead(
    pairs: Sequence[Mapping[str, Any]], dataset: str, a: str, b: str
) -> tuple[float | None, tuple[float, float] | None]:
    """Return the difference a - b on a data set with its interval; None for what no pair tells."""
    for pair in pairs:
        if pair["dataset"] == dataset and {pair["a"], pair["b"]} == {a, b}:
            sign = 1 if pair["a"] == a else -1
            ends = pair["interval"]
            turned = None if ends is None else (ends[0], ends[1]) if sign == 1 else (-ends[1], -ends[0])
            return sign * pair["difference"], turned
    return None, None


def tally(found: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return how often each method won, and how often clearly."""
    return [
        {
            "method": method,
            "wins": sum(line["winner"] == method for line in found),
            "clear_wins": sum(line["winner"] == method and line["clear"] for line in found),
            "data_sets": len(found),
        }
        for method in methods
    ]


def write_comparison(answer: Mapping[str, Any], folder: Path) -> list[Path]:
    r"""Write what `compare_methods` answered as pictures (SVG, PNG, TeX) and a table of winners; return the files.

    Mean ranks are drawn where the answer has them. The TeX files are to be read by ``\input``.
    """
    sketches: dict[str, Sketch] = {"differences": differences(_drawn(answer), _unit(answer))}
    if answer["ranks"]:
        sketches["ranks"] = ranks(answer["ranks"]["means"], answer["ranks"]["critical_difference"])
    files: dict[Path, bytes] = {folder / "winners.tex": _winners_tex(answer).encode()}
    for name, sketch in sketches.items():
        title = f"{name.capitalize()} of {answer['metric']}, {answer['table']}"
        files[folder / f"{name}.svg"] = svg_bytes(sketch.canvas(), title)
        files[folder / f"{name}.png"] = png_bytes(sketch.canvas(), title)
        files[folder / f"{name}.tex"] = sketch.latex(escape).encode()
    write_changed(files)
    return list(files)


def _drawn(answer: Mapping[str, Any]) -> list[Difference]:
    several = len({pair["dataset"] for pair in answer["pairs"]}) > 1
    return [
        Difference(
            f"{pair['a']} − {pair['b']}" + (f", {pair['dataset']}" if several else ""),
            pair["difference"],
            pair["interval"],
        )
        for pair in answer["pairs"]
    ]


def _unit(answer: Mapping[str, Any]) -> str:
    datasets = {pair["dataset"] for pair in answer["pairs"]}
    where = f" on {datasets.pop()}" if len(datasets) == 1 else ""
    return f"difference of {answer['metric']}{where}, mean and 95 % interval"


def _winners_tex(answer: Mapping[str, Any]) -> str:
    lines = [r"% Needs \usepackage{booktabs}.", r"\begin{tabular}{@{}llrlrl@{}}", r"\toprule"]
    lines += [r"Data & Best & Mean & Next & Mean & Lead \\", r"\midrule"]
    for line in answer["winners"]:
        ends = line["interval"]
        lead = "--" if ends is None else f"${line['lead']:+.1f}$ $[{ends[0]:+.1f}, {ends[1]:+.1f}]$"
        best = escape(line["winner"] or "tie")
        best = f"\\textbf{{{best}}}" if line["clear"] else best
        cells = (
            escape(line["dataset"]),
            best,
            f"{line['mean']:.1f}",
            escape(line["next"]),
            f"{line['next_mean']:.1f}",
            lead,
        )
        lines.append(" & ".join(cells) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        "% Bold: the 95 % interval of the lead over every other method excludes 0.",
    ]
    return "\n".join((*lines, ""))
