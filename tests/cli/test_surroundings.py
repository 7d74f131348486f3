"""The caller's surroundings change no command: a notebook's backend, a matplotlibrc, packages with our names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli.surroundings import refuse_mixed_packages
from benchmark.errors import UsageError
from tests.support.checkout import ROOT

NOTEBOOK = {"MPLBACKEND": "module://a_backend_of_another_environment"}
RC = "lines.linewidth: 9\nfont.size: 30\naxes.facecolor: red\nfigure.dpi: 20\nsavefig.transparent: True\n"


def command(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("words", [("ls", "methods"), ("data", "show", "digits")], ids=" ".join)
def test_a_command_called_from_a_notebook_works(tmp_path, words):
    """RECLUST_CACHE=off imports every plug-in, and with one of them matplotlib."""
    done = command(tmp_path, *words, RECLUST_CACHE="off", **NOTEBOOK)
    assert done.returncode == 0, done.stderr


def test_a_matplotlibrc_changes_no_picture(tmp_path):
    pictures: list[list[bytes]] = []
    for name in ("plain", "with-rc"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "with-rc":
            (folder / "matplotlibrc").write_text(RC)
        for words in (("figures", "--figure", "audit/kernel-gradient", "--out", "out"), ("data", "show", "digits")):
            done = command(folder, *words)
            assert done.returncode == 0, done.stderr
        files = sorted((*folder.rglob("*.svg"), *folder.rglob("*.png")))
        assert len(files) == 3
        pictures.append([file.read_bytes() for file in files])
    assert pictures[0] == pictures[1]


def installed(folder: Path, name: str, *files: str) -> None:
    """Leave in `folder` what pip does for a distribution: its files, and the list of them."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("".join(f"{file},sha256=abc,1\n" for file in files))


def test_another_distribution_in_a_package_of_ours_is_named_in_one_sentence(tmp_path):
    installed(tmp_path, "reclust", "benchmark/__init__.py", "datasets/__init__.py")
    installed(tmp_path, "harmless", "harmless/datasets/__init__.py", "mydatasets/__init__.py", "datasets.py")
    refuse_mixed_packages(tmp_path)
    installed(tmp_path, "other_datasets", "datasets/arrow.py", "other/__init__.py")
    with pytest.raises(UsageError) as told:
        refuse_mixed_packages(tmp_path)
    sentence = str(told.value)
    assert "reclust and other_datasets 1.0 both install the package 'datasets'" in sentence
    assert str(tmp_path) in sentence and "environment of its own" in sentence


def test_a_checkout_reads_no_list_of_files(tmp_path):
    installed(tmp_path, "other_datasets", "datasets/arrow.py")
    refuse_mixed_packages(tmp_path)
