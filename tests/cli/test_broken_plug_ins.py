"""A plug-in that cannot be imported costs one line and no command that can do without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.plugins import off_stdout
from tests.support.checkout import ROOT

pytestmark = pytest.mark.attack("methods")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages: one that prints and ends Python when it is imported, one that works and prints."""
    site = tmp_path / "site"
    for name, code in {
        "thorn": "import os\nprint('garbage')\nos.write(1, b'more of it\\n')\nraise SystemExit(0)\n",
        "petal": "print('hello')\nfrom reclust_example import methods\n",
    }.items():
        metadata = site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[reclust.methods]\n{name} = {name}_plug\n")
        (site / f"{name}_plug.py").write_text(code)
    return site


def command(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(site), str(ROOT / "tests" / "example_package")))}
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *arguments],
        cwd=site,
        env={**os.environ, **variables, "XDG_CACHE_HOME": str(site / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_it_is_one_warning_each_time_and_json_stays_json(site):
    for _ in range(2):  # the second is answered from the catalogue, which imports nothing
        done = command(site, "ls", "methods", "--json")
        assert done.returncode == 0, done.stderr
        names = [line["name"] for line in json.loads(done.stdout)]
        assert "ward-linkage" in names and "k-means" in names
        warnings = [line for line in done.stderr.splitlines() if line.startswith("warning")]
        assert warnings == ["warning: the plug-in 'thorn' is left out, as it cannot be imported: SystemExit: 0"]


def test_what_is_printed_meanwhile_goes_to_standard_error(capfd):
    with off_stdout():
        print("from Python")
        os.write(1, b"from C\n")
    print("after it")
    out, error = capfd.readouterr()
    assert out == "after it\n" and "from C" in error and "from Python" in error
