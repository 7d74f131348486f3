"""Claims that are statements of figures: judged by the numbers that the figures are drawn from."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from benchmark.errors import UsageError, did_you_mean
from benchmark.figures.bases import FigureRule, OfTable
from benchmark.figures.declared import NoNumbers
from benchmark.figures.rules import figure_rule
from benchmark.figures.run_rules import LossScatter
from benchmark.measure.stated import Stated, answered
from benchmark.measure.statements import Answer
from benchmark.papers.families import read_toml
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import Reading
from benchmark.session import Session


@dataclass(frozen=True)
class FigureAnswer:
    """What the numbers of a figure say of its statement: at the level for holding, and at that for failing."""

    figure: str
    dataset: str
    holds: Answer
    fails: Answer
    why: str = ""
    lacks: str = ""

    @property
    def line(self) -> str:
        """What the figure says in one line."""
        told = self.why or str(self.fails if self.fails.word == "contradicts" else self.holds)
        return f"{self.figure} ({self.dataset}): {told.rstrip('.')}" if self.dataset else f"{self.figure}: {told}"

    @property
    def command(self) -> str:
        """The command that makes what is missing, as the reason names it; "" without one."""
        found = re.search(r"`(python -m benchmark [^`]+)`", self.why)
        return found[1] if found else ""


@cache
def figure_rules(paper: str) -> Mapping[str, FigureRule]:
    """Return the figures that a paper declares as data, by id."""
    folder = importlib.resources.files("paper_tables").joinpath(paper)
    if not folder.joinpath("figures.toml").is_file():
        return {}
    written = read_toml(folder, "figures.toml")
    return {name: figure_rule(part, f"{paper}/figures.toml [{name}]") for name, part in written.items()}


def stated_by(paper: str, figure: str, says: str, what: str) -> tuple[FigureRule, Stated]:
    """Return a figure and its statement that `says` so; UsageError where there is none."""
    rules = figure_rules(paper)
    if figure not in rules:
        raise UsageError(f"{what}: figure: {did_you_mean(f'figure of {paper} with numbers', figure, rules)}")
    for stated in rules[figure].statement:
        if stated.says == says:
            return rules[figure], stated
    known = [stated.says for stated in rules[figure].statement]
    raise UsageError(f"{what}: statement: {did_you_mean(f'statement of {figure}', says, known)}")


def judged_figure(
    session: Session, paper: str, figure: str, says: str, profile: str, reading: Reading, levels: tuple[float, float]
) -> FigureAnswer:
    """Return what a figure's numbers say of a statement, at `levels` for holding and for failing.

    In a profile without the figure's own data set it is undecided: what the figure shows there is a stand-in.
    """
    rule, stated = stated_by(paper, figure, says, f"{paper}/claims.toml")
    loaded = load_paper(paper)
    columns = [loaded.protocol.columns[name] for name in datasets_of(rule)]
    labels = ", ".join(column.label for column in columns)
    absent = [column.label for column in columns if profile not in column.profiles]
    nothing = Answer("undecided")
    if absent:
        return FigureAnswer(figure, labels, nothing, nothing, f"the {profile} profile has no {absent[0]}", "data")
    from benchmark.analysis.stored_numbers import StoredNumbers
    from benchmark.figures.kinds import measured_by

    try:
        measured = measured_by(rule, StoredNumbers(session, paper, profile, reading))
    except NoNumbers as error:
        return FigureAnswer(figure, labels, nothing, nothing, str(error), "figure" if error.near else "runs")
    holds, fails = (answered(stated, measured, level) for level in levels)
    return FigureAnswer(figure, labels, holds, fails, holds.why, "figure" if holds.estimate is None else "")


def datasets_of(rule: FigureRule) -> tuple[str, ...]:
    """Return the columns that a figure shows: one, several, or none for figures of files."""
    if isinstance(rule, OfTable):
        return (rule.dataset,)
    return rule.datasets if isinstance(rule, LossScatter) else ()
