"""The environment of a record says where we are: machine, versions and commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmark
import benchmark.provenance.environment as environments
from benchmark.provenance.environment import environment, git_commit, machine_kind


def test_the_environment_names_versions_machine_and_time() -> None:
    held = environment("cpu", 3)
    assert (held["device"], held["threads"]) == ("cpu", 3)
    assert (held["torch"], held["numpy"]) == (torch.__version__, np.__version__)
    assert (held["python"], held["version"]) == (platform.python_version(), benchmark.__version__)
    assert abs(datetime.fromisoformat(held["date"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert held["machine"] == machine_kind("cpu")
    assert held["machine"].startswith(f"{platform.machine()}, {held['cpu']}") and held["machine"].endswith(", cpu")
    assert set(held) >= {"platform", "git_commit"} and held["cpu"]


ZEN_3 = """processor : 0
vendor_id : AuthenticAMD
cpu family : 25
model : 1
model name : AMD EPYC
flags : fpu sse4_2 avx avx2

processor : 1
model : 99
"""


def test_two_generations_of_a_cpu_with_one_name_are_two_kinds_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    zen_5 = ZEN_3.replace(": 25", ": 26").replace("model : 1", "model : 2").replace("avx2", "avx2 avx512f")
    kinds = []
    for text in (ZEN_3, zen_5, "model name : AMD EPYC\n", ""):
        monkeypatch.setattr(environments, "_cpuinfo", lambda text=text: text)
        kinds.append(machine_kind("cpu").partition(", ")[2])
    assert kinds[:3] == [
        "AMD EPYC (family 25, model 1, AVX2), cpu",
        "AMD EPYC (family 26, model 2, AVX-512), cpu",
        "AMD EPYC, cpu",
    ]
    assert kinds[3] == f"{platform.processor() or platform.machine()}, cpu"


@pytest.mark.cuda
def test_the_device_of_a_gpu_is_its_name() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    name = torch.cuda.get_device_name(0)
    assert environment("cuda", 1)["device"] == name and machine_kind("cuda:0").endswith(name)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git checkout that tracks a package benchmark and a file of results."""
    for name, value in (("HOME", str(tmp_path)), ("GIT_CONFIG_NOSYSTEM", "1")):
        monkeypatch.setenv(name, value)
    home = tmp_path / "checkout"
    for name in ("benchmark/__init__.py", "results/stored.csv"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text("")
    run_git(home, "init", "--quiet")
    run_git(home, "add", ".")
    run_git(home, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all")
    return home


def run_git(home: Path, *arguments: str) -> str:
    variables = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_INDEX_FILE")}
    command = ["git", "-C", str(home), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=variables).stdout.strip()


def commit_of(home: Path) -> str:
    return git_commit.__wrapped__(home)


def test_the_commit_is_dirty_only_with_modified_tracked_files_outside_results(checkout: Path) -> None:
    commit = run_git(checkout, "rev-parse", "HEAD")
    assert commit_of(checkout) == commit
    (checkout / "untracked.py").write_text("x")
    (checkout / "results" / "stored.csv").write_text("changed")
    assert commit_of(checkout) == commit
    (checkout / "benchmark" / "__init__.py").write_text("changed = 1")
    assert commit_of(checkout) == f"{commit}+dirty"


def test_the_commit_of_hooks_is_that_of_the_code(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert commit_of(checkout) == run_git(checkout, "rev-parse", "HEAD")


def test_there_is_no_commit_for_a_package_that_is_not_tracked(checkout: Path, tmp_path: Path) -> None:
    installed = checkout / "site-packages"
    (installed / "benchmark").mkdir(parents=True)
    (installed / "benchmark" / "__init__.py").write_text("")
    assert commit_of(installed) == ""
    assert commit_of(tmp_path / "absent") == ""


def test_there_is_no_commit_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit_of(checkout) == ""
