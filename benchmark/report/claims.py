"""Claims on the start page: what each paper says in words, and what our numbers and its own tables answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.analysis.claims import ClaimAnswers
from benchmark.report.claim_pages import claim_page

UNDECIDED = "undecided"


@dataclass(frozen=True)
class Said:
    """An answer to a claim: a word (supported, contradicted, undecided), and whose it is or what it lacks."""

    word: str
    about: str


@dataclass(frozen=True)
class ShownClaim:
    """A claim as the start page lists it: id, sentence, the place in the paper, the answers to it, its page."""

    id: str
    sentence: str
    where: str
    answers: tuple[Said, ...]
    page: str

    @property
    def open(self) -> bool:
        """Whether nothing answers it so far."""
        return all(said.word == UNDECIDED for said in self.answers)


def shown_claims(claims: Sequence[ClaimAnswers]) -> list[ShownClaim]:
    """Return the claims of a paper with their answers, in the order in which they are declared."""
    return [
        ShownClaim(each.id, each.sentence, each.rule.where, answers_of(each), claim_page(each.paper, each.id))
        for each in claims
    ]


def answers_of(claim: ClaimAnswers) -> tuple[Said, ...]:
    """Return the answer of our runs, which names profile and reading, and that of the paper's own table, if any."""
    decided = claim.decided
    if decided is not None:
        ours = Said(decided.word, f"by our runs, profile {decided.profile}, reading {decided.reading}")
    else:
        lacks = ", ".join(dict.fromkeys(lack for answer in claim.answers[:1] for lack in answer.lacks))
        ours = Said(UNDECIDED, f"by our runs; missing: {lacks}" if lacks else "by our runs")
    if claim.own is None:
        return (ours,)
    word = claim.own.word
    return (ours, Said(word, "by the paper's own table"))
