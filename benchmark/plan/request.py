"""What a user asks for."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.papers.protocol import Reading


@dataclass(frozen=True)
class Request:
    """What the user asks for; empty filters mean everything. `runs` replaces the profile's number of runs.

    `record` are observers to record with, beside those that a table needs. `settings` are labels of a table's settings,
    which the quick profile then has, too, where it leaves them out. With `own_protocol`, methods that a table does not
    list keep their own protocol in it.
    """

    profile: str = "quick"
    papers: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    sets: tuple[str, ...] = ()
    runs: int | None = None
    record: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    own_protocol: bool = False
