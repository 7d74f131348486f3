"""The commands that README and docs show have only options and names that there are; many are run, whole pages too."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmark.cli.main import app
from benchmark.papers.paper import load_paper
from benchmark.registry import DATASETS, METHODS, load_plugins
from tests.support.checkout import ROOT

DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
EXECUTED = ("docs/tutorial.md", "docs/own-data.md", "docs/own-paper.md")
"""Pages whose files are written and whose Python and ``console`` blocks are run, in a fresh copy of the packages."""

OF_EXAMPLES = {"deep-means", "pca-k-means", "ward-linkage", "rings", "NAME"}
"""Methods and data sets that a page adds itself."""

READ_ONLY = (
    "cite",
    "claims",
    "compare",
    "data status",
    "doctor",
    "explain",
    "figures",
    "ledger",
    "ls",
    "report",
    "results export",
    "results pack",
    "results verify",
    "tables",
)
"""Commands that need no more than the tracked rows."""

PACKAGES = ("benchmark", "methods", "datasets", "paper_tables", "results")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def commands_of(document: str) -> list[list[str]]:
    """Return the words after ``benchmark`` of every command in the blocks of a document, and in code within lines."""
    text = text_of(document)
    fenced = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S))
    inline = re.findall(r"`(python -m benchmark [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    lines = [line for line in fenced.replace("\\\n", " ").splitlines() if "python -m benchmark " in line]
    found = [line.partition("python -m benchmark ")[2] for line in (*lines, *inline)]
    return [words for line in found if (words := shlex.split(line, comments=True)) and "..." not in line]


def command(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words call, and what is left of them for it."""
    group: Any = typer.main.get_command(app)
    while words and hasattr(group, "commands"):
        assert words[0] in group.commands, words
        group, words = group.commands[words[0]], words[1:]
    return group, words


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if commands_of(name)])
def test_commands_of_a_document_have_only_options_and_names_that_there_are(document):
    load_plugins()
    for words in commands_of(document):
        called, rest = command([word for word in words if word not in ("&", "|", "...")])
        called.make_parser(typer.Context(called, info_name=words[0])).parse_args(list(rest))
        for option, name in itertools.pairwise(rest):
            known = {"--method": METHODS, "--dataset": DATASETS}.get(option)
            assert known is None or name in known or name in OF_EXAMPLES, f"{document}: {shlex.join(words)}"
            if option == "--table" and "/" in name and "example2026" not in name and not name.isupper():
                paper, _, table = name.partition("/")
                load_paper(paper).table(table)


def test_the_commands_of_the_readme_are_found():
    found = [shlex.join(words) for words in commands_of("README.md")]
    assert "run --all --fresh" in found and "data fetch usps" in found


def test_a_newcomer_reads_the_readme_in_five_minutes():
    assert len(text_of("README.md").splitlines()) <= 150


def reading() -> list[str]:
    """Return the commands, each once, that need no data, train nothing, and name nothing that a page adds.

    Those that a page below runs, which is run as a whole, are not among them.
    """
    written = [words for document in DOCUMENTS if document not in EXECUTED for words in commands_of(document)]
    paged = {shlex.join(words).partition(" --out ")[0] for document in EXECUTED for words in commands_of(document)}
    chosen = [
        words
        for words in written
        if " ".join(words).startswith(READ_ONLY) and not {*words} & {"|", "--run", *OF_EXAMPLES}
    ]
    found = dict.fromkeys(shlex.join(words).partition(" --out ")[0] for words in chosen)
    return [command for command in found if command not in paged]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packages and the tracked rows."""
    folder = tmp_path_factory.mktemp("copied")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs", "figures"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", reading())
def test_commands_that_only_read_end_well(command, copied):
    run(["-m", "benchmark", *shlex.split(command)], copied)


@pytest.mark.slow
@pytest.mark.parametrize("document", EXECUTED)
def test_a_page_leads_where_it_says(document, tmp_path):
    """Each block in its order: files are written where the line before says, Python and commands run."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "runs", "figures"))
    blocks = re.findall(r"(?:^`([\w./-]+)`:\n\n)?^```(\w*)\n(.*?)^```", text_of(document), re.S | re.M)
    ran = 0
    for file, language, body in blocks:
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(body, encoding="utf-8")
        elif language == "python":
            ran += run(["-c", body], tmp_path)
        elif language == "console":
            ran += sum(run(shlex.split(line, comments=True)[1:], tmp_path) for line in body.splitlines())
    assert ran >= 3


def run(words: list[str], folder: Path) -> int:
    """Run words as a user does, whose commands keep in a cache what they find out: one of this folder's own."""
    kept = {"XDG_CACHE_HOME": str(folder / "cache"), "RECLUST_CACHE": ""}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **kept},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return 1
