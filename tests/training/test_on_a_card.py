"""The script for a card at hand: what it installs, which tests it runs, and when it says that bits differ."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import on_a_card
from tests.bench.card_probe import Probed, Size, differences, probe, probed
from tests.bench.on_a_card import Card

TINY = Size((1, 2), 1, 1, 240, 2, 0.1, ("ae-k-means",))
ONE = Probed("ddc", "eager", "float32", 1, 1.0, 0.0, ("a",), {})


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(Namespace(device="cpu", out=tmp_path / "out", wheels=tmp_path, data=None, minutes=5.0))


def test_only_wheels_of_what_is_missing_are_installed_and_what_is_still_missing_is_named(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("numpy-2.1-cp312-none-any.whl", "oak_tree-1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    commands: list[list[str]] = []
    monkeypatch.setattr(card, "step", lambda name, command, seconds: commands.append(command) or 0)
    monkeypatch.setattr(on_a_card, "_required", lambda: ["numpy", "elm"])
    card.install()
    assert [word for word in commands[0] if word.endswith(".whl")] == [str(tmp_path / "oak_tree-1.0-py3-none-any.whl")]
    assert {"--no-index", "--no-deps", "--target"} <= set(commands[0])
    assert "1 wheels installed; missing here: elm" in capsys.readouterr().out


def test_the_files_with_tests_for_cuda_are_found(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(card, "step", lambda name, command, seconds: commands.append(command) or 0)
    card.tests()
    assert {"tests/training/test_numeric.py", "tests/methods/test_tensor_kernel.py"} <= set(commands[0])
    assert "tests/test_spec.py" not in commands[0]


def test_a_step_that_takes_too_long_is_asked_to_stop_and_counts_as_failed(card: Card) -> None:
    stops = "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))"
    code = f"import signal, sys, time; {stops}; time.sleep(60)"
    assert card.step("slow", [sys.executable, "-c", code], 5.0) == 7
    assert card.step("quick", [sys.executable, "-c", "print('done')"], 30.0) == 0
    lines = [json.loads(line) for line in (card.out / "steps.jsonl").read_text().splitlines()]
    assert [(line["step"], line["code"]) for line in lines] == [("slow", 7), ("quick", 0)]
    assert card.failed == ["slow"] and (card.out / "quick.log").read_text() == "done\n"
    assert card.conclude() == 1


def test_no_runs_are_begun_without_time(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "step", lambda *_: pytest.fail("a step was begun"))
    card.end -= 60 * 4.5
    card.usps()


def test_a_wrong_step_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, on_a_card.__file__, "--only", "probe,bake"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "there is no step bake: use install, tests" in done.stderr


def test_bits_that_differ_are_told_by_replicate_and_those_of_another_precision_are_not_compared() -> None:
    stack = replace(ONE, way="captured", replicates=2, weights=("a", "b"))
    assert list(differences([ONE, stack, replace(stack, precision="tf32", weights=("x", "y"))])) == []
    (told,) = differences([ONE, stack, replace(stack, replicates=3, weights=("a", "c", "d"))])
    assert told == "BITS DIFFER: ddc, replicate 1, captured R = 3 and captured R = 2"


def test_the_probe_measures_fits_whose_bits_are_equal_alone_and_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(tmp_path, "cpu", TINY) == 0
    found = json.loads((tmp_path / "probe.json").read_text())
    assert [(one["way"], one["replicates"]) for one in found] == [
        *(("eager", r) for r in (1, 1, 2)),
        *(("captured", r) for r in (1, 2)),
    ]
    assert all(one["steps_per_second"] > 0 for one in found)
    assert len({one["weights"][0] for one in found}) == 1 and len(set(found[-1]["weights"])) == 2
    assert "all bits are equal" in capsys.readouterr().out


def test_more_steps_give_other_weights() -> None:
    few, more = (probed("ae-k-means", "eager", 1, "cpu", replace(TINY, timed=timed)).weights for timed in (1, 2))
    assert few != more
