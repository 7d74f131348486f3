"""The place of claims in the report: what each paper says in words, and what our numbers answer."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.session import Session


@dataclass(frozen=True)
class ShownClaim:
    """A claim as the start page lists it: the sentence, the answers with their profile, and its page."""

    id: str
    sentence: str
    answers: tuple[tuple[str, str], ...]
    page: str


def claims_of(session: Session, paper: str) -> list[ShownClaim]:
    """Return the claims of a paper; none before they are declared as data."""
    return []
