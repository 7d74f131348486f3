"""What a release consists of beside the code: container, lock file, citation, changelog, and built distributions."""

from __future__ import annotations

import csv
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import benchmark
from tests.support.checkout import ROOT

RELEASE = ROOT / "release"
LOCK = (RELEASE / "stored-rows.lock").read_text(encoding="utf-8")


def instructions() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage of the Containerfile, with the stage from which it begins first."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in (RELEASE / "Containerfile").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        assert word in ("FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "CMD"), line
        if word == "FROM":
            name = rest.split(" AS ")[1]
            stages[name] = []
        stages[name].append((word, rest))
    return stages


@pytest.mark.parametrize("stage", ["main", "tests"])
def test_each_target_of_the_container_is_a_command_of_the_readme(stage):
    (_, begin), (run, made), (cmd, started) = instructions()[stage]
    assert (begin, run, cmd) == (f"base AS {stage}", "RUN", "CMD")
    command = f"{made} && {' '.join(json.loads(started))}"
    assert f"```\n{command}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_container_has_torch_for_the_cpu_unless_told_otherwise():
    base = dict(instructions()["base"])
    assert ("ARG", "TORCH_INDEX=https://download.pytorch.org/whl/cpu") in instructions()["base"]
    assert "PIP_EXTRA_INDEX_URL=${TORCH_INDEX}" in base["ENV"]


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", LOCK, re.M))


def test_every_package_of_the_lock_file_has_one_version_and_a_hash():
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert len(lines) == 2 * len(locked()) > 50


def test_the_lock_file_has_the_versions_that_stored_rows_name():
    named = set()
    for file in sorted((ROOT / "results" / "stored").glob("*/*/runs.csv")):
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            facts = json.loads(row["environment"])
            named.add((facts["python"], row["torch"].partition("+")[0], facts["numpy"]))
    assert named == {("3.11.7", locked()["torch"], locked()["numpy"])}
    assert "3.11.7" in LOCK


def test_the_lock_file_has_all_that_the_suite_needs():
    import tomllib

    from packaging.requirements import Requirement

    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for requirement in map(Requirement, needed):
        assert requirement.specifier.contains(locked()[requirement.name.lower()]), requirement


def test_citation_and_changelog_name_the_version_of_the_package():
    fields = dict(re.findall(r"^([a-z-]+): *(.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M))
    assert {"cff-version", "message", "title", "authors"} <= fields.keys(), "required by the schema of CFF 1.2.0"
    assert (fields["cff-version"], fields["type"], fields["license"]) == ("1.2.0", "software", "MIT")
    assert fields["version"] == benchmark.__version__
    released = datetime.date.fromisoformat(fields["date-released"])
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{benchmark.__version__}] - {released}" in changelog


@pytest.mark.slow
def test_sdist_and_wheel_are_built_and_the_wheel_runs_outside_the_checkout(tmp_path):
    """The wheel is built from the sdist; its environment sees the packages that are installed here, and no checkout."""
    source = tmp_path / "source"  # a copy, so that building leaves nothing in the checkout and finds nothing old there
    for name in ("benchmark", "methods", "datasets", "paper_tables", "results"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, capture_output=True, text=True, timeout=300, check=True)
    (wheel,), (sdist,) = tmp_path.glob("reclust-*.whl"), tmp_path.glob("reclust-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "paper_tables/uco2021/protocol.toml"} <= names
    site = tmp_path / "site"
    options = ["--no-deps", "--no-index", "--quiet", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], timeout=300, check=True)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    words = ["run", "--table", "idec2017/table2", "--method", "k-means", "--fresh"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "RECLUST_CACHE": "off"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 ok" in done.stdout and str(Path("results") / "runs") in done.stdout
    assert str(ROOT) not in done.stdout + done.stderr
