"""The project as it is installed: metadata, start-up beside other packages of the same names, the built wheel."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import benchmark
from tests.support.checkout import ROOT


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run_benchmark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m benchmark`` in `folder`, which comes first on the path, with the checkout after it."""
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("name", ["datasets", "methods"])
def test_another_package_of_a_sibling_s_name_stops_the_command_naming_both_places(tmp_path, name):
    decoy = tmp_path / name
    decoy.mkdir()
    (decoy / "__init__.py").touch()
    result = run_benchmark(tmp_path, "--help")
    assert result.returncode == 2, result.stdout + result.stderr
    assert str(ROOT / name) in result.stderr
    assert str(decoy.resolve()) in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_works_from_any_folder_without_other_packages(tmp_path):
    result = run_benchmark(tmp_path, "--help")
    assert result.returncode == 0, result.stderr
    assert "explain" in result.stdout


@pytest.mark.parametrize("command", ["-m pytest", "-c import pytest; raise SystemExit(pytest.main())"])
def test_tests_are_collected_beside_another_distribution_that_ships_a_package_named_tests(tmp_path, command):
    decoy = tmp_path / "site" / "tests"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise ImportError('these are the tests of another distribution')\n")
    option, _, code = command.partition(" ")
    collected = subprocess.run(
        [sys.executable, option, code, "--collect-only", "-q", str(ROOT / "tests" / "store" / "test_store.py")],
        cwd=ROOT if code == "pytest" else tmp_path,
        env={**os.environ, "PYTHONPATH": str(decoy.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert "test_store.py::" in collected.stdout


def test_version_comes_from_the_package_alone(project):
    assert "version" in project["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", benchmark.__version__)


def test_console_script_names_the_same_function_as_the_module(project):
    assert project["scripts"] == {"reclust": "benchmark.cli.main:main"}
    script = importlib.metadata.EntryPoint("reclust", project["scripts"]["reclust"], "console_scripts")
    assert callable(script.load())


def test_installed_metadata_agree_with_the_checkout(project):
    try:
        installed = importlib.metadata.distribution("reclust")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("reclust is not installed here: the checkout is on the path")
    assert installed.version == benchmark.__version__
    assert installed.metadata["Requires-Python"] == project["requires-python"]
    assert {script.name: script.value for script in installed.entry_points if script.group == "console_scripts"} == (
        project["scripts"]
    )


def test_ci_runs_the_readme_s_test_command_as_written():
    command = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/python -m pytest"
    for path in ("README.md", ".ci/run", "CONTRIBUTING.md"):
        assert command in (ROOT / path).read_text(encoding="utf-8"), path


def test_an_environment_with_another_distribution_s_files_in_a_package_of_ours_is_refused_in_one_sentence(tmp_path):
    """As pip leaves it, whichever of the two comes second: its files lie in our folder, and its list names them."""
    site = tmp_path / "site-packages"
    for name in ("benchmark", "methods", "datasets", "paper_tables"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "datasets" / "__init__.py").write_text("raise ImportError('these are other data sets')\n")
    for name, listed in (("reclust-0.1.0", "datasets/__init__.py,,"), ("datasets-9.9", "datasets/__init__.py,,")):
        (site / f"{name}.dist-info").mkdir()
        (site / f"{name}.dist-info" / "RECORD").write_text(f"{listed}\n")
    result = subprocess.run(
        [sys.executable, "-m", "benchmark", "ls", "papers"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    (sentence,) = result.stderr.splitlines()
    assert "reclust and datasets 9.9 both install the package 'datasets'" in sentence
    assert "an environment of its own" in sentence


@pytest.mark.slow
def test_the_wheel_holds_the_packages_the_paper_data_and_the_stored_results(tmp_path):
    packages = ("benchmark", "methods", "datasets", "paper_tables", "results")
    source = tmp_path / "source"  # a copy, so that building leaves nothing in the checkout and finds nothing old there
    for name in packages:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    (wheel,) = tmp_path.glob("reclust-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path for package in packages for path in (source / package).rglob("*.py")}
    wanted |= {path for path in (source / "paper_tables").glob("*/*") if path.is_file()}
    wanted |= {source / name / "references.bib" for name in ("methods", "datasets", "paper_tables")}
    wanted |= {source / "benchmark" / "cli" / "examples.toml"}
    wanted |= {path for path in (source / "results" / "stored").rglob("*") if path.is_file()}
    assert {path.relative_to(source).as_posix() for path in wanted} - held == set()
    assert "paper_tables/tkuco2024/ledger.toml" in held
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == set(packages)
