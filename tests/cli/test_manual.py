"""What --help shows: examples that each command takes, commands in the order of use; -h, and completion in shells."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmark.cli.main import app
from benchmark.cli.manual import ORDER
from benchmark.papers.paper import load_paper
from benchmark.registry import DATASETS, METHODS, load_plugins

load_plugins()
GROUP: Any = typer.main.get_command(app)


def commands(group: Any = GROUP, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return every command by the words that call it."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= commands(command, (*path, name)) if inner else {(*path, name): command}
    return found


def examples(command: Any) -> list[str]:
    return [line.strip() for line in (command.epilog or "").splitlines() if line.strip()][1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a folder with what the examples name."""
    for name in ("results", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "study.toml").write_text('table = ["tkuco2024/table2"]\n')
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_shows_examples_that_it_takes(words):
    shown = examples(commands()[words])
    assert shown
    for line in shown:
        python, m, benchmark, *rest = shlex.split(line)
        assert (python, m, benchmark) == ("python", "-m", "benchmark")
        assert tuple(rest[: len(words)]) == words
        commands()[words].make_context(words[-1], rest[len(words) :])  # raises for an option that there is not
        for option, name in itertools.pairwise(rest):
            if option == "--table":
                paper, _, table = name.partition("/")
                load_paper(paper).table(table)
            known = {"--method": METHODS, "--dataset": DATASETS}.get(option)
            assert known is None or name in known, line


def test_help_lists_commands_in_the_order_of_use(call):
    for words in ((), ("data",), ("results",)):
        out = call(*words, "-h")[1]
        assert out == call(*words, "--help")[1]
        group = GROUP.commands[words[0]] if words else GROUP
        shown = re.findall(r"^│ ([a-z-]+)  ", out.partition("Commands")[2], re.MULTILINE)
        assert shown == sorted(group.commands, key=ORDER.index)


def test_a_shell_completes_commands_and_options():
    environment = {**os.environ, "_RECLUST_COMPLETE": "complete_bash"}
    for typed, expected in (("reclust sta", "status"), ("reclust run --own", "--own-protocol")):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
        done = subprocess.run(
            [sys.executable, "-m", "benchmark"], env=environment | words, capture_output=True, text=True, check=False
        )
        assert done.stdout.split() == [expected], done.stderr


def test_completion_is_installed_for_the_script(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_RECLUST_COMPLETE=complete_bash" in done.stdout and "python -m" not in done.stdout, done.stderr
