"""Figures from stored numbers: finds those that the papers declare, gives them numbers, and writes SVG and PNG."""

from __future__ import annotations

import importlib
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.analysis.stored_numbers import StoredNumbers
from benchmark.errors import UsageError, did_you_mean
from benchmark.figures.declared import Drawing, Figure, NoNumbers
from benchmark.figures.kinds import draw_declared
from benchmark.figures.kit import empty_panel, own_defaults, png_bytes, svg_bytes
from benchmark.figures.rules import figure_rule
from benchmark.papers.families import read_toml
from benchmark.papers.protocol import PROFILES, Reading
from benchmark.registry import check_name
from benchmark.session import Session

if TYPE_CHECKING:
    import matplotlib.figure

FILES = ("figures.toml", "figures.py")
"""Where a folder of paper_tables declares figures: those made of numbers, and drawings of ideas."""


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of a folder of paper_tables: drawn in a profile, or `missing` with the reason."""

    folder: str
    rule: Figure
    drawing: Drawing | None = None
    profile: str = ""
    missing: str = ""

    @property
    def name(self) -> str:
        """``FOLDER/ID``, as the option --figure takes it."""
        return f"{self.folder}/{self.rule.id}"

    @property
    def caption(self) -> str:
        """Title, the published message, whether ours agrees, and what it is made of."""
        own = "" if self.rule.published else " (ours; not in the paper)"
        sentences = [f"{self.rule.published or self.rule.id}{own}. {self.rule.title}."]
        sentences += [f"The published picture's message: {self.rule.message}"] if self.rule.message else []
        if self.drawing is None:
            return " ".join((*sentences, f"Not drawn: {self.missing}"))
        judged = "; ".join(f"{says}: {answer}" for says, answer in self.drawing.answers)
        told = (f"{judged}." if judged else "", self.drawing.finding)
        ours = " ".join(part[0].upper() + part[1:] for part in told if part) if judged else self.drawing.finding
        sentences += [f"Ours: {ours}"] if ours else []
        sentences += [f"Made of: {'; '.join(self.drawing.facts)}."] if self.drawing.facts else []
        return " ".join(sentences)

    @property
    def picture(self) -> matplotlib.figure.Figure:
        """The drawn figure; without numbers, a panel that says why."""
        return self.drawing.figure if self.drawing is not None else empty_panel(self.missing)


def figure_folders() -> tuple[str, ...]:
    """Return the folders of paper_tables that declare figures."""
    root = importlib.resources.files("paper_tables")
    folders = (d for d in root.iterdir() if d.is_dir() and any(d.joinpath(name).is_file() for name in FILES))
    return tuple(sorted(d.name for d in folders))


@cache
def load_figures(folder: str) -> Mapping[str, Figure]:
    """Return the figures that a folder declares, by id: those of the paper by their numbers, then ours."""
    if folder not in figure_folders():
        raise UsageError(did_you_mean("folder with figures", folder, figure_folders()))
    place = importlib.resources.files("paper_tables").joinpath(folder)
    declared: list[Figure] = []
    if place.joinpath("figures.py").is_file():
        declared += importlib.import_module(f"paper_tables.{folder}.figures").FIGURES
    if place.joinpath("figures.toml").is_file():
        declared += declared_figures(read_toml(place, "figures.toml"), f"{folder}/figures.toml")
    ids = [figure.id for figure in declared]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise UsageError(f"{folder} declares two figures named {twice[0]!r}.")
    for name in ids:
        check_name(f"{folder} figure", name)
    return {figure.id: figure for figure in sorted(declared, key=_place_in_paper)}


def declared_figures(values: Mapping[str, object], what: str) -> list[Figure]:
    """Return the figures of a figures.toml, or raise UsageError with one sentence about the first wrong one."""
    rules = {name: figure_rule(part, f"{what} [{name}]") for name, part in values.items()}
    return [
        Figure(name, rule.title, partial(draw_declared, rule), rule.alt, rule.published, rule.message)
        for name, rule in rules.items()
    ]


def _place_in_paper(figure: Figure) -> tuple[bool, list[int]]:
    return not figure.published, [int(number) for number in re.findall(r"\d+", figure.published)]


def selected_figures(names: Sequence[str], papers: Sequence[str]) -> list[tuple[str, Figure]]:
    """Return folder and rule of the figures asked for, as ``FOLDER/ID``; of all `papers` (or folders) without names."""
    if names:
        found = []
        for name in names:
            folder, slash, figure = name.rpartition("/")
            if not slash:
                raise UsageError(
                    f"write the figure as PAPER/ID, not {name!r}: see `python -m benchmark figures --list`."
                )
            known = load_figures(folder)
            if figure not in known:
                raise UsageError(did_you_mean(f"figure of {folder}", figure, known))
            found.append((folder, known[figure]))
        return found
    return [(folder, rule) for folder in papers or figure_folders() for rule in load_figures(folder).values()]


def draw_figure(session: Session, folder: str, rule: Figure, profile: str | None, reading: Reading) -> DrawnFigure:
    """Draw one figure in `profile`, or without one in the fullest profile that has its numbers."""
    reasons: list[NoNumbers] = []
    for name in (profile,) if profile else tuple(reversed(PROFILES)):
        try:
            with own_defaults():
                drawing = rule.draw(StoredNumbers(session, folder, name, reading))
        except NoNumbers as error:
            reasons.append(error)
        else:
            # A drawing of an idea is made of no numbers, and so of no profile.
            return DrawnFigure(folder, rule, drawing, name if drawing.facts else "")
    # Of the smallest profile that names a command; one without the figure's data names none.
    mended = (reason for reason in reversed(reasons) if "`" in str(reason))
    told = next((reason for reason in reasons if reason.near), None) or next(mended, reasons[-1])
    return DrawnFigure(folder, rule, missing=str(told))


def write_figure(drawn: DrawnFigure, out: Path) -> list[Path]:
    """Write SVG, PNG and caption below `out`/FOLDER, and return the paths; without numbers, a panel that says why."""
    place = out / drawn.folder
    place.mkdir(parents=True, exist_ok=True)
    files = {
        place / f"{drawn.rule.id}.svg": svg_bytes(drawn.picture, drawn.rule.title),
        place / f"{drawn.rule.id}.png": png_bytes(drawn.picture, drawn.rule.title),
        place / f"{drawn.rule.id}.txt": f"{drawn.caption}\n".encode(),
    }
    for path, data in files.items():
        path.write_bytes(data)
    return list(files)
