"""Pages of the documentation that nobody writes: from what the installed package declares, at each build.

Nothing that this writes is kept in the repository. Plug-ins of other packages that are installed get pages, too.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer.main

from benchmark.analysis.claims.printed import own_table
from benchmark.catalogue.networks import layers
from benchmark.catalogue.references import references
from benchmark.cli.main import app
from benchmark.errors import UserError
from benchmark.papers.claim_sides import load_claims
from benchmark.papers.claims import OfTables
from benchmark.papers.paper import Paper, ledger_ids, load_ledger, load_paper, paper_ids
from benchmark.registry import DATASETS, METHODS, NETWORKS, load_plugins

FILES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "results/README.md": "stored-results.md"}
"""Files of the repository that are pages of the site, too."""

INHERITED = "model_config, set_fit_request, set_predict_request, set_predict_proba_request, set_transform_request"
"""Members that pydantic and scikit-learn put into classes of ours."""

LINKS = {"../README.md": "index.md"} | {f"../{path}": page for path, page in FILES.items()}
"""Files of the repository, as pages in docs/ name them, and where they stand in the site."""

PYTHON = {
    "Methods alone": ("benchmark.session", "methods.parts.kernels", "methods.parts.divergence"),
    "Parts of methods": ("methods.parts.refinement", "methods.parts.companions", "methods.parts.own_networks"),
    "What methods see": ("benchmark.training", "benchmark.spec", "benchmark.streams"),
    "Data": ("datasets", "datasets.base", "datasets.preprocessing"),
    "Measures": ("benchmark.measure",),
    "Results": ("benchmark.analysis", "benchmark.store", "benchmark.record"),
    "Figures": ("benchmark.figures",),
    "Papers as data": (
        *("benchmark.papers.protocol", "benchmark.papers.tables", "benchmark.papers.ledger"),
        *("benchmark.papers.published", "benchmark.papers.paper"),
    ),
    "Plug-ins": ("benchmark.registry",),
}
"""What scripts may import (CONTRIBUTING.md), by page."""


Pages = dict[str, Iterable[str]]
"""Lines of pages, by their path in the site."""


def text(value: object) -> str:
    """Return a value as text of a page: nothing in it is HTML, or ends a cell of a table."""
    shown = str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return " ".join(shown.split())


def code(value: object) -> str:
    """Return a value as code in a cell of a table; nothing where it is empty."""
    shown = str(value).replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, and a blank one; one sentence where it has no rows."""
    rows = list(rows)
    if not rows:
        yield from ("None.", "")
        return
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    yield from ("| " + " | ".join(row) + " |" for row in rows)
    yield ""


def contents(pages: Iterable[str], depth: int = 1) -> Iterator[str]:
    """Yield the list of the pages below a page, for the navigation."""
    yield from ("```{toctree}", f":maxdepth: {depth}", ":hidden:", "", *pages, "```", "")


def documented(name: str, directive: str, *options: str) -> Iterator[str]:
    """Yield the lines that show the docstring of a thing."""
    yield from ("```{eval-rst}", f".. {directive}:: {name}", *(f"   {option}" for option in options), "```", "")


def anchor(paper: str, entry: str) -> str:
    """Return the anchor of a ledger entry: one in the whole site."""
    return f"{paper}-{entry}".lower()


def entries(paper: str, ids: Iterable[str], up: str) -> str:
    """Return links to entries of the ledger of a paper; `up` leads to the folder of the reference."""
    return ", ".join(f"[{i}]({up}ledger/{paper}.md#{anchor(paper, i)})" for i in ids)


# ---------------------------------------------------------------- methods


def type_of(annotation: Any) -> str:
    """Return a type as one writes it in Python."""
    shown = inspect.formatannotation(annotation).replace("typing.", "").replace("NoneType", "None")
    return re.sub(r"\b[a-z_]+\.(?:\w+\.)*(?=[A-Z])", "", shown)


def in_papers(name: str) -> Iterator[tuple[Paper, str]]:
    """Yield the papers, and their rows, in which a method stands."""
    for paper in map(load_paper, paper_ids()):
        for row, rule in paper.protocol.methods.items():
            if rule.method == name:
                yield paper, row


def fields_of(paper: Paper, row: str) -> Iterator[list[str]]:
    """Yield what a paper sets for a row: path, value of each reading, data sets, ledger entries, source."""
    for rule in paper.protocol.field:
        if not rule.methods or row in rule.methods:
            yield [
                code(rule.path),
                code(rule.paper),
                code(rule.code) if rule.code != rule.paper else "the same",
                ", ".join(rule.datasets),
                entries(paper.id, rule.ledger, "../"),
                text(rule.source),
            ]


def parameters(method: Any, name: str) -> Iterator[list[str]]:
    """Yield the parameters of a method: name, type, default, and the ledger entries that papers tie to each."""
    tied: dict[str, dict[tuple[str, str], None]] = {}
    for paper, row in in_papers(name):
        for rule in paper.protocol.field:
            if not rule.methods or row in rule.methods:
                tied.setdefault(rule.path, {}).update({(paper.id, i): None for i in rule.ledger})
    for field, info in method.Params.model_fields.items():
        found = tied.get(f"params.{field}", {})
        links = [f"{paper} {entries(paper, [i], '../')}" for paper, i in found]
        default = "needed" if info.is_required() else code(repr(info.default))
        yield [code(field), code(type_of(info.annotation)), default, "; ".join(links)]


def method_page(name: str) -> Iterator[str]:
    """Yield the lines of the page of a method."""
    method: Any = METHODS[name]
    yield from (f"# {name}", "", *documented(f"{method.__module__}.{method.__qualname__}", "autoclass", ":no-members:"))
    yield from ("## Parameters", "")
    yield from table(("parameter", "type", "default", "ledger"), parameters(method, name))
    yield from ("Beside them, every method has the arguments of [Clusterer](../python/what-methods-see.md).", "")
    if own := inspect.getdoc(method.Params):
        yield from ("```{eval-rst}", own, "```", "")
    yield from ("## Phases by default", "", "```json", method.default_protocol.model_dump_json(indent=2), "```", "")
    for paper, row in in_papers(name):
        title = paper.protocol.methods[row].label
        yield from (f"## In {paper.id}, as {title}" + (f" (row {row})" if row != name else ""), "")
        header = ("field", "paper reading", "code reading", "data sets", "ledger", "source")
        yield from table(header, fields_of(paper, row))
    yield from ("## Cite", "", f"`python -m benchmark cite {name}`:", "", "```text", *cited(name), "```")


def cited(name: str) -> list[str]:
    """Return what to cite for a method, or the sentence that says that it tells nothing."""
    try:
        return references([name])
    except UserError as error:
        return [str(error)]


def first_line(thing: Any) -> str:
    """Return the first line of a docstring."""
    return text((inspect.getdoc(thing) or "").partition("\n")[0].replace("`", ""))


def methods() -> Pages:
    """Return the pages of the methods and of the networks."""
    pages: Pages = {f"methods/{name}.md": method_page(name) for name in METHODS}
    rows = (
        [
            f"[{name}]({name}.md)",
            first_line(METHODS[name]),
            ", ".join(dict.fromkeys(paper.id for paper, _ in in_papers(name))),
        ]
        for name in METHODS
    )
    about = "What `python -m benchmark ls methods` lists; each is a scikit-learn estimator of the package `methods`."
    lines = ("# Methods", "", about, "", *table(("name", "", "papers"), rows), *contents(METHODS))
    known = ([code(name), text(", ".join(layer.name for layer in layers(name)))] for name in NETWORKS)
    names = ("# Networks", "", "Registered names, for `network=`.", "", *table(("name", "layers"), known))
    return pages | {"methods/index.md": lines, "networks.md": names}


# ---------------------------------------------------------------- data sets, papers, ledger


def datasets() -> Pages:
    """Return the page of the data sets."""
    lines = ["# Data sets", "", "What `python -m benchmark ls datasets` lists, with all that is declared of each.", ""]
    for name in DATASETS:
        source: Any = DATASETS[name]
        counts = ", ".join(map(str, getattr(source, "class_counts", ())))
        values = {
            "samples": source.n_samples,
            "shape": " x ".join(map(str, source.shape)),
            "classes": source.n_clusters,
            "samples of each class": counts,
            "stand-in for": source.stand_in_for or "",
            "digest": source.digest,
            "licence": source.licence,
            "citation": source.citation,
        }
        lines += [f"## {name}", "", f"{source.title}.", ""]
        lines += table(("", ""), ([key, text(value)] for key, value in values.items() if str(value)))
        wanted = getattr(source, "files", ())
        if wanted:
            header = ("file", "published checksum", "from")
            rows = (
                [code(f"{source.folder}/{f.name}"), code(f.known_hash or ""), text(", ".join(f.urls))] for f in wanted
            )
            lines += table(header, rows)
    return {"datasets.md": lines}


def paper_page(paper: Paper) -> Iterator[str]:
    """Yield the lines of the page of a paper."""
    protocol = paper.protocol
    yield from (f"# {paper.id}", "", text(protocol.title), "", text(protocol.citation), "", "## Tables", "")
    rows = ([code(f"{paper.id}/{n}"), text(t.title), t.kind, text(t.published)] for n, t in paper.tables.items())
    yield from table(("name", "title", "kind", "published as"), rows)
    yield from ("## Rows", "")
    known = (
        [
            code(name),
            text(rule.label),
            f"[{rule.method}](../methods/{rule.method}.md)" if rule.method in METHODS else rule.method,
            "quoted" if rule.quoted else "",
        ]
        for name, rule in protocol.methods.items()
    )
    yield from table(("name", "label", "method", ""), known)
    yield from ("## Columns", "")
    columns = (
        [code(n), text(c.label), c.paper.dataset, ", ".join(c.paper.preprocess), ", ".join(c.profiles), text(c.note)]
        for n, c in protocol.columns.items()
    )
    yield from table(("name", "label", "data set", "preprocessing", "profiles", ""), columns)
    yield from ("## Profiles", "")
    profiles = ([n, str(p.runs), str(p.samples or "all"), ", ".join(p.readings)] for n, p in protocol.profiles.items())
    yield from table(("profile", "runs", "samples", "readings"), profiles)
    yield from (
        f"Its documented disagreements: [ledger](../ledger/{paper.id}.md). {len(paper.published)} published",
        "",
    )
    yield f"numbers are in `paper_tables/{paper.id}/published.csv`."


def ledger_page(paper: str) -> Iterator[str]:
    """Yield the lines of the page of a ledger."""
    yield from (
        f"# Ledger of {paper}",
        "",
        "`python -m benchmark ledger` shows the same. Severity A changes a headline",
    )
    yield from (
        "number or makes the stated protocol impossible, B changes numbers somewhat, C is of little effect.",
        "",
    )
    for entry in load_ledger(paper).values():
        yield from (f"{{#{anchor(paper, entry.id)}}}", f"## {entry.id}: {text(entry.title)}", "", text(entry.what), "")
        rows = {
            "severity": entry.severity + (" (used labels)" if entry.labels else ""),
            "paper": text(entry.paper),
            "code": text(entry.code),
            "here": text(entry.choice),
            "fields": ", ".join(map(code, entry.fields)) or text(entry.effect),
            "evidence": "; ".join(map(text, entry.evidence)),
        }
        yield from table(("", ""), rows.items())


def claims_page(paper: str) -> Iterator[str]:
    """Yield the lines of the page of a paper's claims: what does not depend on runs."""
    loaded, claims = load_paper(paper), load_claims(paper)
    yield from (f"# Claims of {paper}", "", "What the paper says in words, each sentence ours, as a rule that numbers")
    yield from (f"answer. `python -m benchmark claims --paper {paper}` says what stored runs answer.", "")
    for name, rule in claims.items():
        own = own_table(loaded, rule).word if isinstance(rule, OfTables) else ""
        yield from (f"## {text(rule.says)}", "")
        rows = {
            "id": code(f"{paper}/{name}"),
            "where": text(rule.where),
            "rule": text(rule.asks),
            "the paper's own table": own,
            "ledger": entries(paper, rule.ledger, "../"),
            "note": text(rule.note),
        }
        yield from table(("", ""), ([label, value] for label, value in rows.items() if value))


def papers() -> Pages:
    """Return the pages of papers and ledgers."""
    here = [load_paper(name) for name in paper_ids()]
    pages: Pages = {f"papers/{paper.id}.md": paper_page(paper) for paper in here}
    pages |= {f"ledger/{name}.md": ledger_page(name) for name in ledger_ids()}
    rows = ([f"[{paper.id}]({paper.id}.md)", text(paper.protocol.title), str(len(paper.tables))] for paper in here)
    pages["papers/index.md"] = ("# Papers", "", *table(("id", "title", "tables"), rows), *contents(paper_ids()))
    severities = {name: [entry.severity for entry in load_ledger(name).values()] for name in ledger_ids()}
    counted = ([f"[{name}]({name}.md)", *(str(of.count(s)) for s in "ABC")] for name, of in severities.items())
    lines = ("# Ledger", "", *table(("paper", "A", "B", "C"), counted), *contents(severities))
    pages |= {f"claims/{name}.md": claims_page(name) for name in paper_ids()}
    said = ([f"[{name}]({name}.md)", str(len(load_claims(name)))] for name in paper_ids())
    told = ("# Claims", "", *table(("paper", "claims"), said), *contents(paper_ids()))
    return pages | {"ledger/index.md": lines, "claims/index.md": told}


# ---------------------------------------------------------------- commands, Python


def is_argument(parameter: Any) -> bool:
    """Return whether a parameter of a command is an argument; else it is an option."""
    return bool(parameter.param_type_name == "argument")


def command_lines(command: Any, words: str, examples: Any) -> Iterator[str]:
    """Yield the lines about a command and those below it."""
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from command_lines(below, f"{words} {name}", examples.get(name, {}))
        return
    yield from (f"## {words.removeprefix('python -m benchmark ')}", "", text(command.help or ""), "")
    arguments = " ".join((p.metavar or p.name).upper() for p in command.params if is_argument(p))
    yield from ("```text", f"{words} [OPTIONS] {arguments}".rstrip(), "```", "")
    rows = (
        [", ".join(map(code, (*p.opts, *p.secondary_opts))), text(getattr(p, "help", None) or "")]
        for p in command.params
        if not is_argument(p)
    )
    yield from table(("option", ""), rows)
    if isinstance(examples, list):
        yield from ("```text", *(f"python -m benchmark {example}" for example in examples), "```", "")


def commands() -> Pages:
    """Return the page of the commands."""
    examples = tomllib.loads(files("benchmark.cli").joinpath("examples.toml").read_text(encoding="utf-8"))
    lines = command_lines(typer.main.get_command(app), "python -m benchmark", examples)
    return {"commands.md": ("# Commands", "", "What `-h` shows of each.", "", *lines)}


def ours(thing: Any) -> bool:
    """Return whether a thing is a class or function of this project, no alias of something that others define."""
    is_one = inspect.isclass(thing) or inspect.isfunction(thing)
    return is_one and thing.__module__.partition(".")[0] in ("benchmark", "datasets", "methods")


def shown(module: str, told: set[Any]) -> Iterator[str]:
    """Yield the lines about what a module shows to others: its `__all__`, else what it defines; not what is `told`."""
    room = import_module(module)
    yield from (f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}", "   :no-members:", "```", "")
    for name in getattr(room, "__all__", None) or [name for name in vars(room) if not name.startswith("_")]:
        thing = getattr(room, name)
        if not ours(thing) or thing in told or (thing.__module__ != module and not hasattr(room, "__all__")):
            continue
        told.add(thing)
        if inspect.isclass(thing):
            yield from documented(f"{module}.{name}", "autoclass", ":members:", f":exclude-members: {INHERITED}")
        else:
            yield from documented(f"{module}.{name}", "autofunction")


def python() -> Pages:
    """Return the pages of what scripts may import; each thing is told once."""
    told: set[Any] = set()
    pages: Pages = {}
    for title, modules in PYTHON.items():
        lines = [line for module in modules for line in shown(module, told)]
        pages[f"python/{page_name(title)}.md"] = (f"# {title}", "", *lines)
    about = "What scripts may import (CONTRIBUTING.md); all else may change without a word."
    return pages | {"python/index.md": ("# Python", "", about, "", *contents(map(page_name, PYTHON)))}


def page_name(title: str) -> str:
    """Return the name of the page of a title."""
    return title.lower().replace(" ", "-")


def write_reference(root: Path, target: Path) -> None:
    """Write all pages of the reference, and those files of the repository `root` that are pages, to a folder.

    Links of the pages there to such files are made links between pages.
    """
    load_plugins()
    pages = methods() | datasets() | papers() | commands() | python()
    papers_too = ("papers/index", "ledger/index", "claims/index")
    top = ("commands", "methods/index", "networks", "datasets", *papers_too, "python/index")
    pages["index.md"] = ("# Reference", "", "Made from the installed package.", "", *contents(top, depth=1))
    for path, lines in pages.items():
        file = target / "reference" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path, page in FILES.items():
        as_page = re.sub(r"\]\((?:\.\./)?docs/", "](", (root / path).read_text(encoding="utf-8"))
        (target / page).write_text(re.sub(r"\]\((?=README|results/)", "](../", as_page), encoding="utf-8")
    for file in target.glob("*.md"):
        file.write_text(linked(file.read_text(encoding="utf-8")), encoding="utf-8")


def linked(page: str) -> str:
    """Return a page of docs/ with its links to files of the repository made links to their pages of the site."""
    for path, to in LINKS.items():
        page = re.sub(rf"\]\({re.escape(path)}(#[\w-]*)?\)", lambda found, to=to: f"]({to}{found[1] or ''})", page)
    return page
