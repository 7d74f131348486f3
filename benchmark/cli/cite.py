"""The command `cite`: BibTeX for papers, methods and data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli.screen import say


def cite(names: Annotated[list[str], typer.Argument(help="Papers, methods, data sets; see `ls`.")]) -> None:
    """Print what to cite for papers, methods and data sets, as BibTeX."""
    from benchmark.catalogue.references import references

    say("\n".join(references(names)), nl=False)
