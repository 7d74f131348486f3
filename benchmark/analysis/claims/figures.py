"""Claims that are statements of figures: judged by the numbers that the figures are drawn from."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from benchmark.analysis.claims.compared import Lack
from benchmark.analysis.claims.runs import Runs
from benchmark.errors import UsageError, did_you_mean
from benchmark.figures.bases import FigureRule, OfTable
from benchmark.figures.declared import NoNumbers
from benchmark.figures.rules import Sweep, figure_rule
from benchmark.figures.run_rules import LossScatter, Settings, Sheets
from benchmark.measure.stated import Stated, answered
from benchmark.measure.statements import Answer
from benchmark.papers.claim_sides import FILE
from benchmark.papers.claims import OfFigures
from benchmark.papers.families import read_toml
from benchmark.papers.protocol import Reading

NOTHING = Answer("undecided")


@dataclass(frozen=True)
class FigureAnswer:
    """What the numbers of a figure say of its statement: at the level for holding, and at that for failing.

    `missing` says what is, where something is; `lacks` in a word, `cells` are those without all their runs, and
    `command` makes what else is missing.
    """

    figure: str
    dataset: str
    holds: Answer = NOTHING
    fails: Answer = NOTHING
    missing: str = ""
    lacks: str = ""
    cells: tuple[Lack, ...] = ()
    command: str = ""

    @property
    def line(self) -> str:
        """What the figure says in one line."""
        told = self.missing or str(self.fails if self.fails.word == "contradicts" else self.holds)
        return f"{self.figure} ({self.dataset}): {told}" if self.dataset else f"{self.figure}: {told}"


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
    runs: Runs, rule: OfFigures, figure: str, profile: str, reading: Reading, levels: tuple[float, float]
) -> FigureAnswer:
    """Return what a figure's numbers say of a claim's statement, at `levels` for holding and for failing.

    It is undecided in a profile without the figure's own data set, where the figure shows a stand-in, and without all
    planned runs: what a picture shows of the best of a few is not that of the best of all.
    """
    paper = runs.paper
    drawn, stated = stated_by(paper.id, figure, rule.statement, f"{paper.id}/{FILE}")
    columns = [paper.protocol.columns[name] for name in datasets_of(drawn)]
    labels = ", ".join(column.label for column in columns)
    absent = [column.label for column in columns if profile not in column.profiles]
    if absent:
        return FigureAnswer(figure, labels, missing=f"the {profile} profile has no {absent[0]}", lacks="data")
    lacks = tuple(_lacks(runs, drawn, stated, profile, reading))
    if lacks:
        return FigureAnswer(figure, labels, missing=_listed(lacks), lacks="runs", cells=lacks)
    from benchmark.analysis.stored_numbers import StoredNumbers
    from benchmark.figures.kinds import measured_by

    try:
        measured = measured_by(drawn, StoredNumbers(runs.session, paper.id, profile, reading))
    except NoNumbers as error:
        reason, _, command = str(error).partition(": `")
        return FigureAnswer(figure, labels, missing=reason, lacks="figure", command=command.rstrip("`."))
    holds, fails = (answered(stated, measured, level) for level in levels)
    return FigureAnswer(figure, labels, holds, fails, holds.why, "figure" if holds.estimate is None else "")


def _lacks(runs: Runs, drawn: FigureRule, stated: Stated, profile: str, reading: Reading) -> Iterator[Lack]:
    """Yield the cells behind a statement that lack planned runs: of the methods that it names, or else of all."""
    if not isinstance(drawn, OfTable | LossScatter):
        return
    named = {name.partition("@")[0] for name in stated.names}
    methods = [name for name in drawn.methods if name in named] or drawn.methods
    every = isinstance(drawn, Sweep | Settings) or (isinstance(drawn, Sheets) and drawn.settings)
    yield from runs.incomplete(drawn.table, methods, datasets_of(drawn), profile, reading, every_setting=every)
    if isinstance(drawn, Sweep) and drawn.level is not None and "level" in stated.names:
        level = drawn.level
        yield from runs.incomplete(level.table, level.methods, (drawn.dataset,), profile, reading, every_setting=True)


def _listed(lacks: Sequence[Lack]) -> str:
    more = f"; {len(lacks) - 2} more" if len(lacks) > 2 else ""
    return f"missing: {'; '.join(lack.text for lack in lacks[:2])}{more}"


def datasets_of(rule: FigureRule) -> tuple[str, ...]:
    """Return the columns that a figure shows: one, several, or none for figures of files."""
    if isinstance(rule, OfTable):
        return (rule.dataset,)
    return rule.datasets if isinstance(rule, LossScatter) else ()
