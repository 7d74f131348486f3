"""From a plan to stored runs and drawn tables, told to the user on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmark.cli.console import out
from benchmark.errors import UsageError, UserError
from benchmark.plan.request import Request

if TYPE_CHECKING:
    from benchmark.cli.stopping import Stopping
    from benchmark.execution.agenda import Size
    from benchmark.execution.events import Event, Frequency, Job, Place
    from benchmark.plan.cells import PlannedCell
    from benchmark.plan.runs import Plan
    from benchmark.session import Session


@contextmanager
def told_aside(aside: bool) -> Iterator[None]:
    """Tell the course of things on stderr, where stdout is kept for JSON."""
    before, out.stderr = out.stderr, aside or out.stderr
    try:
        yield
    finally:
        out.stderr = before


def refuse_nothing(cells: list[PlannedCell], request: Request) -> None:
    """Raise UsageError where a request covers no cell, with the profiles in which it covers some."""
    if not cells:
        mend = elsewhere(request) or "see `python -m benchmark ls tables`."
        raise UsageError(f"no cell of the {request.profile} profile fits these options: {mend}")


def elsewhere(request: Request) -> str:
    """Return in which other profiles a request covers cells, and the option that says so; "" where in none."""
    from benchmark.papers.protocol import PROFILES
    from benchmark.plan.cells import plan_cells

    found = []
    for profile in PROFILES:
        with suppress(UsageError):
            found += [profile] if profile != request.profile and plan_cells(replace(request, profile=profile)) else []
    if not found:
        return ""
    what, verb = (", ".join(request.datasets), "is" if len(request.datasets) == 1 else "are")
    what, verb = (what, verb) if what else ("such cells", "are")
    return f"{what} {verb} in the {' and '.join(found)} profile{'s' * (len(found) > 1)}: add --profile {found[0]}."


def unused_datasets(cells: Sequence[PlannedCell], request: Request) -> Iterator[str]:
    """Yield a sentence for each data set that was asked for and has no cell, while others have some."""
    covered = {name for cell in cells for name in (cell.column, cell.resolved.spec.data.name if cell.resolved else "")}
    for name in request.datasets:
        if cells and name not in covered and (where := elsewhere(replace(request, datasets=(name,)))):
            yield f"no cell of the {request.profile} profile has {name}: {where}"


def replaced_by_table(cells: Sequence[PlannedCell]) -> Iterator[str]:
    """Yield a sentence for each guest and table whose protocol replaces fields of the guest's own."""
    from benchmark.plan.replaced import replaced_fields

    told: dict[tuple[str, str], dict[str, str]] = {}
    for cell in cells:
        for item in replaced_fields(cell):
            said = told.setdefault((cell.row, f"{cell.paper}/{cell.table}"), {})
            said[item.path] = f"{item.path} = {item.value} (its own: {item.own})"
    for (row, table), fields in told.items():
        keep = "" if any(cell.own_protocol for cell in cells) else "; --own-protocol keeps what is no budget"
        yield f"{row} is a guest in {table}, whose protocol replaces {', '.join(fields.values())}{keep}."


def outcome(plan: Plan, session: Session, code: int) -> dict[str, Any]:
    """Return for programs what became of a plan: runs by status, those left, and those that cannot be made."""
    ended = [run.spec for run in plan.runs if session.done(run.spec, run.record)]
    records = [session.find(spec)[0] for spec in ended]
    return {
        "exit_code": code,
        "stored_before": plan.stored,
        "planned": len(plan.runs),
        "made": dict(Counter(record.status for record in records)),
        "left": len(plan.runs) - len(records),
        "run_ids": [run.spec.run_id for run in plan.runs],
        "not_ok": [
            {"run_id": record.run_id, "status": record.status, "error": record.error}
            for record in records
            if record.status != "ok"
        ],
        "cannot": [{"reason": reason, "runs": runs} for reason, runs in Counter(plan.impossible.values()).items()],
    }


def missing_readings(cells: Sequence[PlannedCell], request: Request) -> str:
    """Return a sentence about readings that were asked for and have no cell, "" where all have."""
    lacking = [r for r in request.readings if all(cell.reading != r for cell in cells)]
    return f"the {request.profile} profile has no {' and no '.join(lacking)} reading here." if lacking else ""


def refuse_impossible(plan: Plan, cells: list[PlannedCell]) -> None:
    """Raise UserError where there is nothing stored and nothing that could be made."""
    from benchmark.measure.verdict import NO_DATA, NOT_IMPLEMENTED, QUOTED

    if plan.runs or plan.stored:
        return
    reasons = [reason.rstrip(".") for reason in dict.fromkeys(plan.impossible.values())]
    for reason, names in (
        ("not implemented", dict.fromkeys(c.row for c in cells if c.reason == NOT_IMPLEMENTED)),
        ("no data set of ours", dict.fromkeys(c.column for c in cells if c.reason == NO_DATA)),
        ("only quoted, not run", dict.fromkeys(c.row for c in cells if c.reason == QUOTED)),
    ):
        reasons += [f"{reason}: {', '.join(names)}"] if names else []
    raise UserError(f"no run can be made: {'; '.join(reasons) or 'the table has nothing of what was asked for'}.")


def with_kept(plan: Plan, session: Session) -> Plan:
    """Return a plan whose runs take less by what their checkpoints hold, for those that will go on from one."""
    if not any((session.results / "checkpoints").glob("*")):
        return plan  # and nothing more is imported
    from benchmark.execution.checkpoints import steps_kept
    from benchmark.execution.events import Place

    place, runs = Place(session.results, session.data_dir, session.device), []
    for run in plan.runs:
        kept = steps_kept(session.results, place.run_name(run.spec.run_id)) if run.seconds else 0
        share = session.times.share(run.spec, kept) if kept else 0.0
        runs.append(replace(run, seconds=run.seconds * (1 - share)) if run.seconds and share else run)
    return replace(plan, runs=tuple(runs))


def announce(plan: Plan, workers: int) -> None:
    """Say what is stored, what will be made, how long that takes, and what cannot be made."""
    from benchmark.cli.progress import duration

    seconds = [run.seconds for run in plan.runs]
    known = [s for s in seconds if s is not None]
    guess = sum(known) / len(known) * len(seconds) / max(1, min(workers, len(seconds))) if known else None
    time_text = "" if guess is None else f", about {duration(guess)} with {workers} workers"
    out.print(f"{plan.stored} runs are stored, {len(plan.runs)} to make{time_text}.", markup=False)
    for reason in dict.fromkeys(plan.impossible.values()):
        count = sum(r == reason for r in plan.impossible.values())
        out.print(f"{count} runs cannot be made: {reason}", markup=False)
    if plan.stored and not plan.runs:
        out.print("Nothing to train; --fresh trains everything here, without the tracked rows.", markup=False)


@dataclass(frozen=True)
class How:
    """How runs are made: by which executor, with how many workers, until when, and how often checkpoints are saved.

    `address` and `gpus` are for a Ray cluster: where it is (without it, one of this machine is made for the command),
    and the share of a GPU that a run takes. `visible` has the value of CUDA_VISIBLE_DEVICES for each GPU over which
    worker processes are spread. `seconds` is how long a run may take. A worker makes up to `stack` runs side by side;
    None leaves it to the memory of a GPU.
    """

    executor: str = "processes"
    workers: int = 1
    until: float | None = None
    checkpoints: Frequency | None = None
    replace: bool = False
    address: str = ""
    gpus: float = 1.0
    visible: tuple[str, ...] = ()
    seconds: float | None = None
    stack: int | None = 1


def carry_out(plan: Plan, session: Session, how: How) -> int:
    """Make the runs of a plan and return the exit code."""
    if how.executor == "processes" and session.device == "cpu":
        from benchmark.execution.fits.copies import begin_importing

        begin_importing()  # beside this process, which imports as much
    from benchmark.cli.progress import follow
    from benchmark.cli.stopping import Stopping
    from benchmark.execution.events import Job, Place
    from benchmark.record import COUNTED

    # A run that is made again for an observer takes the place of the one without.
    jobs = [Job(r.spec, r.context, r.record, r.parents, r.replace or bool(r.record)) for r in plan.runs]
    how = replace(how, workers=min(how.workers, len(jobs)))
    place = Place(session.results, session.data_dir, session.device, how.replace, None, how.checkpoints, how.seconds)
    for text in _not_stacked(jobs, place, how.stack):
        out.print(text, markup=False)
    with Stopping() as stopping:
        try:
            tally = follow(_events(jobs, place, how, stopping, session), plan, how.workers, out)
        except KeyboardInterrupt:
            out.print("Stopped: finished runs are stored; the same command goes on from the checkpoints.", markup=False)
            return stopping.exit_code if stopping.asked() else 130
    out.print(f"Runs made: {tally.text()}; records in {session.results / 'runs'}.", markup=False)
    left = len(jobs) - sum(tally.by_status.values())
    if stopping.asked():
        out.print(f"Stopped: {left} runs are left; the same command goes on from their checkpoints.", markup=False)
        return stopping.exit_code
    if left:
        out.print(f"The budget is spent: {left} runs are left; the same command goes on with them.", markup=False)
    fruitless = tally.by_status and not any(tally.by_status.get(status) for status in COUNTED)
    return 1 if tally.errors or fruitless else 0


def _not_stacked(jobs: Sequence[Job], place: Place, stack: int | None) -> Iterator[str]:
    """Yield a sentence where runs are made one by one though stacks were asked for."""
    if not stack or stack == 1:
        return
    from benchmark.execution.stacks import stackable

    if left := {job.spec.method for job in jobs if not stackable(job, place)}:
        why = "--run-timeout ends each by itself" if place.seconds is not None else "no steps, or a plug-in"
        yield f"note: --stack makes the runs of {', '.join(sorted(left))} one by one ({why})."


def _as_many_as_fit(device: str, session: Session) -> Size:
    from benchmark.execution.stacks import AsManyAsFit, free_mib

    return AsManyAsFit(free_mib(device), session.times.peak_mib)


def _events(jobs: list[Job], place: Place, how: How, stopping: Stopping, session: Session) -> Iterator[Event]:
    from benchmark.execution.executors import processes, serial

    stack = how.stack or _as_many_as_fit(place.device, session)
    if how.executor == "serial":
        return serial(jobs, place, how.until, stopping.asked, stack)
    if how.executor == "ray":
        from benchmark.execution.ray_executor import on_ray

        more: Any = {"workers": how.workers, "peak_mib": session.times.peak_mib, "stack": stack}
        return on_ray(jobs, place, how.address, how.gpus, how.until, stopping.asked, **more)
    return processes(jobs, place, how.workers, how.until, stopping.asked, how.visible, stack)
