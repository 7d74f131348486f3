"""Which claims of a paper stored runs bear out, in each profile and reading, and which the paper's own tables do.

`claims_of` is for commands and reports; what it returns is plain values. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.analysis.claims.figures import FigureAnswer, judged_figure
from benchmark.analysis.claims.printed import OwnTable, own_table
from benchmark.analysis.claims.runs import Compared, Lack, Runs, command_for, compared_text
from benchmark.errors import UsageError, did_you_mean
from benchmark.measure.claims import Evidence, at_least
from benchmark.measure.comparison import holm
from benchmark.measure.statements import LEVEL
from benchmark.papers.claims import ClaimRule, Higher, OfFigures, OfTables, columns_of, load_claims
from benchmark.papers.paper import Paper, load_paper
from benchmark.papers.protocol import PROFILES, READINGS, Reading
from benchmark.session import Session

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"

WORDS = {"agrees": SUPPORTED, "contradicts": CONTRADICTED, "undecided": UNDECIDED}

FULL = "paper"
"""The profile whose answers need not name it."""


@dataclass(frozen=True)
class ClaimAnswer:
    """What the runs of one profile and reading say of a claim.

    `word` is supported, contradicted or undecided; `answer` the same with the name of a reduced profile. The claim is
    about `of` things, of which `needed` must hold; `holds` and `fails` count those that do, or do not, by themselves,
    with Holm's correction. `compared` are the comparisons; `lacks` says in a word each what is missing ("runs",
    "data", "budget", "not implemented", "figure"), `why` in a sentence, and `command` makes the runs that are missing,
    "" where none can. `run_ids` are all runs that it rests on; `figures` are the answers of figures.
    """

    profile: str
    reading: Reading
    word: str
    of: int
    needed: int
    holds: int
    fails: int
    compared: tuple[Compared, ...] = ()
    lacks: tuple[str, ...] = ()
    why: str = ""
    command: str = ""
    figures: tuple[FigureAnswer, ...] = ()

    @property
    def answer(self) -> str:
        """The word; that of a reduced profile with its name, so that it is never taken for more."""
        return self.word if self.profile == FULL or self.word == UNDECIDED else f"{self.word} ({self.profile})"

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that the answer rests on, each once."""
        return tuple(dict.fromkeys(run for each in self.compared for run in each.run_ids))

    @property
    def line(self) -> str:
        """The answer and what it rests on, in one line that names profile and reading."""
        counted = f"{self.holds} of {self.of} hold, {self.fails} fail, {self.needed} needed; " if self.of > 1 else ""
        return f"{self.profile} profile, {self.reading} reading: {self.word}; {counted}{self.why}".rstrip("; ")


@dataclass(frozen=True)
class ClaimAnswers:
    """A claim of a paper with its answers: those of runs, the fullest profile first, and that of its own tables."""

    paper: str
    id: str
    rule: ClaimRule
    answers: tuple[ClaimAnswer, ...]
    own: OwnTable | None

    @property
    def name(self) -> str:
        """``PAPER/ID``."""
        return f"{self.paper}/{self.id}"

    @property
    def sentence(self) -> str:
        """The claim in one sentence."""
        return self.rule.says

    @property
    def decided(self) -> ClaimAnswer | None:
        """The answer of the fullest profile that decides; of its readings the first."""
        return next((answer for answer in self.answers if answer.word != UNDECIDED), None)

    @property
    def answer(self) -> str:
        """The answer in a few words: of runs, else whether the paper's own table contradicts it, else undecided."""
        if self.decided is not None:
            return self.decided.answer
        if self.own is not None and self.own.word == CONTRADICTED:
            return self.own.answer
        return UNDECIDED


def claims_of(
    session: Session,
    paper: str,
    *,
    ids: Sequence[str] = (),
    profiles: Sequence[str] = tuple(reversed(PROFILES)),
    readings: Sequence[Reading] = READINGS,
) -> list[ClaimAnswers]:
    """Return the claims of a paper (those of `ids`, or all) with the answers of `profiles` and `readings`."""
    loaded, claims = load_paper(paper), load_claims(paper)
    for name in ids:
        if name not in claims:
            raise UsageError(did_you_mean(f"claim of {paper}", name, claims))
    runs = Runs(session, loaded)
    return [
        ClaimAnswers(paper, name, rule, _answers(runs, rule, profiles, readings), _own(loaded, rule))
        for name, rule in claims.items()
        if not ids or name in ids
    ]


def _own(paper: Paper, rule: ClaimRule) -> OwnTable | None:
    return own_table(paper, rule) if isinstance(rule, OfTables) else None


def _answers(
    runs: Runs, rule: ClaimRule, profiles: Sequence[str], readings: Sequence[Reading]
) -> tuple[ClaimAnswer, ...]:
    found = []
    for profile in profiles:
        for reading in readings:
            if reading in runs.paper.protocol.profiles[profile].readings:
                found.append(_answer(runs, rule, profile, reading))
    return tuple(found)


def _answer(runs: Runs, rule: ClaimRule, profile: str, reading: Reading) -> ClaimAnswer:
    if isinstance(rule, OfFigures):
        return _of_figures(runs, rule, profile, reading)
    assert isinstance(rule, OfTables)
    units, compared = [], []
    for metric in rule.metrics:
        for column in columns_of(runs.paper, rule):
            mine = [runs.compared(rule, pair, column, metric, profile, reading) for pair in rule.pairs]
            units.append(unit_of(rule, [each.tested for each in mine]))
            compared += mine
    return _told(runs, rule, profile, reading, units, compared)


def unit_of(rule: OfTables, tested: Sequence[Evidence]) -> Evidence:
    """Return the test of all pairs on one column and metric, or with `any_of_a` of all pairs of one of `a`."""
    if not (isinstance(rule, Higher) and rule.any_of_a):
        return at_least(tested, len(tested))
    firsts = [pair[0] for pair in rule.pairs]
    groups = [
        [one for one, first in zip(tested, firsts, strict=True) if first == name] for name in dict.fromkeys(firsts)
    ]
    return at_least([at_least(group, len(group)) for group in groups], 1)


def _told(
    runs: Runs,
    rule: OfTables,
    profile: str,
    reading: Reading,
    units: Sequence[Evidence],
    compared: Sequence[Compared],
) -> ClaimAnswer:
    """Return the answer of the whole claim, with Holm's words on its parts, and what would decide it."""
    needed = rule.needed(len(units))
    whole = at_least(units, needed)
    word = WORDS[whole.word]
    by_themselves = holm_words(units)
    lacks = [lack for each in compared for lack in each.lacks] if word == UNDECIDED else []
    kinds = tuple(dict.fromkeys(lack.kind for lack in lacks)) or (("budget",) if word == UNDECIDED else ())
    return ClaimAnswer(
        profile,
        reading,
        word,
        len(units),
        needed,
        by_themselves.count(SUPPORTED),
        by_themselves.count(CONTRADICTED),
        tuple(compared),
        kinds,
        _why(word, compared, lacks),
        command_for(lacks),
    )


def holm_words(units: Sequence[Evidence]) -> list[str]:
    """Return which of several things hold or fail by themselves, at 5 % for all of them together (Holm)."""
    adjusted = holm([min(1.0, 2 * min(unit.holds, unit.fails)) for unit in units])
    sides = [SUPPORTED if unit.holds < unit.fails else CONTRADICTED for unit in units]
    return [side if p <= LEVEL else UNDECIDED for side, p in zip(sides, adjusted, strict=True)]


def _why(word: str, compared: Sequence[Compared], lacks: Sequence[Lack]) -> str:
    """Return what decides: the comparison that is the least sure, or what is missing."""
    if lacks:
        texts = list(dict.fromkeys(lack.text for lack in lacks))
        more = f"; {len(texts) - 2} more" if len(texts) > 2 else ""
        return f"missing: {'; '.join(texts[:2])}{more}"
    seen = [each for each in compared if each.gap is not None]
    if not seen:
        return "one run tells no spread"
    if word == CONTRADICTED:
        shown = min(seen, key=lambda each: each.tested.fails)
        return f"most clearly against it: {compared_text(shown)}"
    shown = max(seen, key=lambda each: each.tested.holds)
    return f"{'the least sure' if word == SUPPORTED else 'not told apart'}: {compared_text(shown)}"


def _of_figures(runs: Runs, rule: OfFigures, profile: str, reading: Reading) -> ClaimAnswer:
    of = len(rule.figures)
    needed = rule.needed(of)
    # Bonferroni's levels for k of t, as for comparisons.
    levels = (LEVEL / (of - needed + 1), LEVEL / needed)
    paper = runs.paper.id
    found = [
        judged_figure(runs.session, paper, figure, rule.statement, profile, reading, levels) for figure in rule.figures
    ]
    holds = sum(each.holds.word == "agrees" for each in found)
    fails = sum(each.fails.word == "contradicts" for each in found)
    word = SUPPORTED if holds >= needed else CONTRADICTED if fails > of - needed else UNDECIDED
    lacks = tuple(dict.fromkeys(each.lacks for each in found if each.lacks)) if word == UNDECIDED else ()
    lacks = lacks or (("budget",) if word == UNDECIDED else ())
    why = "; ".join(dict.fromkeys(each.line for each in found))
    command = next((each.command for each in found if each.command), "") if word == UNDECIDED else ""
    return ClaimAnswer(profile, reading, word, of, needed, holds, fails, (), lacks, why, command, tuple(found))
