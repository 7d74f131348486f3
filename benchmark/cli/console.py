"""The console of commands with progress bars; apart from `benchmark.cli.screen`, as rich takes its time to import."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from benchmark.printable import printable


class Screen(Console):
    """A console on which text is text: no escape sequence, and no markup unless it is asked for."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects, strings with what a terminal would obey written out."""
        shown = [printable(each) if isinstance(each, str) else each for each in objects]
        super().print(*shown, **{"markup": False} | options)


out = Screen(highlight=False, soft_wrap=True)
