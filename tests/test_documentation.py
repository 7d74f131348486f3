"""The documentation: every page is found, links lead somewhere, and the reference says what the package declares."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.papers.claim_sides import load_claims
from benchmark.papers.paper import load_ledger, load_paper, paper_ids
from benchmark.registry import DATASETS, METHODS, load_plugins
from tests.support.checkout import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINKING = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md"]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "site" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written(reference: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder into which the reference was written."""
    load_plugins()
    folder = tmp_path_factory.mktemp("site")
    reference.write_reference(ROOT, folder)
    return folder / "reference"


def test_every_page_stands_in_the_navigation():
    listed = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(encoding="utf-8"), re.S)
    names = {line for block in listed for line in block.splitlines() if line and not line.startswith(":")}
    assert {page.stem for page in PAGES} - {"index"} <= names
    assert {"reference/index", "contributing", "changelog", "stored-results"} <= names


def slug(heading: str) -> str:
    """Return the anchor that GitHub, and the site, give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", LINKING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_files_lead_to_files_and_headings_that_are_there(page):
    for path, heading in re.findall(r"\]\(((?!https?:)[^)#\s]*)(#[^)\s]+)?\)", page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if target.is_relative_to(DOCS / "reference") or path.startswith("reference/"):
            continue  # written when the site is built, which checks them
        assert target.exists(), f"{page.name} links to {path}"
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            assert heading[1:] in map(slug, headings), f"{page.name} links to {path}{heading}"


def test_there_is_a_page_for_each_method_and_paper_and_a_part_for_each_data_set(written):
    assert {f"{name}.md" for name in METHODS} <= {path.name for path in (written / "methods").iterdir()}
    assert {f"{name}.md" for name in paper_ids()} <= {path.name for path in (written / "papers").iterdir()}
    data = (written / "datasets.md").read_text(encoding="utf-8")
    assert [name for name in DATASETS if f"\n## {name}\n" not in data or DATASETS[name].digest not in data] == []


def test_a_parameter_is_shown_with_its_default_and_the_ledger_entries_that_papers_tie_to_it(written):
    lines = (written / "methods" / "ddc-uco-t.md").read_text(encoding="utf-8").splitlines()
    (width,) = [line for line in lines if line.startswith("| `width_rule`")]
    assert "`'paper'`" in width and "[K1](../ledger/tkuco2024.md#tkuco2024-k1)" in width
    (clusters,) = [line for line in lines if line.startswith("| `n_clusters`")]
    assert "| needed |" in clusters
    assert all(
        any(line.startswith(f"| `{field}`") for line in lines) for field in METHODS["ddc-uco-t"].Params.model_fields
    )


@pytest.mark.parametrize("paper", paper_ids())
def test_every_entry_of_a_ledger_is_shown_under_the_anchor_that_links_use(written, paper):
    page = (written / "ledger" / f"{paper}.md").read_text(encoding="utf-8")
    for entry in load_ledger(paper).values():
        assert f"{{#{paper}-{entry.id}}}\n## {entry.id}: ".lower() in page.lower()
    used = {entry for rule in load_paper(paper).protocol.field for entry in rule.ledger}
    assert used <= set(load_ledger(paper))


@pytest.mark.parametrize("paper", paper_ids())
def test_every_claim_is_shown_with_its_place_and_its_rule(written, paper):
    page = (written / "claims" / f"{paper}.md").read_text(encoding="utf-8")
    for name, rule in load_claims(paper).items():
        (part,) = [each for each in page.split("\n## ") if f"`{paper}/{name}`" in each]
        assert "| where |" in part and "| rule |" in part
        assert all(f"[{entry}](../ledger/{paper}.md#" in part for entry in rule.ledger)


def test_every_command_is_shown_with_its_options(written):
    commands = (written / "commands.md").read_text(encoding="utf-8")
    for heading, option in (("run", "--budget"), ("explain", "--short"), ("results prune", "--older-than")):
        part = commands.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        assert f"`{option}`" in part
