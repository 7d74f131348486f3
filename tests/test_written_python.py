"""The Python that README and docs show runs as it stands: each document from top to bottom, in one fresh process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

WITH_FILES = ("own-data", "own-paper", "tutorial")
"""Pages that write files or run commands between their Python: tests/test_written_commands.py runs them whole."""

DOCUMENTS = [
    "README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.stem not in WITH_FILES),
]


def python_of(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.S)


WITH_PYTHON = [document for document in DOCUMENTS if python_of(document)]


def run(text: str, folder: Path) -> None:
    """Run a script in a fresh process, in a folder."""
    (folder / "shown.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "shown.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_documents_with_python_are_found():
    assert {"README.md", "docs/estimators.md", "docs/figures.md", "docs/verdicts.md"} <= set(WITH_PYTHON)


@pytest.mark.slow
@pytest.mark.parametrize("document", WITH_PYTHON)
def test_what_a_document_shows_runs(document, tmp_path):
    run("\n".join(python_of(document)), tmp_path)


def test_the_first_example_of_the_readme_is_whole(tmp_path):
    """One epoch of DDC and 300 samples, so that this is quick; the rest stands as it is."""
    first = next(block for block in python_of("README.md") if "IDEC.load" in block)
    few = re.sub(r"epochs=\d+", "epochs=1", first.replace('load_dataset("digits").x', 'load_dataset("digits").x[:300]'))
    run(few.replace("reshape(1797", "reshape(300"), tmp_path)
    assert (tmp_path / "idec.safetensors").exists()
