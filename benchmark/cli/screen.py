"""What goes to the terminal, in one place: text only, whatever names, settings and messages hold."""

from __future__ import annotations

import typer

from benchmark.printable import printable


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print a text on standard output, or as an error, with what a terminal would obey written out."""
    typer.echo(printable(str(text)), err=err, nl=nl)
