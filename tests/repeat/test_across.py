"""Renewing across a revision: its code and today's make the same short runs, and every bit of a number counts."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import UsageError, UserError
from benchmark.record import Context, RunRecord
from benchmark.registry import METHODS, load_plugins
from benchmark.repeat.across import difference, renew_across
from benchmark.repeat.beginning import excerpt
from benchmark.repeat.driver import HOMES, OnlyPath, named
from benchmark.repeat.revisions import PACKAGES, Revision, Task, checked_out
from benchmark.spec import Budget, DataSpec, Phase, Protocol, RunSpec
from benchmark.store.renewals import Renewal, Renewals, cell_id
from tests.support.checkout import ROOT

OLDER, OLD, NEW = "1" * 16, "0" * 16, "2" * 16
EVALUATION = {"phase": "train", "step": 0, "epoch": 0, "total": 1.5, "terms": {}, "metrics": {"acc": 0.5}}


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


def phase(unit: str, amount: int, every: int, batch: int = 100, **values: Any) -> Phase:
    budget = Budget(unit=unit, amount=amount)  # type: ignore[arg-type]
    return Phase(budget=budget, evaluate_every=every, batch_size=batch, **values)


def run_spec(phases: Mapping[str, Phase], samples: int | None = None, **values: Any) -> RunSpec:
    data = DataSpec(name="digits", digest="sha256:0", samples=samples)
    return RunSpec(
        method="k-means", params={"n_clusters": 10}, data=data, protocol=Protocol(phases=dict(phases)), replicate=0
    ).model_copy(update=values)


def test_an_excerpt_has_fewer_samples_but_several_batches():
    assert excerpt(run_spec({}), 70_000).data.samples == 1000
    assert excerpt(run_spec({}), 600).data.samples is None  # whole
    assert excerpt(run_spec({}, samples=240), 1797).data.samples == 240
    assert excerpt(run_spec({"train": phase("epochs", 9, 1, batch=1024)}), 70_000).data.samples == 2048


def cut(phases: Mapping[str, Phase], **values: Any) -> dict[str, tuple[int, str, int]]:
    """Return by phase of an excerpt its budget, and how often it is evaluated."""
    found = excerpt(run_spec(phases, **values), 70_000).protocol.phases
    return {name: (one.budget.amount, one.budget.unit, one.evaluate_every) for name, one in found.items()}


def test_an_excerpt_ends_soon_but_with_samples_shuffled_anew_and_an_evaluation_after_training_began():
    phases = {"a": phase("steps", 50_000, 5000), "b": phase("epochs", 50, 5), "c": phase("epochs", 20, 1)}
    assert cut(phases) == {"a": (100, "steps", 100), "b": (5, "epochs", 5), "c": (2, "epochs", 1)}
    assert cut({"a": phase("epochs", 1, 1)}) == {"a": (1, "epochs", 1)}


def test_after_pre_training_an_excerpt_goes_on_until_targets_were_renewed():
    params = METHODS["dec"].Params(n_clusters=10).canonical()
    pretraining = {"layer": phase("steps", 50_000, 5000), "pretrain": phase("epochs", 50, 5)}  # ten batches an epoch

    def cluster(unit: str, amount: int, every: int) -> tuple[int, str, int]:
        found = cut({"cluster": phase(unit, amount, every), **pretraining}, method="dec", params=params)
        assert found["layer"] == (100, "steps", 100) and found["pretrain"] == (5, "epochs", 5)
        return found["cluster"]

    assert cluster("epochs", 40, 2) == (17, "epochs", 8)
    assert cluster("epochs", 3, 1) == (3, "epochs", 1)
    assert cluster("steps", 20_000, 185) == (170, "steps", 100)


def answer(digest: str = OLD, **numbers: Any) -> dict[str, Any]:
    history = [EVALUATION, {**EVALUATION, "step": 8}]
    told = {"status": "ok", "loss": 1.5, "history": history, "n_samples": 1000, **numbers}
    return {"digest": digest, "numbers": told, "reason": "", "machine": ["here", "torch", "1"]}


def test_equal_numbers_are_equal_and_not_a_number_equals_itself():
    assert difference(answer(), answer(NEW)) == ""
    assert difference(answer(loss=float("nan")), answer(loss=float("nan"))) == ""


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"loss": 1.5000000000000002}, "loss: 1.5 and 1.5000000000000002"),
        ({"loss": None}, "loss: 1.5 and None"),
        ({"status": "diverged"}, "status: ok and diverged"),
        ({"history": [EVALUATION]}, "history: 2 values and 1 values"),
        ({"history": [EVALUATION, {**EVALUATION, "step": 8, "metrics": {"acc": 0.75}}]}, "history, 1, metrics, acc"),
    ],
)
def test_the_smallest_difference_is_named(numbers, reason):
    assert reason in difference(answer(), answer(NEW, **numbers))


def test_zeros_of_other_sign_differ():
    assert "loss" in difference(answer(loss=0.0), answer(loss=-0.0))


def test_what_shows_nothing_renews_nothing():
    failed = {**answer(status="failed"), "reason": "ValueError: no"}
    assert "fails in both (ValueError: no)" in difference(failed, failed)
    assert "too little" in difference(answer(history=[EVALUATION]), answer(history=[EVALUATION]))
    error = {"error": "UsageError: unknown field"}
    assert "today's code cannot" in difference(answer(), error)
    assert "the earlier code cannot" in difference(error, answer())


class Told:
    """Stands for the code in folders: gives the answers of a script."""

    def __init__(self, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        self.then, self.now = then, now
        self.asked: list[Task] = []

    def ask(
        self, folders: Sequence[Path], tasks: Sequence[Task], answered: object = None
    ) -> list[dict[str, Mapping[str, Any]]]:
        self.asked += [task for task in tasks if task.run]
        return [{t.key: said for t in tasks} for said in (self.then, self.now)[: len(folders)]]


def stored(digest: str, **values: Any) -> RunRecord:
    spec = run_spec({}, **values)
    return RunRecord(run_id=spec.run_id, spec=spec, context=Context(paper="p"), status="ok", code_digest=digest)


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    load_plugins()


@pytest.fixture
def revision() -> Revision:
    return Revision("abc1234", Path("there"))


def test_rows_of_the_revision_s_code_are_renewed_for_their_whole_cell(revision):
    told = Told(answer(), answer(NEW))
    rows = [stored(OLD), stored(OLD, replicate=1)]
    found = renew_across(rows, revision, Renewals([]), told, str)
    (entry,) = found.entries
    assert (entry.old, entry.new, entry.cell) == (OLD, NEW, cell_id(rows[1].spec))
    assert "across abc1234" in entry.compared and "1000 samples" in entry.compared
    assert len(told.asked) == 1 and not found.left


def test_rows_that_are_renewed_to_the_revision_s_code_are_candidates_and_others_are_not(revision):
    row = stored(OLDER)
    found = renew_across([row], revision, Renewals([]), Told(answer(), answer(NEW)), str)
    assert not found.entries and "not made by the code of abc1234" in found.left[0]
    step = dict(method="m", dataset="d", run_id="r", compared="", machine="")
    known = Renewals([Renewal(cell=cell_id(row.spec), old=OLDER, new=OLD, **step)])
    (entry,) = renew_across([row], revision, known, Told(answer(), answer(NEW)), str).entries
    assert Renewals([*known.entries, entry]).connects(row.spec, OLDER, NEW)


def test_other_numbers_leave_the_cell_stale_with_the_reason(revision):
    found = renew_across([stored(OLD)], revision, Renewals([]), Told(answer(), answer(NEW, loss=2.0)), str)
    assert not found.entries and "loss: 1.5 and 2.0" in found.left[0]


def test_the_driver_finds_in_today_s_code_all_that_it_asks_for():
    found = {name: named(name) for name in HOMES}
    assert found["RunSpec"] is RunSpec and found["load_plugins"] is load_plugins
    assert {"drift", "validity", "randomness"} <= set(found["OBSERVERS"])


def test_a_module_that_the_revision_lacks_is_not_taken_from_an_editable_installation(monkeypatch):
    class Editable:
        """Finds today's modules, wherever they are looked for."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec:
            return ModuleSpec(name, None)

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Editable])
    assert importlib.util.find_spec("benchmark.lacking") is not None
    monkeypatch.setattr(sys, "meta_path", [OnlyPath, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="lacking"):
        importlib.util.find_spec("benchmark.lacking")
    assert importlib.util.find_spec("benchmark.spec") and importlib.util.find_spec("another_lacking")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"params": {"n_clusters": 10, "no_such_field": 1}}, "no_such_field"),
        ({"method": "dec"}, "it lacks 'layer'"),
    ],
)
def test_a_run_that_today_s_code_does_not_take_stays_stale_with_the_reason(values, reason, revision):
    found = renew_across([stored(OLD, **values)], revision, Renewals([]), Told(answer(), answer(NEW)), str)
    assert not found.entries and "today's code does not take it" in found.left[0] and reason in found.left[0]


def small_checkout(folder: Path, packages: Sequence[str] = PACKAGES) -> Path:
    git(folder, "init", "--quiet")
    for name in packages:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_revision_s_code_is_lent_as_it_was_and_taken_back(tmp_path):
    home = small_checkout(tmp_path)
    (home / "methods" / "__init__.py").write_text("x = 2\n")
    with checked_out("HEAD", home) as revision:
        place = revision.folder
        assert (place / "methods" / "__init__.py").read_text() == "x = 1\n"
    assert not place.exists()


@pytest.mark.parametrize("name", ["HEAD~7", "no-such", "", "--all", "HEAD:methods", "HEAD; ls"])
def test_an_unknown_revision_is_one_sentence(name, tmp_path):
    home = small_checkout(tmp_path)
    with pytest.raises(UsageError, match="git knows no revision"), checked_out(name, home):
        pass


def test_code_that_is_in_no_git_checkout_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="needs a git checkout"), checked_out("HEAD", tmp_path):
        pass


def test_a_revision_without_the_folders_of_today_is_one_sentence(tmp_path):
    home = small_checkout(tmp_path, PACKAGES[:2])
    with pytest.raises(UserError, match="lacks one of the folders"), checked_out("HEAD", home):
        pass


Called = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clone(tmp_path: Path) -> tuple[Path, Called]:
    """Return a checkout with the code of this one, and a way to call its commands."""
    home = tmp_path / "clone"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(home, "init", "--quiet")
    git(home, "add", ".")
    git(home, "commit", "--quiet", "-m", "first")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "benchmark", *words, "--results", str(tmp_path / "results")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(home)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return home, call


def replaced(home: Path, before: str, after: str) -> None:
    """Replace a word in all files of the clone's methods."""
    found = {path: path.read_text() for path in (home / "methods").rglob("*.py")}
    changed = {path: text.replace(before, after) for path, text in found.items() if before in text}
    assert changed
    for path, text in changed.items():
        path.write_text(text)


@pytest.mark.slow
def test_a_renamed_function_is_renewed_and_a_changed_constant_is_not(clone):
    home, call = clone
    where = ("--table", "tkuco2024/table2", "--method", "ddc", "--method", "k-means", "--runs", "1")
    where += ("--set", "data.samples=240", "--set", "phases.train.budget.amount=2")
    assert call("run", *where, "--workers", "1").returncode == 0
    asked = ("results", "renew", "--across", "HEAD", "--workers", "1")

    replaced(home, "squared_distances", "squares_of_distances")
    found = call(*asked)
    assert found.returncode == 0, found.stderr
    assert "1 stale runs: 1 cells renewed, 0 stay stale" in found.stdout  # k-means reaches no such function
    (entry,) = json.loads(call("results", "renew", "--list", "--json").stdout)
    assert "2 epochs of train, 240 samples" in entry["compared"]
    assert "0 stale runs" in call(*asked).stdout

    git(home, "commit", "--quiet", "--all", "-m", "renamed")
    replaced(home, "SMALLEST_SCALE = 1e-12", "SMALLEST_SCALE = 10.0")
    found = call(*asked)
    assert found.returncode == 1
    assert "ddc digits" in found.stderr and "today's code gives other numbers: " in found.stderr
    assert "1 stale runs: 0 cells renewed, 1 stay stale" in found.stdout
