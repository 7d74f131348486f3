"""The catalogue as a user meets it: commands in processes of their own, between which sources change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

NOTE = "imported once"
ASK = """
import json, sys
from benchmark.catalogue import completed, fill_registries, keep
from benchmark.registry import METHODS, fill_when_asked
fill_when_asked(fill_registries)
print(json.dumps(completed("medlar", {"n_clusters": 3}).params if "medlar" in METHODS else None))
keep()
print("torch" in sys.modules, file=sys.stderr)
"""
MEDLAR = '''
import torch

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams


class MedlarParams(ClusterParams):
    """Parameters."""

    width: int = 1


@register_method("medlar")
class Medlar(Clusterer):
    """A fruit."""

    Params = MedlarParams
'''


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, to be edited."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("benchmark", "methods", "datasets", "paper_tables"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def python(checkout: Path, cache: Path, *words: str, path: str = "", **variables: str) -> tuple[str, str]:
    """Return stdout and stderr of Python in a checkout, with a cache folder and more folders on the path."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=checkout,
        env={
            **{name: value for name, value in os.environ.items() if name != "RECLUST_CACHE"},
            "XDG_CACHE_HOME": str(cache),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(checkout), path))),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def listed(checkout: Path, cache: Path, **options: str) -> tuple[dict[str, str], bool]:
    """Return what `ls methods` says of each method, and whether plug-ins were imported for it."""
    out, err = python(checkout, cache, "-m", "benchmark", "ls", "methods", "--json", **options)
    return {line["name"]: line["about"] for line in json.loads(out)}, NOTE in err


def test_an_edited_added_or_removed_method_is_listed_as_it_is_now(checkout, tmp_path):
    first, imported = listed(checkout, tmp_path)
    assert imported and "k-means" in first
    assert listed(checkout, tmp_path) == (first, False)
    file = checkout / "methods" / "baselines" / "k_means.py"
    before = file.read_text()
    head = 'class KMeans(Clusterer[KMeansParams]):\n    """'
    assert head in before
    file.write_text(before.replace(head, f"{head}Edited. "))
    (checkout / "methods" / "medlar.py").write_text(MEDLAR)
    edited, imported = listed(checkout, tmp_path)
    assert imported and edited["medlar"] == "A fruit." and edited["k-means"].startswith("Edited. ")
    file.write_text(before)
    (checkout / "methods" / "medlar.py").unlink()
    assert listed(checkout, tmp_path) == (first, False)


def test_an_entry_point_counts_while_it_is_installed_and_as_it_is_written_now(checkout, tmp_path):
    site = tmp_path / "site"
    facts = site / "medlar-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: medlar\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[reclust.methods]\nmedlar = orchard:Medlar\n")
    (site / "orchard.py").write_text(MEDLAR)

    def asked(path: str) -> tuple[object, bool]:
        out, err = python(checkout, tmp_path, "-c", ASK, path=path)
        return json.loads(out), err.endswith("True\n")

    assert asked(str(site)) == ({"n_clusters": 3, "width": 1}, True)
    assert asked(str(site)) == ({"n_clusters": 3, "width": 1}, False)
    (site / "orchard.py").write_text(MEDLAR.replace("width: int = 1", "width: int = 2"))
    assert asked(str(site)) == ({"n_clusters": 3, "width": 2}, True)
    assert asked("")[0] is None
    assert asked(str(site)) == ({"n_clusters": 3, "width": 2}, False)


def test_with_the_cache_off_nothing_is_kept_and_everything_is_said(checkout, tmp_path):
    found, imported = listed(checkout, tmp_path, RECLUST_CACHE="off")
    assert "k-means" in found and not imported
    assert not (tmp_path / "reclust").exists()


def test_a_broken_method_is_named_each_time_and_remembered_never(checkout, tmp_path):
    broken = checkout / "methods" / "medlar.py"
    broken.write_text(f"import os\nif 'FRUIT' not in os.environ:\n    raise ImportError('no fruit')\n{MEDLAR}")
    try:
        for _ in range(2):
            out, err = python(checkout, tmp_path, "-m", "benchmark", "ls", "methods", "--json")
            names = {line["name"] for line in json.loads(out)}
            assert "no fruit" in err and "k-means" in names and "medlar" not in names
        # What was missing may be there later, without a change of any source.
        assert "medlar" in listed(checkout, tmp_path, FRUIT="1")[0]
    finally:
        broken.unlink()
