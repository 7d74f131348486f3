"""One thread for all tests: as the executors make runs, and so that parallel workers do not fight for cores.

A relative RECLUST_DATA is meant from where pytest was started; commands that tests run in other folders find it, too.
Interrupts are heard where a shell started pytest in the background and had it ignore them: tests send them.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if os.environ.get("RECLUST_DATA"):
    os.environ["RECLUST_DATA"] = os.path.abspath(os.environ["RECLUST_DATA"])

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
pytest.register_assert_rewrite("tests.support")

# Modules that tests and people run in processes of their own; collecting them for doctests would register their methods
# and data sets for all other tests, or start what they do.
collect_ignore = [
    *(
        "support/wavering.py",
        "support/killed_runs.py",
        "support/ray_cluster.py",
        "support/plants",
        "support/hostile.py",
    ),
    *("example_package", "bench/fuzz_atheris.py"),
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Write into the report of a test what it made of the attack."""
    from tests.support import attack

    attack.begin()
    try:
        return (yield)
    finally:
        if mark := item.get_closest_marker("attack"):
            item.user_properties += attack.found(mark.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what an attack made, where one was asked for."""
    if "attack" in str(config.option.markexpr):
        from tests.support import attack

        attack.told(terminalreporter)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A Chromium that Playwright drives: the system's, or Playwright's own; without either the test skips."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium can be started (apt install chromium): {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores, sessions and commands of this process see no records but those of their results folder."""
    monkeypatch.setattr("benchmark.store.store.shipped_rows", lambda: tmp_path / "nothing-shipped")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command in this process: exit code, stdout and stderr. An error without a sentence fails the test."""
    from benchmark.cli.main import main
    from benchmark.registry import load_plugins

    # A test may change plug-ins, and nothing that they answer then may be remembered for the user's other commands.
    load_plugins()

    def called(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reclust", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        code = exit_.value.code
        assert code is None or isinstance(code, int)
        return (code or 0, *capsys.readouterr())

    return called
