"""The code digest changes with what can change numbers and with nothing else; the environment says where we are."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmark
from benchmark.provenance import code_digest, environment, git_commit, imported_modules, machine_kind
from benchmark.registry import UsageError
from tests.support.checkout import ROOT

PLANTS = {
    "__init__.py": "raise AssertionError('imported')\nfrom plants.weeds import weed\n",
    "tree.py": '''
        """Trees."""
        from __future__ import annotations
        import math
        from typing import TYPE_CHECKING
        from plants import leaf
        from .bark import thickness
        if TYPE_CHECKING:
            from plants.shade import Shade

        class Tree:
            """A tree."""
            height: float = 2.0

            def grow(self, years: int, *more: int, slow: bool = False) -> Shade:
                """Grow it."""
                import plants.roots.deep
                return math.exp(years) * leaf.AREA * thickness  # cubic metres
        ''',
    "leaf.py": "AREA = 3.0\n",
    "bark.py": "from . import sap\nthickness = sap.FLOW\n",
    "sap.py": "FLOW = 1\n",
    "shade.py": "class Shade: ...\n",
    "weeds.py": "weed = 1\n",
    "roots/__init__.py": "",
    "roots/deep.py": "from ..sap import FLOW\n",
}
CLOSURE = ("plants.bark", "plants.leaf", "plants.roots.deep", "plants.sap", "plants.tree")


Digest = Callable[..., str]


def dedented(text: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in text.splitlines())


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    """Return a function that asks a new process about the package plants, with some files replaced."""

    def asked(
        files: dict[str, str] | None = None, modules: tuple[str, ...] = ("plants.tree",), call: str = "code_digest"
    ) -> str:
        for name, text in {**PLANTS, **(files or {})}.items():
            file = tmp_path / "plants" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedented(text))
        done = subprocess.run(
            [sys.executable, "-c", f"import benchmark.provenance as p; print(p.{call}({modules!r}))"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return asked


def in_tree(*changes: tuple[str, str]) -> dict[str, str]:
    """Return tree.py with each old text replaced by the new one."""
    text = PLANTS["tree.py"]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return {"tree.py": text}


def test_the_closure_follows_imports_of_every_form_but_not_those_for_types(digest: Digest) -> None:
    assert digest(call="imported_modules") == str(CLOSURE)


def test_a_name_taken_from_a_package_brings_what_that_imports(digest: Digest) -> None:
    found = digest({"leaf.py": "from plants import weed\n"}, call="imported_modules")
    assert found == str(tuple(sorted(("plants", "plants.weeds", *CLOSURE))))


def test_circular_imports_end(digest: Digest) -> None:
    assert digest({"leaf.py": "import plants.tree\nAREA = 3.0\n"}, call="imported_modules") == str(CLOSURE)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("# cubic metres", "# litres"), id="comment"),
        pytest.param(("  # cubic metres", ""), id="no comment"),
        pytest.param(('"""Trees."""', '"""Other trees."""'), id="docstring of the module"),
        pytest.param(('"""A tree."""', ""), id="no docstring of the class"),
        pytest.param(('"""Grow it."""', '"""Grow\n\n                more."""'), id="docstring of the function"),
        pytest.param(
            ("(years) * leaf.AREA", "(\n                    years\n                ) * (leaf.AREA)"), id="format"
        ),
        pytest.param(("2.0", "2.00"), id="the same number"),
        pytest.param(("years: int, *more: int, slow: bool = False", "years: float, *more, slow=False"), id="arguments"),
        pytest.param((") -> Shade:", "):"), id="result"),
        pytest.param(("import Shade", "import Shade as Shade"), id="imports for types"),
    ],
)
def test_the_digest_ignores_what_cannot_change_numbers(digest: Digest, change: tuple[str, str]) -> None:
    assert digest(in_tree(change)) == digest()


@pytest.mark.parametrize("name", ["weeds.py", "shade.py", "__init__.py"])
def test_the_digest_ignores_modules_that_are_not_imported(digest: Digest, name: str) -> None:
    assert digest({name: "other = 7\n"}) == digest()


@pytest.mark.parametrize(
    "change",
    [
        ("exp(years)", "log(years)"),
        ("2.0", "2.5"),
        ("height: float", "height: int"),
        ("slow: bool = False", "slow: bool = True"),
        ("years: int, *more", "*more"),
        ("class Tree:", "class Tree(object):"),
        ("import math", "import cmath as math"),
    ],
)
def test_the_digest_changes_with_the_code(digest: Digest, change: tuple[str, str]) -> None:
    assert digest(in_tree(change)) != digest()


@pytest.mark.parametrize(
    "files",
    [{"leaf.py": "AREA = 3.5\n"}, {"sap.py": "FLOW = '1'\n"}, {"roots/deep.py": "from ..sap import FLOW\nFLOW += 1\n"}],
)
def test_the_digest_changes_with_the_code_of_imported_modules(digest: Digest, files: dict[str, str]) -> None:
    assert digest(files) != digest()


def test_the_digest_does_not_depend_on_order_or_repetition(digest: Digest) -> None:
    once = digest(modules=("plants.tree", "plants.weeds"))
    assert once == digest(modules=("plants.weeds", "plants.tree", "plants.weeds"))
    assert once != digest()
    assert re.fullmatch("[0-9a-f]{16}", once)


def test_the_digest_is_the_same_in_all_versions_of_python(digest: Digest) -> None:
    # Made with Python 3.11. Versions differ in ast.dump, in the fields of nodes and in how they parse f-strings.
    files = {"tree.py": "x = 1j, None\ndef f(a, /, b=None, *, c=u'c'):\n    return f'{a!r:>{b}} {c}' 'd'\n"}
    assert digest(files) == "0830daf1c77556b5"


def test_a_module_without_source_is_an_error_that_names_it() -> None:
    for name in ("benchmark.absent", "absent", "sys"):
        with pytest.raises(UsageError, match=repr(name)):
            code_digest([name])


def test_the_closure_of_the_suite_stays_within_the_project() -> None:
    found = imported_modules(["benchmark.record"])
    assert found == ("benchmark.record", "benchmark.registry", "benchmark.spec")


def test_the_environment_names_versions_machine_and_time() -> None:
    held = environment("cpu", 3)
    assert (held["device"], held["threads"]) == ("cpu", 3)
    assert (held["torch"], held["numpy"]) == (torch.__version__, np.__version__)
    assert (held["python"], held["version"]) == (platform.python_version(), benchmark.__version__)
    assert abs(datetime.fromisoformat(held["date"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert held["machine"] == machine_kind("cpu") == f"{platform.machine()}, {held['cpu']}, cpu"
    assert set(held) >= {"platform", "git_commit"} and held["cpu"]


@pytest.mark.cuda
def test_the_device_of_a_gpu_is_its_name() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    name = torch.cuda.get_device_name(0)
    assert environment("cuda", 1)["device"] == name and machine_kind("cuda:0").endswith(name)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git checkout that tracks a package benchmark and a file of results."""
    for name, value in (("ROOT", str(tmp_path)), ("GIT_CONFIG_NOSYSTEM", "1")):
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
