"""Commands that ask questions of stored runs and of the ledger, and start a method: compare, ledger, new-method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.listing import print_list
from benchmark.cli.options import (
    DataDir,
    Datasets,
    Json,
    NewResults,
    OwnProtocol,
    ReadingChoice,
    Results,
    Runs,
    Sets,
    SomeProfile,
    Workers,
    cores,
    request,
)
from benchmark.cli.screen import say
from benchmark.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from benchmark.analysis.effects import Effect
    from benchmark.papers.ledger import LedgerEntry
    from benchmark.plan.cells import PlannedCell
    from benchmark.session import Session

OneSetting = Annotated[
    str | None, typer.Option("--setting", help="The setting of a table that has several, as `tables` prints it.")
]


def compare(
    methods: Annotated[
        list[str], typer.Argument(help="Two or more methods; METHOD:code,FIELD=VALUE for one in the other reading.")
    ],
    table: Annotated[
        str | None, typer.Option("--table", help="PAPER/TABLE; by default one that has the methods.")
    ] = None,
    dataset: Datasets = None,
    metric: Annotated[str, typer.Option("--metric", help="A metric of the table.")] = "acc",
    setting: OneSetting = None,
    profile: SomeProfile = None,
    reading: Annotated[ReadingChoice, typer.Option("--reading", help="paper or code.")] = ReadingChoice.paper,
    sets: Sets = None,
    runs: Runs = None,
    own_protocol: OwnProtocol = False,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Draw differences, winners and mean ranks into this folder: SVG, PNG, TeX."),
    ] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Compare methods on stored runs: difference with interval, probability of improvement, test."""
    from benchmark.analysis.compare import MIN_DATASETS, compare_methods, comparison_text, variant
    from benchmark.analysis.winners import write_comparison
    from benchmark.papers.protocol import PROFILES
    from benchmark.session import Session

    if reading is ReadingChoice.both:
        raise UsageError("a comparison is of one reading: --reading paper or --reading code.")
    if profile is not None and profile not in PROFILES:
        raise UsageError(did_you_mean("profile", profile, PROFILES))
    place = table or _home([variant(text).method for text in methods], metric)
    asked = request(
        *(profile or "quick", None, [place], methods, dataset, reading, sets, runs, None),
        setting=_listed(setting),
        own_protocol=own_protocol,
    )
    answer = compare_methods(Session(results), asked, metric, profile)
    say(json.dumps(answer, indent=2) if as_json else comparison_text(answer))
    if to is not None:
        for file in write_comparison(answer, to):
            say(f"written: {file}", err=as_json)
        if not answer["ranks"]:
            say(f"no diagram of ranks: mean ranks need {MIN_DATASETS} data sets with all the methods.", err=True)


def ledger(
    name: Annotated[str | None, typer.Argument(help="An entry, such as K1; or a paper.")] = None,
    effects: Annotated[str | None, typer.Option("--effects", help="Show what the entries of this paper do.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="With --effects: on this method.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="With --effects: on this data set.")] = None,
    table: Annotated[str | None, typer.Option("--table", help="With --effects: as in this table.")] = None,
    setting: OneSetting = None,
    profile: Annotated[str, typer.Option("--profile", help="With --effects: quick, cpu or paper.")] = "quick",
    reading: Annotated[
        ReadingChoice, typer.Option("--reading", help="With --effects: where all other entries stand, paper or code.")
    ] = ReadingChoice.paper,
    severity: Annotated[str | None, typer.Option("--severity", help="Only entries A, B or C.")] = None,
    metric: Annotated[str, typer.Option("--metric", help="With --effects: this metric.")] = "acc",
    runs: Runs = None,
    train: Annotated[bool, typer.Option("--run", help="With --effects: make the runs that are missing.")] = False,
    workers: Workers = None,
    to: Annotated[Path | None, typer.Option("--out", help="With --effects: draw them into this folder.")] = None,
    results: NewResults = Path("results"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the documented disagreements, show one, or show what each of them does to the numbers."""
    from benchmark.analysis.compare import metric_of, setting_of
    from benchmark.analysis.effects import checked_severity, draw_effects, measure_effects, plan_effects
    from benchmark.figures.kit import png_bytes, svg_bytes
    from benchmark.session import Session

    if effects is None:
        _show(name, severity, as_json)
        return
    if method is None or dataset is None:
        raise UsageError("--effects needs --method and --dataset.")
    wanted = table or _home(metric=metric, papers=[effects])
    wanted = wanted if "/" in wanted else f"{effects}/{wanted}"
    rule, point = metric_of(wanted, metric), setting_of(wanted, setting)
    if reading is ReadingChoice.both:
        raise UsageError("effects are measured in one reading: --reading paper or --reading code.")
    filters = (profile, [effects], [wanted], [method], [dataset], reading)
    asked = request(*filters, None, runs, setting=_listed(point or None))
    base, planned = plan_effects(asked, checked_severity(severity or "A"))
    session = Session(results, data_dir=data_dir)
    code = _train(session, base, planned, workers) if train else 0
    found = measure_effects(session, base, planned, rule)
    shown = found if as_json else [effect for effect in found if effect.cell]
    print_list([_effect_line(effect, rule.label) for effect in shown], as_json)
    if not as_json:
        _say_what_it_is(base, found)
    if to is not None and any(effect.scores for effect in found):
        to.mkdir(parents=True, exist_ok=True)
        label = f"{rule.label} [points]" if rule.scale == 100 else rule.label
        figure, title = draw_effects(found, label), f"Effects of the ledger of {effects}: {method} on {dataset}"
        (to / f"ledger-effects-{method}-{dataset}.svg").write_bytes(svg_bytes(figure, title))
        (to / f"ledger-effects-{method}-{dataset}.png").write_bytes(png_bytes(figure, title))
    raise typer.Exit(code)


def create(
    name: Annotated[str, typer.Argument(help="Small letters and digits, joined by hyphens.")],
    package: Annotated[Path | None, typer.Option("--package", help="Write a package of its own here.")] = None,
) -> None:
    """Write a method from a template, and its test: it runs and passes the contract tests as it is."""
    from benchmark.cli.new_method import new_method

    paths = new_method(name, package)
    for path in paths:
        say(f"written: {path}")
    if package is None:
        tests = f"tests/methods/{paths[1].name} tests/contract/test_method_contract.py"
        say(f"next: python -m pytest {tests} -k {name}")
    else:
        say(f"next: pip install -e {package} && python -m benchmark ls methods")
    say(f"then: python -m benchmark run --table {_home()} --method {name}")


def _listed(setting: str | None) -> list[str] | None:
    return None if setting is None else [setting]


def _home(methods: Sequence[str] = (), metric: str | None = None, papers: Sequence[str] | None = None) -> str:
    """Return the table in which most of the methods are at home, of those with the metric if any; the most urgent."""
    from benchmark.papers.paper import load_paper, paper_ids

    places = []
    for paper in map(load_paper, papers or paper_ids()):
        for name, rule in paper.tables.items():
            rows = {*rule.rows, *rule.reference}
            known = rows | {paper.method(row).method for row in rows}
            lacks = sum(method not in known for method in methods)
            has = {*rule.metrics, *(paper.protocol.metrics[each].column for each in rule.metrics)}
            if rule.rows:
                places.append((metric not in (None, *has), lacks, rule.priority, f"{paper.id}/{name}"))
    return min(places)[-1]


def _show(name: str | None, severity: str | None, as_json: bool) -> None:
    from benchmark.analysis.effects import checked_severity
    from benchmark.papers.paper import ledger_ids, load_ledger

    papers = [name] if name in ledger_ids() else list(ledger_ids())
    entries = [(paper, entry) for paper in papers for entry in load_ledger(paper).values()]
    if name is not None and name not in ledger_ids():
        found = [(paper, entry) for paper, entry in entries if entry.id.lower() == name.lower()]
        if not found:
            raise UsageError(
                did_you_mean("ledger entry or paper", name, {e.id for _, e in entries} | set(ledger_ids()))
            )
        facts = [_entry_facts(paper, entry) for paper, entry in found]
        say(json.dumps(facts, indent=2) if as_json else "\n\n".join(map(_entry_text, facts)))
        return
    wanted = checked_severity(severity) if severity else None
    chosen = [(p, e) for p, e in entries if wanted in (None, e.severity)]
    lines = [
        {
            "paper": p,
            "id": e.id,
            "severity": e.severity,
            "title": e.title,
            "fields": " ".join(e.fields) or ("waits" if e.awaits else "-"),
        }
        for p, e in chosen
    ]
    print_list(lines, as_json)


def _entry_facts(paper: str, entry: LedgerEntry) -> dict[str, Any]:
    return {"in": paper, **entry.model_dump(mode="json"), "effect": "" if entry.fields else entry.effect}


def _entry_text(facts: dict[str, Any]) -> str:
    lines = [f"{facts['id']} ({facts['in']}, severity {facts['severity']}): {facts['title']}"]
    names = {"what": "what", "paper": "paper", "code": "code", "choice": "our choice"}
    lines += [f"  {label}: {facts[key]}" for key, label in names.items()]
    lines.append(f"  evidence: {'; '.join(facts['evidence'])}")
    lines.append(f"  fields: {', '.join(facts['fields']) or facts['effect']}")
    lines += [f"  waits for: {', '.join(facts['awaits'])}"] if facts["fields"] and facts["awaits"] else []
    lines += ["  labels: a choice of the authors used the labels"] if facts["labels"] else []
    if facts["arm"]:
        arm = ", ".join(f"{path} = {json.dumps(value)}" for path, value in facts["arm"].items())
        lines.append(f"  arm, in neither reading (--set {facts['id']}=arm): {arm}")
    lines += [f"  try it: python -m benchmark run ... --set {facts['id']}=code"] if facts["fields"] else []
    return "\n".join(lines)


def _train(session: Session, base: PlannedCell, planned: list[Effect], workers: int | None) -> int:
    from benchmark.cli.running import How, announce, carry_out, with_kept
    from benchmark.execution.events import Frequency

    cells = [base, *(effect.cell for effect in planned if effect.cell)]
    plan, crew = with_kept(session.plan(cells), session), workers or cores()
    announce(plan, crew)
    code = carry_out(plan, session, How(workers=crew, checkpoints=Frequency())) if plan.runs else 0
    session.refresh()
    return code


def _effect_line(effect: Effect, label: str) -> dict[str, Any]:
    from benchmark.analysis.compare import interval_text

    line = {"entry": effect.name, "title": effect.entry.title}
    if effect.scores is None or effect.losses is None:
        stored = f"{effect.stored}/{effect.cell.runs if effect.cell else 0} runs stored"
        state = effect.why or (stored if effect.missing else " ".join(effect.unmeasured))
        state += f"; change it with --set {effect.field}=..." if effect.field else ""
        return {
            **line,
            "metric": label,
            "runs": "-",
            "code_minus_paper": state,
            "interval": "-",
            "loss": "-",
            "loss_interval": "-",
        }
    shown = {
        "metric": label,
        "runs": f"{effect.scores.n_a} pairs" if effect.scores.paired else f"{effect.scores.n_a}+{effect.scores.n_b}",
        "code_minus_paper": f"{effect.scores.difference:+.2f}",
        "interval": interval_text(effect.scores.interval),
    }
    if not effect.same_loss:
        return {**line, **shown, "loss": "another loss function", "loss_interval": "-"}
    losses = {
        "loss": f"{effect.losses.difference:+.4f}",
        "loss_interval": interval_text(effect.losses.interval, "+.4f"),
    }
    return {**line, **shown, **losses}


def _say_what_it_is(base: PlannedCell, found: list[Effect]) -> None:
    place = f"{base.column} at {base.setting}" if base.setting else base.column
    code = base.reading == "code"
    value, rest = ("paper's", "code has it") if code else ("code's", "paper reads")
    arms = " or, where that is said, to its arm" if any(effect.name != effect.entry.id for effect in found) else ""
    say(
        f"\nEach entry alone put to the {value} value{arms}, all others as the {rest}; means over runs of "
        f"{base.row} on {place}, profile {base.profile}, 95 % intervals (Student's). No default follows."
    )
    for sentence in dict.fromkeys(text for effect in found for text in effect.unmeasured):
        say(sentence)
    missing = [effect for effect in found if effect.missing]
    if missing:
        say(
            f"Runs are missing for {' '.join(effect.name for effect in missing)} (or for the base): "
            "the same command with --run makes them."
        )
    reasons: dict[str, list[str]] = {}
    for effect in found:
        if not effect.cell:
            by_hand = f" (--set {effect.field}=...)" if effect.field else ""
            reasons.setdefault(effect.why, []).append(effect.entry.id + by_hand)
    if reasons:
        say("\nWithout an effect to measure:")
    for why, entries in reasons.items():
        say(f"  {why}: {', '.join(entries)}")
