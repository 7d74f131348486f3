"""Text for LaTeX: any string as one harmless line that pdflatex typesets without further packages."""

from __future__ import annotations

import re
from functools import cache

from pylatexenc.latexencode import RULE_DICT, UnicodeToLatexConversionRule, UnicodeToLatexEncoder

from benchmark.printable import printable

# A row that begins with a bracket or a star would be read as an argument of the line break before it, and the signs of
# comparison are other letters in LaTeX's oldest encoding.
OWN = {"[": "{[}", "]": "{]}", "*": "{*}", "|": r"\textbar", "<": r"\textless", ">": r"\textgreater"}
OWN |= {"`": r"\textasciigrave", "−": r"\ensuremath{-}", "×": r"\ensuremath{\times}", "⁻": r"\ensuremath{^-}"}

CODE = re.compile(r"`([^`]+)`")
QUOTED = re.compile(r'"([^"]*)"')


def escape(text: str) -> str:
    r"""Return `text` on one line, with all that LaTeX would act on made harmless.

    Letters of other alphabets than Latin and Greek become question marks; `code` in backticks is set in typewriter, and
    straight double quotes become a pair of curved ones.

    >>> print(escape("λ = 10 % of DDC-UCO_N"))
    \ensuremath{\lambda} = 10 \% of DDC-UCO\_N
    >>> print(escape('"as is", says `results renew`'))
    ``as is'', says \texttt{results renew}
    """
    line = " ".join(printable(text).split())
    pieces = CODE.split(line)
    return "".join(f"\\texttt{{{_plain(piece)}}}" if i % 2 else _quoted(piece) for i, piece in enumerate(pieces))


def _quoted(text: str) -> str:
    return "".join(f"``{_plain(piece)}''" if i % 2 else _plain(piece) for i, piece in enumerate(QUOTED.split(text)))


def _plain(text: str) -> str:
    return str(_encoder().unicode_to_latex(text))


@cache
def _encoder() -> UnicodeToLatexEncoder:
    own = UnicodeToLatexConversionRule(RULE_DICT, {ord(sign): latex for sign, latex in OWN.items()})
    return UnicodeToLatexEncoder(
        conversion_rules=[own, "defaults"],
        replacement_latex_protection="braces-after-macro",
        unknown_char_policy=lambda _: "?",
        unknown_char_warning=False,
    )
