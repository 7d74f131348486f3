"""Failures are values: whatever a method does, its run gets a record with a reason, and the plan goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.errors import ERROR_BYTES, TRACEBACK_BYTES, error_line, error_text, traceback_text
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.execute import execute
from benchmark.execution.executors import processes, serial
from benchmark.execution.fits.channel import Incoming, Message, send
from benchmark.execution.fits.interrupts import interrupts
from benchmark.execution.jobs import with_parents
from benchmark.record import Context, RunRecord
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import DataSpec, Protocol, RunSpec
from benchmark.store import Store
from benchmark.store.run_files import read_state
from tests.support import hostile
from tests.support.attack import made
from tests.support.checkout import ROOT
from tests.support.hostile import ERRORS, NAMES, OUTCOMES

load_plugins()
for name in NAMES:
    METHODS._entries.pop(name, None)
torch.set_num_threads(1)

pytestmark = pytest.mark.attack("methods")
CLASSES = {
    "hostile": hostile.Hostile,
    "weightless": hostile.Weightless,
    "heir": hostile.Heir,
    "tied": hostile.TiedMethod,
    "tied-heir": hostile.TiedHeir,
}


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the methods of these tests from those of others."""
    for name, cls in CLASSES.items():
        monkeypatch.setitem(METHODS._entries, name, cls)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find the methods by an entry point, as those of a plug-in."""
    site = tmp_path / "site" / "hostile-1.0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text("[reclust.methods]\nhostile = tests.support.hostile\n")
    monkeypatch.syspath_prepend(str(site.parent))


def spec(deed: str = "", method: str = "hostile", folder: Path | str = "", replicate: int = 0) -> RunSpec:
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=60)
    if deed or method != "hostile":
        made("methods", name=deed or method)
    params = {"n_clusters": 3, "deed": deed, "folder": str(folder)}
    return RunSpec(method=method, params=params, data=data, protocol=Protocol(), replicate=replicate)


def ends(events: Iterator[Any]) -> dict[str, Finished]:
    return {end.job.spec.params["deed"]: end for end in events if isinstance(end, Finished)}


def assert_whole(record: RunRecord, reason: str) -> None:
    assert record.status == "failed" and reason in record.error, record.error
    assert len(record.error.encode()) <= ERROR_BYTES and "\n" not in record.error
    assert len(record.traceback.encode()) <= TRACEBACK_BYTES
    assert record.metrics == {} and record.loss is None


@pytest.mark.parametrize("reason", [*ERRORS, *OUTCOMES])
def test_what_a_method_raises_or_leaves_is_a_failed_record_here(reason):
    assert_whole(execute(spec(reason)).record, reason)


def test_what_plug_ins_raise_or_leave_is_stored_and_the_plan_goes_on(tmp_path):
    deeds = [*ERRORS, *OUTCOMES, ""]
    found = ends(serial([Job(spec(deed), Context()) for deed in deeds], Place(tmp_path)))
    store = Store(tmp_path, use_stored=False)
    for deed in deeds[:-1]:
        record = found[deed].record
        assert record is not None, found[deed].error
        assert_whole(record, deed)
        assert store.get(record.run_id) == record
    assert found[""].record.status == "ok"
    assert store.verify() == []


def test_a_method_s_own_interrupt_is_a_failure_and_the_user_s_is_not():
    with interrupts() as heard:
        with pytest.raises(KeyboardInterrupt):
            raise KeyboardInterrupt
        assert not heard()
    with interrupts() as heard:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        assert heard()


def test_the_user_s_interrupt_stops_a_run_of_this_process(monkeypatch):
    def pressed(self: Any, x: np.ndarray, params: Any, context: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr(hostile.Hostile, "cluster", pressed)
    with pytest.raises(KeyboardInterrupt):
        execute(spec())


def test_one_from_which_others_start_and_that_leaves_no_network_has_failed_and_so_have_they(tmp_path):
    jobs = with_parents([Job(spec(method="heir"), Context()), Job(spec(), Context())])
    found = [end for end in serial(jobs, Place(tmp_path)) if isinstance(end, Finished)]
    records = {end.job.spec.method: end.record for end in found}
    assert_whole(records["weightless"], "leaves no network model_")
    assert_whole(records["heir"], "which it starts from, failed")
    assert records["hostile"].status == "ok"


def test_layers_that_share_weights_are_stored_and_started_from(tmp_path):
    jobs = with_parents([Job(spec(method="tied-heir"), Context())])
    found = [end for end in serial(jobs, Place(tmp_path)) if isinstance(end, Finished)]
    assert [(end.job.spec.method, end.record.status) for end in found] == [("tied", "ok"), ("tied-heir", "ok")]
    state = read_state(Store(tmp_path).origin(found[0].record.run_id))
    assert torch.equal(state["encoder.weight"], state["decoder.weight"]) and len(state) == 4
    assert execute(spec(method="tied")).weights.keys() == state.keys()


@pytest.mark.parametrize(("fault", "kept"), [(KeyError("y"), True), (OSError("gone"), False), (MemoryError(), False)])
def test_an_error_while_data_load_is_a_record_or_a_sentence(tmp_path, monkeypatch, fault, kept):
    def broken(self: Any, data_dir: Any = None) -> Any:
        raise fault

    monkeypatch.setattr("benchmark.data.prepared._prepared", lambda *a: broken(None))
    (end,) = ends(serial([Job(spec(), Context())], Place(tmp_path))).values()
    if kept:
        assert_whole(end.record, "the data set digits could not be loaded: KeyError")
    else:
        assert end.record is None and end.error and "\n" not in end.error


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes from /proc")
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_run_that_hangs_is_recorded_and_ended_with_its_processes(tmp_path, installed, executor):
    jobs = [Job(spec("hang", folder=tmp_path), Context()), Job(spec(), Context())]
    place = Place(tmp_path / "results", seconds=3.0)
    found = ends(serial(jobs, place) if executor == "serial" else processes(jobs, place, 1))
    assert_whole(found["hang"].record, "time: the run took longer than the 3 s of --run-timeout")
    assert Store(place.results).get(found["hang"].record.run_id) == found["hang"].record
    assert found[""].record.status == "ok"
    for pid in (tmp_path / "pids").read_text().split():
        stat = Path(f"/proc/{pid}/stat")
        deadline = time.monotonic() + 300
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert time.monotonic() < deadline, "the process of the run, and those it started, are to end"


def test_a_method_of_the_suite_gives_the_same_bits_where_time_is_limited(tmp_path):
    k_means = METHODS["k-means"](10).checked_params().canonical()
    job = Job(spec().model_copy(update={"method": "k-means", "params": {**k_means, "starts": 1}}), Context())
    limited = [e for e in serial([job], Place(tmp_path / "a", seconds=600.0)) if isinstance(e, Finished)]
    plain = [e for e in serial([job], Place(tmp_path / "b")) if isinstance(e, Finished)]
    kept = {"status", "loss", "final_loss", "losses", "metrics", "history", "first_losses", "epochs", "steps"}
    first, second = (end.record.model_dump_json(include=kept) for (end,) in (limited, plain))
    assert first == second and '"status":"ok"' in first


def test_a_process_that_leaves_without_a_word_is_tried_again_and_given_up(tmp_path):
    (end,) = ends(serial([Job(spec("leave"), Context())], Place(tmp_path))).values()
    assert end.record is None and "died 3 times" in end.error and "exit code 0" in end.error


PRINTS = """
import json, sys
from pathlib import Path
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import processes, serial
from benchmark.record import Context
from benchmark.registry import load_plugins
from benchmark.spec import RunSpec

if __name__ == "__main__":
    load_plugins()
    jobs, place = [Job(RunSpec.model_validate_json(sys.argv[2]), Context())], Place(Path(sys.argv[1]))
    events = serial(jobs, place) if sys.argv[3] == "serial" else processes(jobs, place, 1)
    print(json.dumps([end.record.status for end in events if isinstance(end, Finished)]))
"""


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_what_a_plug_in_prints_in_its_fit_goes_to_standard_error(tmp_path, installed, executor):
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, str(tmp_path / "results"), spec("chatter").model_dump_json(), executor],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == '["ok"]\n', done.stderr[-2000:]
    assert "a word from the method\n" in done.stderr and "and from C\n" in done.stderr


def test_half_a_message_is_waited_for_no_longer_than_a_run_may_take(tmp_path):
    (end,) = ends(serial([Job(spec("half", folder=tmp_path), Context())], Place(tmp_path, seconds=3.0))).values()
    assert_whole(end.record, "time: the run took longer than the 3 s of --run-timeout")


def test_a_process_killed_in_the_middle_of_a_message_is_lost_and_its_run_made_again(tmp_path):
    def kill() -> None:
        while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text():
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(int((tmp_path / "pids").read_text()), signal.SIGKILL)

    killing = threading.Thread(target=kill, daemon=True)
    killing.start()
    (end,) = ends(serial([Job(spec("half", folder=tmp_path), Context())], Place(tmp_path))).values()
    killing.join(10)
    assert not killing.is_alive() and end.record.status == "ok"
    made("kills")
    made("methods", name="half")


def test_a_process_that_ends_and_leaves_its_pipe_to_another_is_lost(tmp_path):
    try:
        (end,) = ends(serial([Job(spec("heirs", folder=tmp_path), Context())], Place(tmp_path))).values()
    finally:
        for pid in (tmp_path / "pids").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    assert end.record is None and "died 3 times" in end.error and "exit code 0" in end.error


def test_messages_arrive_whole_in_whatever_pieces_they_come_and_others_are_refused():
    ours, theirs = multiprocessing.Pipe()
    incoming, sent = Incoming(ours), Message("show", {"step": 1, "total": float("inf")}, [b"", b"x" * 100_000, b"yz"])
    holder = threading.Thread(target=send, args=(theirs, sent))
    holder.start()
    assert incoming.next(5.0) == sent
    holder.join()
    data = (38).to_bytes(8, "big") + b'{"kind": "a", "values": {}, "parts": [2]}'[:38]
    for byte in data:
        assert incoming.next(0.0) is None
        os.write(theirs.fileno(), bytes([byte]))
    with pytest.raises(ValueError, match="no message"):
        incoming.next(1.0)
    for head in (b"[]", b'{"kind": 1}', b'{"kind": "a", "values": {}, "parts": [-1]}', b"[" * 50_000, b"\xff"):
        ours, theirs = multiprocessing.Pipe()
        os.write(theirs.fileno(), len(head).to_bytes(8, "big") + head)
        with pytest.raises(ValueError, match="no message"):
            Incoming(ours).next(1.0)
    os.write(theirs.fileno(), b"\xff" * 8)
    with pytest.raises(ValueError, match="no message"):
        Incoming(ours).next(1.0)
    ours, theirs = multiprocessing.Pipe()
    os.write(theirs.fileno(), b"\0" * 7)
    theirs.close()
    with pytest.raises(EOFError):
        Incoming(ours).next(1.0)


def test_a_side_that_reads_nothing_holds_nobody_up():
    ours, theirs = multiprocessing.Pipe()
    os.set_blocking(ours.fileno(), False)
    with pytest.raises(TimeoutError):
        send(ours, Message("sealed", {"text": "x" * 10**7}), seconds=0.3)
    theirs.close()


def test_texts_of_errors_are_bounded_and_encodable():
    class Wordless(Exception):
        def __str__(self) -> str:
            raise SystemExit(3)

    assert error_text(Wordless()) == "Wordless: its text cannot be made (SystemExit)"
    assert error_line("a\nb") == "a" and error_line("") == "" and error_line("\ud800") == "\\ud800"
    long = error_text(ValueError("é" * 300_000))
    assert len(long.encode()) <= ERROR_BYTES and "left out" in long
    try:
        raise ValueError("x" * 10**6)
    except ValueError as error:
        text = traceback_text(error)
    assert len(text.encode()) <= TRACEBACK_BYTES and text.startswith("Traceback") and "left out" in text
