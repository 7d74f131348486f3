"""Claims with their answers: a line for each, one in full, and all as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmark.analysis.claims import ClaimAnswer, ClaimAnswers


def overview(found: Sequence[ClaimAnswers]) -> str:
    """Return a line for each claim, and how many there are of each answer."""
    if not found:
        return "no paper here has claims: docs/claims.md says how to write them."
    rows = [("claim", "answer", "own table", "sentence")]
    rows += [(each.name, each.answer, each.own.word if each.own else "-", each.sentence) for each in found]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = ["  ".join((*(t.ljust(w) for t, w in zip(row, widths, strict=False)), row[3])) for row in rows]
    counts = Counter(each.answer for each in found)
    told = ", ".join(f"{count} {answer}" for answer, count in counts.most_common())
    return "\n".join([*lines, "", f"{len(found)} claims: {told}.", *_notes(found)])


def _notes(found: Sequence[ClaimAnswers]) -> list[str]:
    return [
        "Answers are those of the fullest profile that decides; without a name in parentheses, of the paper profile.",
        f"What one rests on: python -m benchmark claims {found[0].name}",
    ]


def in_full(each: ClaimAnswers) -> str:
    """Return a claim with all its answers, what they rest on, and the commands that make what is missing."""
    lines = [f"{each.name}: {each.answer}", f"  {each.sentence}", f"  said in: {each.rule.where}"]
    lines.append(f"  rule: {asked(each)}")
    lines += [f"  note: {each.rule.note}"] if each.rule.note else []
    lines += [f"  ledger: {' '.join(each.rule.ledger)}"] if each.rule.ledger else []
    lines += [f"  {each.own.line}"] if each.own else []
    for answer in each.answers:
        lines.append(f"  {answer.line}")
        lines += [f"    {text}" for text in _comparisons(answer)]
        lines += [f"    make it: {answer.command}"] if answer.command else []
    return "\n".join(lines)


def asked(each: ClaimAnswers) -> str:
    """Return the rule of a claim in words, with how much of it must hold."""
    of = max((answer.of for answer in each.answers), default=1)
    needed = each.rule.needed(of)
    words = "" if of == 1 else f", on all {of}" if needed == of else f", on {needed} of {of}"
    return f"{each.rule.asks}{words}{'; the paper says that this does not hold' if each.rule.denied else ''}"


def _comparisons(answer: ClaimAnswer) -> list[str]:
    return [each.text for each in answer.compared if each.gap is not None]


def facts(each: ClaimAnswers) -> dict[str, Any]:
    """Return a claim with its answers as plain values."""
    return {
        "paper": each.paper,
        "id": each.id,
        "sentence": each.sentence,
        "where": each.rule.where,
        "rule": asked(each),
        "ledger": list(each.rule.ledger),
        "note": each.rule.note,
        "answer": each.answer,
        "own_table": _own(each),
        "answers": [_answer(answer) for answer in each.answers],
    }


def _own(each: ClaimAnswers) -> dict[str, Any] | None:
    own = each.own
    if own is None:
        return None
    counts = {"answer": own.answer, "of": own.of, "needed": own.needed, "holds": own.holds, "fails": own.fails}
    return counts | {"printed": [vars(printed) for printed in own.printed]}


def _answer(answer: ClaimAnswer) -> dict[str, Any]:
    counts = {
        name: getattr(answer, name) for name in ("profile", "reading", "answer", "of", "needed", "holds", "fails")
    }
    return counts | {
        "lacks": list(answer.lacks),
        "why": answer.why,
        "command": answer.command,
        "run_ids": list(answer.run_ids),
        "comparisons": [
            {
                "a": each.a,
                "b": each.b,
                "dataset": each.dataset,
                "metric": each.metric,
                "quantity": each.quantity,
                "difference": each.gap.estimate if each.gap else None,
                "interval95": list(each.interval) if each.interval else None,
                "p_holds": each.tested.holds,
                "p_fails": each.tested.fails,
                "runs": list(each.runs),
                "paired": each.paired,
            }
            for each in answer.compared
        ],
        "figures": [{"figure": each.figure, "data": each.dataset, "says": each.line} for each in answer.figures],
    }
