"""Which claims of a paper stored runs bear out, in each profile and reading, and which the paper's own tables do.

`claims_of` is for commands and reports; what it returns is plain values. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.analysis.claims.compared import Compared, Lack, command_for
from benchmark.analysis.claims.figures import FigureAnswer, judged_figure
from benchmark.analysis.claims.printed import OwnTable, own_table
from benchmark.analysis.claims.runs import Runs
from benchmark.errors import UsageError, did_you_mean
from benchmark.measure.claims import Evidence, at_least
from benchmark.measure.comparison import holm
from benchmark.measure.statements import LEVEL
from benchmark.papers.claim_sides import load_claims, units_of
from benchmark.papers.claims import ClaimRule, OfFigures, OfTables
from benchmark.papers.paper import Paper, load_paper
from benchmark.papers.protocol import PROFILES, READINGS, Reading
from benchmark.plan.cells import cells_kept
from benchmark.session import Session

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"

FULL = "paper"
"""The profile whose answers need not name it."""

LACKS = ("data", "runs", "figure", "not implemented", "budget", "printed")
"""What may be missing where a claim is undecided.

A data set that the profile or the suite does not have; runs; what a figure needs beside them; a method that is quoted
or has no code; more runs than the profile spends, as those stored do not tell; or nothing: the claim is about printed
numbers only.
"""


@dataclass(frozen=True)
class ClaimAnswer:
    """What the runs of one profile and reading say of a claim.

    `word` is supported, contradicted or undecided; `answer` the same with the name of a reduced profile. The claim is
    about `of` things, of which `needed` must hold; `holds` and `fails` count those that do, or do not, by themselves,
    with Holm's correction. `compared` are the comparisons, `figures` the answers of figures. `lacks` says what is
    missing, of `LACKS`, `why` what decides or is missing in words; `command` makes runs that are missing, "" where none
    can.
    """

    profile: str
    reading: Reading
    word: str
    of: int
    needed: int
    holds: int
    fails: int
    compared: tuple[Compared, ...] = ()
    figures: tuple[FigureAnswer, ...] = ()
    lacks: tuple[str, ...] = ()
    why: str = ""
    command: str = ""

    @property
    def answer(self) -> str:
        """The word; that of a reduced profile with its name, so that it is never taken for more."""
        return self.word if self.profile == FULL or self.word == UNDECIDED else f"{self.word} ({self.profile})"

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs of the comparisons, each once."""
        return tuple(dict.fromkeys(run for each in self.compared for run in each.run_ids))

    @property
    def line(self) -> str:
        """The answer and what it rests on, in one line that names profile and reading."""
        counted = f"{self.holds} of {self.of} hold, {self.fails} fail, {self.needed} needed; " if self.of > 1 else ""
        return f"{self.profile} profile, {self.reading} reading: {self.word}; {counted}{self.why}"


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
        """The answer in a few words: of full runs, else that its own table contradicts it, else of reduced runs.

        Where the readings of a profile part, both are named.
        """
        found = self.decided
        if found is None or found.profile != FULL:
            if self.own is not None and self.own.word == CONTRADICTED:
                return self.own.answer
            if found is None:
                return UNDECIDED
        same = [each for each in self.answers if each.profile == found.profile and each.word != UNDECIDED]
        if len({each.word for each in same}) > 1:
            return ", ".join(f"{each.answer} in the {each.reading} reading" for each in same)
        return found.answer


@cells_kept()
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
    asked = [(p, r) for p in profiles for r in readings if r in loaded.protocol.profiles[p].readings]
    return [
        ClaimAnswers(paper, name, rule, tuple(answer_of(runs, rule, *pair) for pair in asked), _own(loaded, rule))
        for name, rule in claims.items()
        if not ids or name in ids
    ]


def _own(paper: Paper, rule: ClaimRule) -> OwnTable | None:
    return own_table(paper, rule) if isinstance(rule, OfTables) else None


def answer_of(runs: Runs, rule: ClaimRule, profile: str, reading: Reading) -> ClaimAnswer:
    """Return what the stored runs of a profile and reading say of a claim."""
    if isinstance(rule, OfFigures):
        return _of_figures(runs, rule, profile, reading)
    assert isinstance(rule, OfTables)
    units = units_of(runs.paper, rule)
    needed = rule.needed(len(units))
    if rule.printed:
        counts = (len(units), needed, 0, 0)
        return ClaimAnswer(profile, reading, UNDECIDED, *counts, lacks=("printed",), why="about printed numbers only")
    evidence, compared = [], []
    for unit in units:
        groups = [[runs.compared(rule, unit, pair, profile, reading) for pair in group] for group in unit.groups]
        evidence.append(at_least([_every(group) for group in groups], 1))
        compared += [each for group in groups for each in group]
    word = _word(rule, at_least(evidence, needed).word)
    singly = holm_words(evidence)
    lacks = [lack for each in compared for lack in each.lacks] if word == UNDECIDED else []
    return ClaimAnswer(
        profile,
        reading,
        word,
        len(units),
        needed,
        singly.count("agrees"),
        singly.count("contradicts"),
        tuple(compared),
        (),
        tuple(dict.fromkeys(lack.kind for lack in lacks)) or (("budget",) if word == UNDECIDED else ()),
        _why(word, rule.denied, compared, lacks),
        command_for(lacks),
    )


def _every(compared: Sequence[Compared]) -> Evidence:
    return at_least([each.tested for each in compared], len(compared))


def _word(rule: ClaimRule, told: str) -> str:
    """Return the answer to a claim, of which the rule agrees or not; one that denies the rule is turned."""
    if told == "undecided":
        return UNDECIDED
    return SUPPORTED if (told == "agrees") is not rule.denied else CONTRADICTED


def holm_words(units: Sequence[Evidence]) -> list[str]:
    """Return which of several things agree or contradict by themselves, at 5 % for all of them together (Holm).

    Those that nothing is known of, as their runs are missing, are no tests, and take no part in the correction.
    """
    told = [unit for unit in units if unit != Evidence()]
    adjusted = iter(holm([min(1.0, 2 * min(unit.holds, unit.fails)) for unit in told]))
    words = []
    for unit in units:
        known = unit != Evidence() and next(adjusted) <= LEVEL
        words.append(("agrees" if unit.holds < unit.fails else "contradicts") if known else "undecided")
    return words


def _why(word: str, denied: bool, compared: Sequence[Compared], lacks: Sequence[Lack]) -> str:
    """Return what decides, the least sure comparison or the clearest against, or what is missing."""
    if lacks:
        texts = list(dict.fromkeys(lack.text for lack in lacks))
        more = f"; {len(texts) - 2} more" if len(texts) > 2 else ""
        return f"missing: {'; '.join(texts[:2])}{more}"
    seen = [each for each in compared if each.gap is not None]
    if not seen:
        return "one run tells no spread"
    if word == UNDECIDED:
        return f"too few runs to tell, such as {max(seen, key=_open).text}"
    if (word == CONTRADICTED) is not denied:
        return f"the clearest that fails: {min(seen, key=lambda each: each.tested.fails).text}"
    held = [each for each in seen if each.tested.word == "agrees"] or seen
    return f"the least sure that holds: {max(held, key=lambda each: each.tested.holds).text}"


def _open(each: Compared) -> float:
    return min(each.tested.holds, each.tested.fails)


def _of_figures(runs: Runs, rule: OfFigures, profile: str, reading: Reading) -> ClaimAnswer:
    of = len(rule.figures)
    needed = rule.needed(of)
    # Bonferroni's levels for k of t, as for comparisons.
    levels = (LEVEL / (of - needed + 1), LEVEL / needed)
    found = [judged_figure(runs, rule, figure, profile, reading, levels) for figure in rule.figures]
    holds = sum(each.holds.word == "agrees" for each in found)
    fails = sum(each.fails.word == "contradicts" for each in found)
    word = _word(rule, "agrees" if holds >= needed else "contradicts" if fails > of - needed else "undecided")
    lacks = tuple(dict.fromkeys(each.lacks for each in found if each.lacks)) or ("budget",)
    return ClaimAnswer(
        profile,
        reading,
        word,
        of,
        needed,
        holds,
        fails,
        (),
        tuple(found),
        lacks if word == UNDECIDED else (),
        "; ".join(dict.fromkeys(each.line for each in found)),
        _command(found) if word == UNDECIDED else "",
    )


def _command(found: Sequence[FigureAnswer]) -> str:
    """Return the command that makes the runs behind some figures, or else what they need beside these."""
    runs = command_for([lack for each in found for lack in each.cells])
    return runs or next((each.command for each in found if each.command), "")
