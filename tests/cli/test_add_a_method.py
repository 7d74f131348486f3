"""docs/add-a-method.md, command by command, in a fresh copy; and the errors of new-method."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli.new_method import new_method
from benchmark.errors import UsageError
from benchmark.registry import load_plugins
from tests.support.checkout import ROOT

PACKAGES = ("benchmark", "methods", "datasets", "paper_tables", "results", "docs", "tests/support")
FILES = (
    *("pyproject.toml", "tests/__init__.py", "tests/conftest.py", "tests/methods/__init__.py"),
    *("tests/contract/__init__.py", "tests/contract/test_method_contract.py"),
)


@pytest.fixture(autouse=True)
def plugins() -> None:
    load_plugins()


def copy_of_the_checkout(folder: Path) -> Path:
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs", "figures"))
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def commands() -> list[str]:
    text = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


@pytest.mark.slow
def test_the_commands_of_the_document_lead_from_nothing_to_a_compared_method(tmp_path):
    home, outputs = copy_of_the_checkout(tmp_path / "home"), {}
    assert len(commands()) == 6
    for command in commands():
        words = shlex.split(command)
        assert words[0] == "python"
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs[command] = done.stdout
    compared = next(text for command, text in outputs.items() if " compare " in command)
    assert re.search(r"deep-means +k-means +digits +3 and 3", compared), compared
    contract = next(text for command, text in outputs.items() if "contract" in command)
    assert " passed" in contract and "failed" not in contract


def test_a_method_from_the_template_is_a_file_and_a_test(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    method, test = new_method("deep-means", home=tmp_path)
    assert method == tmp_path / "methods" / "deep_means.py"
    assert test == tmp_path / "tests" / "methods" / "test_deep_means.py"
    assert "class DeepMeans(DeepClusterer[" in method.read_text(encoding="utf-8")
    assert "from methods.deep_means import DeepMeans" in test.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="is there already"):
        new_method("deep-means", home=tmp_path)


def test_a_package_of_its_own_has_an_entry_point(tmp_path):
    paths = new_method("deep-means", tmp_path / "mine")
    assert {path.relative_to(tmp_path / "mine").as_posix() for path in paths} == {
        "deep_means.py",
        "pyproject.toml",
        "tests/test_deep_means.py",
    }
    text = (tmp_path / "mine" / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."reclust.methods"]\ndeep-means = "deep_means"' in text


@pytest.mark.parametrize("name", ["Deep", "9lives", "a_b", "a--b", "", "../x", "class"])
def test_names_that_cannot_be_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"cannot be a method's name|Python's own"):
        new_method(name, tmp_path)


def test_a_name_that_is_taken_and_an_installed_suite_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is a method 'ddc' already"):
        new_method("ddc", tmp_path)
    with pytest.raises(UsageError, match="--package DIR"):
        new_method("deep-means", home=tmp_path)


def test_the_template_passes_the_suite_s_own_style(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    paths = new_method("deep-means", home=tmp_path)
    ours = ["--config", 'lint.isort.known-first-party = ["benchmark", "methods"]']
    for tool in (["check", *ours], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *tool, *(path.relative_to(tmp_path).as_posix() for path in paths)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout
