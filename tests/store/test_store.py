"""The store keeps whole records or none, whoever dies or races, and gives back what was put in."""

from __future__ import annotations

import errno
import gzip
import json
import math
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import UserError
from benchmark.files.owners import process, this_process
from benchmark.files.writing import write_changed
from benchmark.record import NUMERIC_MODE, Context, Deferred, Evaluation, RunRecord
from benchmark.store.merge import merge
from benchmark.store.run_files import write_run
from benchmark.store.run_folders import RunFolders
from benchmark.store.tracked import stored_files
from tests.support.attack import made
from tests.support.checkout import ROOT
from tests.support.records import IEEE, made_on, make_record, opened

REQUIRED_COLUMNS = [
    *("run_id", "paper", "method", "dataset", "setting", "reading", "profile", "replicate", "status", "loss", "acc"),
    *("nmi", "nmi_geometric", "ari", "n_samples", "epochs", "seconds", "device", "torch", "version", "code_digest"),
    "git_commit",
]


def on(device: str, replicate: int = 0, **changes: object) -> RunRecord:
    return make_record(replicate, environment=made_on(device), **changes)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_saved_run_comes_back_whole_in_another_store(results: Path) -> None:
    record, labels = make_record(traceback="a\nb", error="it failed"), np.array([0, 2, 1, 2])
    state = {"layer.weight": torch.tensor([[0.1, -2.0], [3.0, 4.0]]).T, "count": torch.tensor(3)}
    assert opened(results).save(record, labels, state)
    store = opened(results)
    assert store.get(record.run_id) == record
    assert store.records() == {record.run_id: record}
    np.testing.assert_array_equal(store.labels(record.run_id), labels)
    held = store.state(record.run_id)
    assert held is not None and held.keys() == state.keys()
    assert all(torch.equal(held[name], state[name]) for name in state)
    assert store.is_local(record.run_id)
    assert store.origin(record.run_id) == results / "runs" / record.run_id


def test_what_was_not_saved_is_none(results: Path) -> None:
    store, record = opened(results), make_record()
    assert store.get(record.run_id) is None and not store.is_local(record.run_id) and store.ids() == []
    store.save(record)
    assert store.labels(record.run_id) is None
    assert store.state(record.run_id) is None
    with pytest.raises(UserError, match="no record of the run 0123"):
        store.origin("0123")


def test_the_run_folder_holds_files_that_other_programs_read(results: Path) -> None:
    record = make_record(loss=math.inf, status="diverged")
    opened(results).save(record, np.array([1, 0]))
    folder = results / "runs" / record.run_id
    assert {path.name for path in folder.iterdir()} == {"record.json", "history.csv", "labels.npz", "seal.json"}

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    plain = json.loads((folder / "record.json").read_text(), parse_constant=refuse)
    assert plain["loss"] == "inf" and "history" not in plain
    assert (folder / "history.csv").read_text().startswith("phase,step,epoch,total,clusters,acc,nmi,nmi_geometric,ari,")
    assert np.load(folder / "labels.npz", allow_pickle=False)["labels"].tolist() == [1, 0]


def test_the_first_of_two_records_of_a_run_stays(results: Path) -> None:
    first, second = make_record(), make_record(seconds=99.0)
    assert opened(results).save(first, np.array([1]))
    assert not opened(results).save(second, np.array([2]))
    store = opened(results)
    assert store.get(first.run_id) == first
    assert store.labels(first.run_id).tolist() == [1]
    assert [path.name for path in (results / "runs").iterdir()] == [first.run_id]


def test_a_run_has_a_record_for_each_device_and_the_cpu_comes_first(results: Path) -> None:
    gpu, cpu = on("Apex A1 80GB", loss=2.0), on("cpu", loss=1.0)
    store = opened(results)
    assert store.save(gpu, np.array([1])) and store.records()[gpu.run_id] == gpu
    assert store.save(cpu, np.array([2])) and not store.save(gpu) and not store.save(cpu)
    for seen in (store, opened(results)):
        assert seen.devices(cpu.run_id) == ("cpu", "Apex A1 80GB")
        assert seen.records()[cpu.run_id] == seen.get(cpu.run_id) == cpu
        assert seen.records("Apex A1 80GB") == {gpu.run_id: gpu}
        assert seen.get(cpu.run_id, "Apex A1 80GB") == gpu
        assert seen.labels(cpu.run_id).tolist() == [2] and seen.labels(cpu.run_id, "Apex A1 80GB").tolist() == [1]
        assert seen.records("another") == {} and seen.get(cpu.run_id, "another") is None


def test_a_store_sees_what_another_saves_later(results: Path) -> None:
    early, records = opened(results), [make_record(replicate) for replicate in range(3)]
    assert early.records() == {}
    for record in records:
        opened(results).save(record)
    assert early.get(records[1].run_id) == records[1]
    assert early.ids() == sorted(record.run_id for record in records)


def test_the_union_prefers_run_folders_to_tracked_to_shipped_records(results: Path, tmp_path: Path) -> None:
    records = [make_record(replicate) for replicate in range(3)]
    for number, holder in enumerate(("shipped", "tracked", "local")):
        for record in records[number:]:
            opened(tmp_path / holder).save(record.model_copy(update={"seconds": float(number)}))
    merge([tmp_path / "shipped"], tmp_path / "shipped")
    merge([tmp_path / "tracked"], results)
    opened(results).save(records[2].model_copy(update={"seconds": 2.0}))
    store = opened(results, shipped=tmp_path / "shipped" / "stored")
    assert [store.get(record.run_id).seconds for record in records] == [0.0, 1.0, 2.0]
    listed = store.records()
    assert [listed[record.run_id].seconds for record in records] == [0.0, 1.0, 2.0]
    assert [store.is_local(record.run_id) for record in records] == [False, False, True]
    assert store.origin(records[1].run_id) == results / "stored" / "cpu" / "wood2020" / "runs.csv"
    fresh = opened(results, shipped=tmp_path / "shipped" / "stored", use_stored=False)
    assert fresh.ids() == [records[2].run_id] and fresh.get(records[0].run_id) is None


@pytest.mark.attack("files")
@pytest.mark.parametrize("file", ["record.json", "history.csv"])
@pytest.mark.parametrize("damage", ["absent", "truncated", "binary"])
def test_a_damaged_run_folder_counts_as_absent_and_is_reported(results: Path, file: str, damage: str) -> None:
    whole, broken = make_record(0), make_record(1)
    for record in (whole, broken):
        opened(results).save(record)
    path = results / "runs" / broken.run_id / file
    if damage == "absent":
        path.unlink()
    elif damage == "truncated":
        text = path.read_text()
        path.write_text(text[: text.rstrip().rfind("\n") + 1])
    else:
        path.write_bytes(b"\xff\x00" * 40)
    store = opened(results)
    assert store.ids() == [whole.run_id] and store.get(broken.run_id) is None
    assert len(store.problems()) == 1 and broken.run_id in store.problems()[0]
    assert store.save(broken)
    assert opened(results).get(broken.run_id) == broken
    (aside,) = (results / "quarantine").iterdir()
    assert (aside / broken.run_id).is_dir() and file in json.loads((aside / "reason.json").read_text())["reason"]
    assert opened(results).problems() == []


@pytest.mark.attack("files")
def test_a_folder_whose_record_is_of_another_run_is_refused(results: Path) -> None:
    first, other = make_record(0), make_record(1)
    opened(results).save(first)
    os.rename(results / "runs" / first.run_id, results / "runs" / other.run_id)
    assert opened(results).ids() == []
    assert first.run_id in opened(results).problems()[0]


def test_a_record_that_is_not_of_its_spec_is_not_saved(results: Path) -> None:
    with pytest.raises(ValueError, match="run id"):
        opened(results).save(make_record().model_copy(update={"run_id": "0" * 16}))
    assert list((results / "runs").iterdir()) == []


@pytest.mark.parametrize("labels", [np.array([0.5, 1.0]), np.zeros((2, 2), int), np.array(["a"])])
def test_labels_that_are_no_assignments_are_not_saved(results: Path, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="integers"):
        opened(results).save(make_record(), labels)
    assert opened(results).ids() == [] and list((results / "runs").iterdir()) == []


@pytest.mark.attack("files")
@pytest.mark.parametrize("name", ["record.json", "history.csv", "labels.npz", "model.safetensors", "seal.json"])
def test_a_file_that_is_shorter_or_gone_is_seen_without_reading_it(results: Path, name: str) -> None:
    record = make_record()
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:30]), Path.unlink):
        opened(results).save(record, np.arange(5), {"w": torch.zeros(3)})
        damage(results / "runs" / record.run_id / name)
        store = opened(results)
        assert store.get(record.run_id) is None and len(store.problems()) == 1
        (said,) = store.quarantine()
        assert record.run_id in said and "made again" in said
        assert store.problems() == [] and store.verify() == [] and store.ids() == []


@pytest.mark.attack("files")
@pytest.mark.parametrize("name", ["record.json", "history.csv", "labels.npz", "model.safetensors"])
def test_a_file_that_was_edited_is_found_by_its_digest(results: Path, name: str) -> None:
    record = make_record()
    opened(results).save(record, np.arange(5), {"w": torch.zeros(3)})
    path = results / "runs" / record.run_id / name
    data = bytearray(path.read_bytes())
    place = data.index(b"0.1") if name in ("record.json", "history.csv") else len(data) // 2
    data[place + 2] ^= 2  # 0.1 becomes 0.3
    path.write_bytes(data)
    (problem,) = opened(results).verify()
    assert name in problem and "changed" in problem and "\n" not in problem
    reads = {"labels.npz": "labels", "model.safetensors": "state"}
    if name in reads:
        with pytest.raises(UserError, match=name):
            getattr(opened(results), reads[name])(record.run_id)
    else:
        assert opened(results).get(record.run_id) is None
    assert len(opened(results).quarantine()) == 1
    (aside,) = (results / "quarantine").iterdir()
    assert (aside / record.run_id / name).read_bytes() == data, "nothing is thrown away"


def test_a_folder_from_before_there_were_seals_is_read(results: Path) -> None:
    record = make_record()
    opened(results).save(record, np.arange(5))
    folder = results / "runs" / record.run_id
    plain = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({name: plain[name] for name in plain if name != "sealed"}))
    (folder / "seal.json").unlink()
    assert opened(results).get(record.run_id) == record and opened(results).verify() == []


@pytest.mark.attack("leftovers")
def test_drafts_go_when_their_writers_are_gone_whatever_the_clock_says(results: Path) -> None:
    runs = results / "runs"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    owners = {"mine": this_process(), "gone": process(dead.pid), "far": "elsewhere-1-1", "old": "elsewhere-1-2"}
    dead.wait()
    drafts = {name: runs / f".writing-{owner}.{name}" for name, owner in owners.items()}
    for path in drafts.values():
        path.mkdir(parents=True)
        (path / "record.json").write_text("{")
    os.utime(drafts["mine"], (time.time() + 10**7,) * 2)  # the clock was set back
    os.utime(drafts["old"], (time.time() - 8 * 86400,) * 2)
    assert opened(results).ids() == [] and opened(results).problems() == []
    opened(results).save(make_record())
    left = {path.name for path in runs.iterdir()}
    assert left == {drafts["mine"].name, drafts["far"].name, make_record().run_id}


def test_a_store_reads_again_what_another_has_replaced(results: Path) -> None:
    old, new = make_record(loss=0.1), make_record(loss=9.0)
    reading, writing = opened(results), opened(results)
    assert writing.save(old) and reading.ids() == [old.run_id]
    assert reading.get(old.run_id) == old
    assert writing.save(new, replace=True) and reading.ids() == [new.run_id]
    assert reading.get(new.run_id) == new


@pytest.mark.attack("disks")
@pytest.mark.parametrize("call", ["rename", "rmtree"])
def test_a_disk_that_fails_while_a_record_is_replaced_loses_neither(
    results: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    old, new = make_record(loss=0.1), make_record(loss=9.0)
    opened(results).save(old)
    folder, rename, calls = results / "runs" / old.run_id, os.rename, []

    def failing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 3:  # the first is refused, as the place is taken; the second takes the old one away
            raise OSError(errno.EIO, "Input/output error", str(target))
        rename(source, target)

    def busy(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", failing) if call == "rename" else broken.setattr(shutil, "rmtree", busy)
        if call == "rename":
            with pytest.raises(OSError, match="Input/output"):
                opened(results).save(new, replace=True)
        else:
            assert opened(results).save(new, replace=True)
    assert opened(results).get(old.run_id) == (old if call == "rename" else new)
    assert folder.is_dir()


@pytest.mark.attack("leftovers")
def test_a_record_whose_writer_died_between_two_renames_is_put_in_place(results: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    gone = process(dead.pid)
    dead.wait()
    old, new = make_record(loss=0.1), make_record(loss=9.0)
    (results / "runs").mkdir(parents=True)
    for number, record in enumerate((old, new)):
        left = results / "runs" / f".writing-{gone}.{number}"
        write_run(left, record, None, None)
        os.utime(left / "record.json", (1e9 + number,) * 2)
    assert opened(results).ids() == []
    opened(results).save(make_record(1))
    assert opened(results).get(new.run_id) == new
    assert len(list((results / "runs").iterdir())) == 2


@pytest.mark.attack("disks")
def test_a_folder_that_the_disk_does_not_give_now_is_told_and_stays(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record()
    opened(results).save(record)

    def refuse(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", refuse)
        (said,) = opened(results).quarantine()
        assert "cannot be read now" in said and "ulimit -n" in said
    assert opened(results).get(record.run_id) == record
    assert not (results / "quarantine").exists()


def test_a_folder_that_another_command_has_mended_meanwhile_is_not_set_aside(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record()
    opened(results).save(record)
    folder = results / "runs" / record.run_id
    whole = (folder / "history.csv").read_bytes()
    (folder / "history.csv").write_bytes(whole[:-4])
    damaged = RunFolders.damaged

    def then_mended(self: RunFolders, *, everything: bool = False) -> list[str]:
        said = damaged(self, everything=everything)
        (folder / "history.csv").write_bytes(whole)
        return said

    monkeypatch.setattr(RunFolders, "damaged", then_mended)
    assert opened(results).quarantine() == []
    assert opened(results).get(record.run_id) == record


WRITER = """
import os, signal, sys
import numpy as np
from pathlib import Path
from benchmark.record import RunRecord
from benchmark.store import Store

results, records, number, dies_at = sys.argv[1:]
sync, synced = os.fsync, 0

def counted(handle):
    global synced
    synced += 1
    if synced == int(dies_at):
        os.kill(os.getpid(), signal.SIGKILL)
    sync(handle)

os.fsync = counted
store = Store(Path(results), use_stored=False)
for line in Path(records).read_text().splitlines():
    record = RunRecord.model_validate_json(line)
    saved = store.save(record.model_copy(update={"seconds": float(number)}), np.full(record.n_samples, int(number)))
    print(int(saved), flush=True)
"""


def start_writer(results: Path, records: list[RunRecord], number: int = 0, dies_at: int = 0) -> subprocess.Popen[str]:
    """Start a process that saves `records` with `number` as seconds and labels, and kills itself at a disk sync."""
    lines = results.with_suffix(".jsonl")
    lines.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(results), str(lines), str(number), str(dies_at)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def check_whole(results: Path, records: list[RunRecord]) -> int:
    """Assert that each listed record is one of `records`, with its labels; return how many there are."""
    store, made = opened(results), {record.run_id: record for record in records}
    assert store.problems() == []
    for run_id, record in store.records().items():
        assert record.model_copy(update={"seconds": 0.0}) == made[run_id].model_copy(update={"seconds": 0.0})
        assert store.labels(run_id).tolist() == [record.seconds] * record.n_samples
    return len(store.ids())


# A save syncs record, history, labels, seal, the draft folder and, after the rename, the folder of all runs.
@pytest.mark.attack("kills")
@pytest.mark.parametrize(("dies_at", "whole"), [(7, 1), (9, 1), (11, 1), (12, 2)])
def test_a_writer_killed_within_a_save_leaves_whole_records_only(results: Path, dies_at: int, whole: int) -> None:
    records = [make_record(replicate, seconds=0.0) for replicate in range(3)]
    writer = start_writer(results, records, dies_at=dies_at)
    assert writer.communicate()[0] == "1\n" and writer.returncode == -9
    assert check_whole(results, records) == whole
    saved = [opened(results).save(record, np.zeros(record.n_samples, int)) for record in records]
    recovered = dies_at == 11  # when all was written, and only the name was not yet the right one
    assert saved == [number >= whole + recovered for number in range(3)]
    assert check_whole(results, records) == 3


@pytest.mark.attack("kills")
def test_writers_killed_again_and_again_are_gone_on_from(results: Path) -> None:
    records = [make_record(replicate) for replicate in range(400)]
    for _ in range(3):
        before = len(opened(results).ids())
        writer = start_writer(results, records)
        assert writer.stdout is not None
        while "1" not in writer.stdout.readline():
            assert writer.poll() is None
        time.sleep(0.05)
        writer.kill()
        writer.communicate()
        made("kills")
        assert before < check_whole(results, records) < len(records)


def test_of_two_writers_at_once_exactly_one_wins_each_run(results: Path) -> None:
    records = [make_record(replicate) for replicate in range(40)]
    writers = [start_writer(results, records, number) for number in (1, 2)]
    wins = [[int(line) for line in writer.communicate()[0].splitlines()] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [first + second for first, second in zip(*wins, strict=True)] == [1] * 40
    assert check_whole(results, records) == 40
    held = opened(results)
    assert [held.get(record.run_id).seconds == 1 for record in records] == [bool(win) for win in wins[0]]


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(allow_nan=False)
finite, positive = st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e300)
terms = st.dictionaries(words, numbers, max_size=2)
metrics = st.dictionaries(st.sampled_from(["acc", "nmi", "nmi_geometric", "ari"]), st.floats(0, 1)) | st.dictionaries(
    st.sampled_from(["db", "ch"]), numbers
)
evaluations = st.builds(
    Evaluation,
    phase=words,
    step=st.integers(0, 10**9),
    epoch=st.integers(0, 10**6),
    total=numbers,
    terms=terms,
    metrics=metrics,
    clusters=st.integers(0, 100),
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
changes = st.fixed_dictionaries(
    {
        "context": st.builds(
            Context,
            paper=st.sampled_from(["", "a2020"]),
            profile=st.sampled_from(["", "cpu"]),
            setting=words,
            reading=words,
        ),
        "status": st.sampled_from(["ok", "diverged", "collapsed", "failed"]),
        "error": words,
        "loss": finite,
        "final_loss": st.none() | numbers,
        "losses": terms,
        "metrics": metrics,
        "first_losses": st.lists(numbers, max_size=3),
        "history": st.lists(evaluations, max_size=3),
        "seconds": positive,
        "peak_mib": positive,
        "code_digest": words,
        "environment": st.dictionaries(st.sampled_from(["device", "torch", "git_commit", "cpu", "x"]), plain).map(
            lambda environment: environment | {NUMERIC_MODE: IEEE}
        ),
    }
)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_any_record_comes_back_equal_from_both_forms(values: dict[str, object]) -> None:
    record = make_record(**values)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        assert opened(results).save(record)
        assert opened(results).get(record.run_id) == record
        merge([results], results / "other")
        store = opened(results / "other")
        assert store.get(record.run_id) == record and not store.is_local(record.run_id)
        assert store.problems() == []


@pytest.mark.parametrize("phase", ["\n", "a\nb", 'a"\n"b', "\r\n,", '"'])
def test_text_with_the_marks_of_csv_files_comes_back_from_the_tracked_form(results: Path, phase: str) -> None:
    evaluations = [e.model_copy(update={"phase": phase, "terms": {phase: 1.0}}) for e in make_record().history]
    record = make_record(error='it, "said"\r\n\rso\n', code_digest="\r", history=tuple(evaluations))
    opened(results).save(record)
    merge([results], results / "other")
    assert opened(results / "other").get(record.run_id) == record


def test_numbers_that_are_not_finite_come_back_from_both_forms(results: Path) -> None:
    evaluation = make_record().history[0].model_copy(update={"total": math.nan, "terms": {"l1": -math.inf}})
    record = make_record(status="diverged", loss=math.nan, losses={"l1": math.nan}, history=(evaluation,))
    opened(results).save(record)
    merge([results], results / "other")
    for store in (opened(results), opened(results / "other")):
        held = store.get(record.run_id)
        assert math.isnan(held.loss) and math.isnan(held.losses["l1"]) and math.isnan(held.history[0].total)
        assert held.history[0].terms == {"l1": -math.inf}


@pytest.fixture
def tracked(results: Path) -> Path:
    """Return the folder of two tracked records."""
    for replicate in range(2):
        opened(results / "source").save(make_record(replicate))
    merge([results / "source"], results)
    return results / "stored" / "cpu" / "wood2020"


def test_runs_csv_begins_with_the_promised_columns(tracked: Path) -> None:
    header, *rows = (tracked / "runs.csv").read_text().splitlines()
    assert header.split(",")[: len(REQUIRED_COLUMNS)] == REQUIRED_COLUMNS
    assert [row[:16] for row in rows] == sorted(make_record(replicate).run_id for replicate in range(2))
    history = gzip.decompress((tracked / "history.csv.gz").read_bytes()).decode().splitlines()
    assert history[0].startswith("run_id,") and len(history) == 1 + 2 * 2


@pytest.mark.attack("files")
@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("specs.jsonl", '"width":0.1', '"width":0.2', "specs.jsonl, line 1: the spec has the run id"),
        ("specs.jsonl", '"method":"tree",', "", "specs.jsonl, line 1: no spec can be read"),
        ("specs.jsonl", '{"run_id"', "[", "specs.jsonl, line 1: no spec can be read"),
        ("runs.csv", ",ok,", ",fine,", "runs.csv, line 2: no record can be read"),
        ("runs.csv", "run_id,paper", "run_id,papers", "runs.csv, line 1"),
        ("runs.csv", ",12,2,", ",12,", "runs.csv, line 2"),
    ],
)
def test_damage_of_tracked_files_is_an_error_with_file_and_line(
    tracked: Path, file: str, old: str, new: str, message: str
) -> None:
    text = (tracked / file).read_text()
    assert old in text
    (tracked / file).write_text(text.replace(old, new, 1))
    results = tracked.parents[2]
    with pytest.raises(UserError, match=message):
        dict(opened(results).records())
    assert len(opened(results).problems()) == 1


@pytest.mark.attack("files")
@pytest.mark.parametrize("length", [0, 25, -30])
def test_a_truncated_history_is_an_error_with_its_name(tracked: Path, length: int) -> None:
    data = (tracked / "history.csv.gz").read_bytes()
    (tracked / "history.csv.gz").write_bytes(data[:length])
    with pytest.raises(UserError, match=r"history\.csv\.gz"):
        dict(opened(tracked.parents[2]).records())
    assert opened(tracked.parents[2]).problems()


def test_tracked_rows_without_their_history_or_spec_are_reported(tracked: Path) -> None:
    history = gzip.decompress((tracked / "history.csv.gz").read_bytes()).decode().splitlines(keepends=True)
    (tracked / "history.csv.gz").write_bytes(gzip.compress("".join(history[:-1]).encode()))
    assert "evaluations" in opened(tracked.parents[2]).problems()[0]
    specs = (tracked / "specs.jsonl").read_text().splitlines(keepends=True)
    (tracked / "specs.jsonl").write_text(specs[0])
    with pytest.raises(UserError, match="has no spec"):
        opened(tracked.parents[2]).ids()


@pytest.mark.slow
def test_ten_thousand_tracked_runs_are_indexed(results: Path) -> None:
    records = [make_record(replicate) for replicate in range(10_000)]
    folder = results / "stored" / "cpu" / "wood2020"
    write_changed({folder / name: data for name, data in stored_files(records).items()})
    held = opened(results).records()
    assert len(held) == 10_000 and held[records[7].run_id] == records[7]


def test_a_tracked_history_is_read_when_it_is_asked_for_and_equals_what_was_stored(tracked: Path) -> None:
    held = opened(tracked.parents[2]).records()
    (first, *_) = held.values()
    assert isinstance(first.history, Deferred) and "_all" not in vars(first.history)
    assert len(first.history) == 2 and "_all" not in vars(first.history)
    plain = make_record(first.spec.replicate)
    assert first == plain and plain == first and first.history == plain.history and plain.history == first.history
    assert first.history[-1] == plain.history[-1] and first.history[:1] == plain.history[:1]
    assert first.model_dump() == plain.model_dump()
    assert pickle.loads(pickle.dumps(first)) == plain
    changed = first.model_copy(update={"history": plain.history[:1]})
    assert changed != first and first != changed


@pytest.mark.attack("files")
def test_a_damaged_evaluation_is_an_error_when_it_is_read_and_named_by_verify(tracked: Path) -> None:
    text = gzip.decompress((tracked / "history.csv.gz").read_bytes()).decode()
    (tracked / "history.csv.gz").write_bytes(gzip.compress(text.replace("train,8,2", "train,eight,2", 1).encode()))
    store = opened(tracked.parents[2])
    (first, *_) = store.records().values()
    assert store.problems() == []
    for _ in range(2):
        with pytest.raises(UserError, match=r"history\.csv\.gz, line 3: no evaluation can be read"):
            tuple(first.history)
    damage, edited = store.verify()
    assert "history.csv.gz, line 3" in damage and "SHA256SUMS" in edited


def test_replicates_read_from_one_file_share_what_they_have_in_common(tracked: Path) -> None:
    specs = [record.spec for record in opened(tracked.parents[2]).records().values()]
    assert len(specs) > 1 and all(spec.protocol is specs[0].protocol for spec in specs)
    assert [spec.run_id for spec in specs] == [make_record(spec.replicate).run_id for spec in specs]


@pytest.mark.attack("files")
@pytest.mark.parametrize("number", ["01", "1.0", "-1", "true", '"1"', "1e0", ""])
def test_a_replicate_that_is_no_number_is_damage_beside_good_ones_too(tracked: Path, number: str) -> None:
    file = tracked / "specs.jsonl"
    first, second = file.read_text().splitlines()[:2]
    place = ',"replicate":'
    head, _, _ = second.rpartition(place)
    file.write_text(f"{first}\n{head}{place}{number}}}}}\n")
    with pytest.raises(UserError, match=r"specs\.jsonl, line 2"):
        opened(tracked.parents[2]).ids()
