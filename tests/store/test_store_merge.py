"""Merging keeps one number for each run and device, gives the same bytes twice, and refuses contradictions."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.files.locks import alone
from benchmark.record import Context, Evaluation, RunRecord
from benchmark.spec import DataSpec, Protocol, RunSpec
from benchmark.store import Store
from benchmark.store.merge import merge
from benchmark.store.rows import Kind, kind_of
from tests.support.attack import made
from tests.support.checkout import ROOT
from tests.support.records import made_on

CPU = Kind("cpu")
EVALUATION = Evaluation(
    phase="a", step=1, epoch=1, total=0.1, terms={"l1": 0.1}, metrics={"acc": 1 / 3, "purity": 0.5}, clusters=2
)
OAK, ELM = "x86_64, Oak 3000, cpu", 'x86_64, Elm "E" 5, cpu'


def make_record(
    replicate: int = 0, *, device: str = "cpu", date: str = "2026-01-01", machine: str = "", **changes: object
) -> RunRecord:
    spec = RunSpec(
        method="tree",
        params={"n_clusters": 3},
        data=DataSpec(name="leaves", digest="ab" * 32),
        protocol=Protocol(),
        replicate=replicate,
    )
    values: dict[str, object] = {
        "context": Context(paper="wood2020", profile="cpu"),
        "status": "ok",
        "loss": 0.1 + replicate,
        "metrics": {"acc": 1 / 3, "nmi": 0.5},
        "first_losses": (0.3, 0.2),
        "losses": {"l1": 0.1},
        "n_samples": 12,
        "epochs": 2,
        "steps": 8,
        "code_digest": "c0de",
        "environment": made_on(device) | {"date": date} | ({"machine": machine} if machine else {}),
    }
    values |= changes
    loss = {"final_loss": values["loss"], "history": (EVALUATION.model_copy(update={"total": values["loss"]}),)}
    return RunRecord(run_id=spec.run_id, spec=spec, **(loss | values))


def saved(folder: Path, *records: RunRecord) -> Path:
    """Return the results folder `folder` with the run folders of `records`."""
    for record in records:
        assert Store(folder, use_stored=False).save(record)
    return folder


def opened(results: Path) -> Store:
    return Store(results, shipped=results / "nothing-shipped")


def tracked_bytes(results: Path) -> dict[str, bytes]:
    files = sorted(path for path in (results / "stored").rglob("*") if path.is_file())
    return {str(path.relative_to(results)): path.read_bytes() for path in files}


def test_merged_records_are_read_from_the_tracked_form_alone(tmp_path: Path) -> None:
    records = [make_record(replicate) for replicate in range(3)]
    first, second = saved(tmp_path / "a", *records[:2]), saved(tmp_path / "b", records[2])
    report = merge([first, second], tmp_path / "into")
    assert opened(tmp_path / "into").records() == {record.run_id: record for record in records}
    assert report.total == 3 and not report.replaced and not report.problems
    assert sorted(report.added) == sorted((record.run_id, CPU) for record in records)
    assert set(tracked_bytes(tmp_path / "into")) == {
        "stored/SHA256SUMS",
        *(f"stored/cpu/wood2020/{name}" for name in ("runs.csv", "history.csv.gz", "specs.jsonl")),
    }


def test_merging_twice_and_in_another_order_gives_identical_bytes(tmp_path: Path) -> None:
    first = saved(tmp_path / "a", *(make_record(replicate) for replicate in (3, 0)))
    second = saved(tmp_path / "b", *(make_record(replicate) for replicate in (2, 0)))
    merge([first, second], tmp_path / "into")
    once = tracked_bytes(tmp_path / "into")
    again = merge([first, second], tmp_path / "into")
    assert tracked_bytes(tmp_path / "into") == once and again.written == () and again.added == ()
    merge([second, first], tmp_path / "other")
    assert tracked_bytes(tmp_path / "other") == once
    merge([tmp_path / "into"], tmp_path / "copy")
    assert tracked_bytes(tmp_path / "copy") == once
    # RFC 1952: bytes 4 to 8 of a gzip file are the time it was made, 0 for none.
    assert once["stored/cpu/wood2020/history.csv.gz"][4:8] == bytes(4)
    assert b"\r" not in b"".join(data for name, data in once.items() if not name.endswith(".gz"))


def test_a_later_merge_adds_to_what_is_tracked(tmp_path: Path) -> None:
    for replicate in (1, 0, 2):
        merge([saved(tmp_path / str(replicate), make_record(replicate))], tmp_path / "into")
    merge([tmp_path / "0", tmp_path / "1", tmp_path / "2"], tmp_path / "at-once")
    assert tracked_bytes(tmp_path / "into") == tracked_bytes(tmp_path / "at-once")


def test_runs_and_stored_folders_are_sources_too(tmp_path: Path) -> None:
    source = saved(tmp_path / "a", make_record(0))
    merge([source / "runs"], tmp_path / "b")
    merge([tmp_path / "b" / "stored"], tmp_path / "c")
    assert opened(tmp_path / "c").records() == {make_record(0).run_id: make_record(0)}
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    assert merge([tmp_path / "empty"], tmp_path / "d").total == 0


def test_a_source_that_holds_no_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for source in (tmp_path / "photos", tmp_path / "absent"):
        with pytest.raises(UserError, match="holds no records"):
            merge([source], tmp_path / "into")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"loss": 0.2}, "loss 0.1 in .* but 0.2 in"),
        ({"status": "collapsed"}, 'status "ok" in .* but "collapsed" in'),
        ({"metrics": {"acc": 0.5, "nmi": 0.5}}, "acc 0.333.* but 0.5 in"),
        ({"metrics": {"acc": 1 / 3}}, "nmi 0.5 in .* but null in"),
        ({"first_losses": (0.3, 0.25)}, r"first losses \[0.3,0.2\] in .* but \[0.3,0.25\] in"),
        ({"final_loss": 0.3}, "final loss 0.1 in .* but 0.3 in"),
        ({"losses": {"l1": 0.5}}, "loss term l1 0.1 in .* but 0.5 in"),
        ({"losses": {"l1": 0.1, "l2": 0.1}}, "loss term l2 null in .* but 0.1 in"),
        ({"epochs": 3}, "epochs 2 in .* but 3 in"),
        ({"steps": 9}, "steps 8 in .* but 9 in"),
        ({"n_samples": 11}, "samples 12 in .* but 11 in"),
        ({"history": ()}, "evaluations 1 in .* but 0 in"),
        ({"history": (EVALUATION.model_copy(update={"total": 0.11}),)}, "evaluation 1 .*0.1.* but .*0.11"),
        ({"history": (EVALUATION.model_copy(update={"terms": {"l1": 0.7}}),)}, 'evaluation 1 .* but .*"l1":0.7'),
        ({"history": (EVALUATION.model_copy(update={"metrics": {"acc": 0.7}}),)}, 'evaluation 1 .* but .*"acc":0.7'),
    ],
)
def test_other_numbers_of_one_kind_of_machine_are_refused_and_both_are_named(
    tmp_path: Path, changes: dict[str, object], what: str
) -> None:
    merge([saved(tmp_path / "a", make_record(0))], tmp_path / "into")
    before = tracked_bytes(tmp_path / "into")
    source = saved(tmp_path / "b", make_record(0, date="2026-02-02", **changes), make_record(1))
    with pytest.raises(UserError, match=f"run {make_record(0).run_id} on cpu has {what}") as error:
        merge([source], tmp_path / "into")
    assert "code c0de, 2026-01-01" in str(error.value) and "code c0de, 2026-02-02" in str(error.value)
    assert "\n" not in str(error.value)
    assert tracked_bytes(tmp_path / "into") == before


@pytest.mark.parametrize("kind", ["history", "losses"])
def test_what_contradicts_is_kept_skipped_or_replaced_as_it_is_said(tmp_path: Path, kind: str) -> None:
    ours = make_record(0)
    changes = {"history": {"history": (EVALUATION, EVALUATION)}, "losses": {"losses": {"l1": 0.5}}}[kind]
    # An older date, and the same code: no clock decides, and no digest.
    theirs, other = make_record(0, date="2025-02-02", **changes), make_record(1)
    source = saved(tmp_path / "theirs", theirs, other)
    for name, how, held in (
        ("keep", {"keep": True}, ours),
        ("ours", {"prefer": "ours"}, ours),
        ("theirs", {"prefer": "theirs"}, theirs),
        ("skip", {"skip": [ours.run_id]}, ours),
    ):
        merge([saved(tmp_path / name / "ours", ours)], tmp_path / name)
        report = merge([source], tmp_path / name, **how)
        assert opened(tmp_path / name).records() == {ours.run_id: held, other.run_id: other}, name
        assert report.replaced == (((ours.run_id, CPU),) if name == "theirs" else ())
        assert len(report.left) == (name in ("keep", "ours")) and all(ours.run_id in text for text in report.left)
    with pytest.raises(UserError, match="no source has the run 0123"):
        merge([source], tmp_path / "keep", skip=["0123"])


def test_rows_of_two_kinds_of_machines_are_stored_both_and_the_first_is_told(tmp_path: Path) -> None:
    oak, elm = (
        make_record(0, machine=OAK, loss=1.346),
        make_record(0, machine=ELM, loss=1.392, history=(EVALUATION.model_copy(update={"total": 1.392}),) * 2),
    )
    only = make_record(1, machine=ELM)
    for name, order in (("one", (oak, elm)), ("two", (elm, oak))):
        for number, record in enumerate(order):
            report = merge([saved(tmp_path / name / str(number), record, only)], tmp_path / name)
        assert report.several == (oak.run_id,) and report.replaced == () and report.total == 3
        assert "1 runs have records of several kinds" in str(report)
        held = opened(tmp_path / name)
        kinds = tuple(Kind("cpu", record.environment["machine"]) for record in order)
        assert held.kinds(oak.run_id) == kinds and held.devices(oak.run_id) == ("cpu",)
        assert [held.get(oak.run_id, kind) for kind in kinds] == list(order)
        assert held.get(oak.run_id) == held.get(oak.run_id, "cpu") == order[0]
        assert held.get(only.run_id) == only and held.verify() == []
        once = tracked_bytes(tmp_path / name)
        assert merge([tmp_path / name / "0", tmp_path / name / "1"], tmp_path / name).written == ()
        merge([tmp_path / name], tmp_path / f"{name}-again")
        assert tracked_bytes(tmp_path / f"{name}-again") == once
    with pytest.raises(UserError, match=f"run {oak.run_id} on x86_64, Oak 3000, cpu has loss 1.346 in .* but 1.4 in"):
        merge([saved(tmp_path / "x", make_record(0, machine=OAK, loss=1.4))], tmp_path / "one")


def test_run_folders_hold_a_record_of_each_kind_of_machine(tmp_path: Path) -> None:
    records = [make_record(machine=machine, loss=loss) for machine, loss in ((OAK, 1.0), (ELM, 2.0), ("", 3.0))]
    gpu = make_record(device="Apex A1", machine="x86_64, Oak 3000, Apex A1", loss=4.0)
    store = Store(tmp_path, use_stored=False)
    for record in (*records, gpu):
        assert store.save(record, np.array([int(record.loss)])) and not store.save(record)
    for seen in (store, Store(tmp_path, use_stored=False)):
        assert seen.devices(gpu.run_id) == ("cpu", "Apex A1") and len(seen.kinds(gpu.run_id)) == 4
        for record in (*records, gpu):
            assert seen.get(record.run_id, kind_of(record)) == record
            assert seen.labels(record.run_id, kind_of(record)).tolist() == [int(record.loss)]
    newer = make_record(machine=ELM, loss=5.0)
    assert store.save(newer, replace=True)
    assert [store.get(newer.run_id, kind).loss for kind in store.kinds(newer.run_id)] == [1.0, 5.0, 3.0, 4.0]


def test_a_line_of_history_is_told_to_its_machine_whatever_marks_its_name_has(tmp_path: Path) -> None:
    names = [OAK, ELM, 'a "", b', "", "plain"]
    records = [
        make_record(machine=name, loss=float(i), history=(EVALUATION.model_copy(update={"total": float(i)}),) * (i + 1))
        for i, name in enumerate(names)
    ]
    for number, record in enumerate(records):
        merge([saved(tmp_path / str(number), record)], tmp_path / "into")
    held = opened(tmp_path / "into")
    for number, record in enumerate(records):
        assert [e.total for e in held.get(record.run_id, kind_of(record)).history] == [float(number)] * (number + 1)


def test_what_is_no_number_may_differ_and_the_first_stays(tmp_path: Path) -> None:
    first, second = make_record(seconds=1.0), make_record(seconds=2.0, date="2026-02-02")
    merge([saved(tmp_path / "a", first), saved(tmp_path / "b", second)], tmp_path / "into")
    assert opened(tmp_path / "into").get(first.run_id) == first


def test_diverged_runs_with_equal_nan_agree(tmp_path: Path) -> None:
    records = [make_record(status="diverged", loss=math.nan, seconds=seconds) for seconds in (1.0, 2.0)]
    merge([saved(tmp_path / str(number), record) for number, record in enumerate(records)], tmp_path / "into")
    assert math.isnan(opened(tmp_path / "into").get(records[0].run_id).loss)


def test_the_same_run_on_two_devices_keeps_both_records(tmp_path: Path) -> None:
    cpu, gpu = (
        make_record(),
        make_record(device="Apex A1", loss=0.7, context=Context(paper="moss2021", profile="paper")),
    )
    for name, order in (("one", (cpu, gpu)), ("two", (gpu, cpu))):
        sources = [saved(tmp_path / name / record.environment["device"], record) for record in order]
        merge(sources, tmp_path / name)
        store = opened(tmp_path / name)
        assert store.devices(cpu.run_id) == ("cpu", "Apex A1")
        assert store.get(cpu.run_id).loss == cpu.loss == store.records()[cpu.run_id].loss
        assert store.records("Apex A1")[cpu.run_id].loss == gpu.loss
        # Both lie in the place of the record that was merged first.
        assert store.origin(cpu.run_id, "cpu") == store.origin(cpu.run_id, "Apex A1")
        assert store.get(cpu.run_id).context == store.get(cpu.run_id, "Apex A1").context == order[0].context
        assert store.problems() == []


def test_other_code_with_other_numbers_is_refused_until_somebody_says_which_stays(tmp_path: Path) -> None:
    old, new = make_record(), make_record(loss=0.7, code_digest="beef", date="2026-03-03", history=())
    sources = [saved(tmp_path / "old", old), saved(tmp_path / "new", new)]
    for name, order in (("one", sources), ("two", sources[::-1])):
        with pytest.raises(UserError, match=r"code c0de, 2026-01-01.*--replace --prefer|code beef.*code c0de"):
            merge(order, tmp_path / name)
        assert tracked_bytes(tmp_path / name) == {}
        merge(order[:1], tmp_path / name)
        report = merge(order[1:], tmp_path / name, prefer="theirs")
        assert report.replaced == ((old.run_id, CPU),)
        assert opened(tmp_path / name).records() == {old.run_id: new if name == "one" else old}
        assert opened(tmp_path / name).problems() == []


def test_a_newer_record_with_less_in_its_history_does_not_take_the_place_of_a_richer_one(tmp_path: Path) -> None:
    poor = EVALUATION.model_copy(update={"metrics": {"acc": 1 / 3}})
    rich, newer = make_record(), make_record(code_digest="beef", date="2026-03-03", history=(poor,))
    merge([saved(tmp_path / "a", rich), saved(tmp_path / "b", newer)], tmp_path / "into")
    assert opened(tmp_path / "into").get(rich.run_id) == rich
    merge([tmp_path / "b", tmp_path / "a"], tmp_path / "other")
    assert opened(tmp_path / "other").get(rich.run_id) == rich


def test_newer_code_with_equal_numbers_takes_the_place_without_replace(tmp_path: Path) -> None:
    old, new = make_record(), make_record(code_digest="beef", date="2026-03-03", context=Context(paper="moss2021"))
    sources = [saved(tmp_path / "old", old), saved(tmp_path / "new", new)]
    for _ in range(2):
        merge(sources, tmp_path / "into")
        held = opened(tmp_path / "into").get(old.run_id)
        assert held.code_digest == "beef" and held.context == old.context


def test_a_run_stays_under_its_first_paper(tmp_path: Path) -> None:
    later = make_record(context=Context(paper="moss2021", profile="paper"))
    merge([saved(tmp_path / "a", make_record())], tmp_path / "into")
    merge([saved(tmp_path / "b", later)], tmp_path / "into")
    folders = {name.rsplit("/", 1)[0] for name in tracked_bytes(tmp_path / "into")}
    assert folders == {"stored", "stored/cpu/wood2020"}


def test_a_run_tracked_under_two_papers_ends_up_under_one(tmp_path: Path) -> None:
    for paper in ("wood2020", "moss2021"):
        context = Context(paper=paper, profile="cpu")
        merge([saved(tmp_path / paper, make_record(context=context))], tmp_path / "apart" / paper)
        os.makedirs(tmp_path / "into" / "stored" / "cpu", exist_ok=True)
        os.rename(tmp_path / "apart" / paper / "stored" / "cpu" / paper, tmp_path / "into" / "stored" / "cpu" / paper)
    assert merge([], tmp_path / "into").total == 1
    rows = [len(path.read_text().splitlines()) - 1 for path in sorted((tmp_path / "into").rglob("runs.csv"))]
    assert sorted(rows) == [0, 1]
    assert len(opened(tmp_path / "into").ids()) == 1


@pytest.mark.attack("files")
def test_damaged_run_folders_are_left_out_and_reported(tmp_path: Path) -> None:
    source = saved(tmp_path / "a", make_record(0), make_record(1))
    (source / "runs" / make_record(1).run_id / "record.json").write_text("{")
    report = merge([source], tmp_path / "into")
    assert report.total == 1 and make_record(1).run_id in report.problems[0]
    lines = str(report).splitlines()
    assert lines[0] == "1 records are stored: 1 added, 0 replaced" and f"left out: {report.problems[0]}" == lines[-1]
    assert f"written: {tmp_path / 'into' / 'stored' / 'cpu' / 'wood2020' / 'runs.csv'}" in lines


@pytest.mark.attack("files")
def test_damaged_tracked_files_stop_a_merge(tmp_path: Path) -> None:
    merge([saved(tmp_path / "a", make_record(0))], tmp_path / "into")
    (tmp_path / "into" / "stored" / "cpu" / "wood2020" / "specs.jsonl").write_text("")
    before = tracked_bytes(tmp_path / "into")
    with pytest.raises(UserError, match="has no spec"):
        merge([saved(tmp_path / "b", make_record(1))], tmp_path / "into")
    assert tracked_bytes(tmp_path / "into") == before


@pytest.mark.attack("disks")
def test_a_merge_whose_disk_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge([saved(tmp_path / "a", make_record(0))], tmp_path / "into")
    before = tracked_bytes(tmp_path / "into")
    source, synced = saved(tmp_path / "b", make_record(1)), []

    def full_disk(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 3:
            raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        merge([source], tmp_path / "into")
    assert tracked_bytes(tmp_path / "into") == before


def test_of_two_merges_at_once_the_second_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "a", make_record())
    with alone(tmp_path / "all", "merge"), pytest.raises(UserError, match=r"process \d+ on .* does a merge into"):
        merge([source], tmp_path / "all")
    assert merge([source], tmp_path / "all").total == 1


@pytest.mark.attack("texts")
def test_a_paper_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    source = saved(tmp_path / "a", make_record(context=Context(paper="../../out", profile="cpu")))
    with pytest.raises(UserError, match="cannot be the name of a folder"):
        merge([source], tmp_path / "into")


def test_records_without_a_paper_have_a_place(tmp_path: Path) -> None:
    record = make_record(context=Context())
    merge([saved(tmp_path / "a", record)], tmp_path / "into")
    assert opened(tmp_path / "into").records() == {record.run_id: record}


KILLED = """
import os, signal, sys
from pathlib import Path
from benchmark.store.merge import merge

source, target, dies_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
count = 0

def counted(call):
    def made(*arguments, **options):
        global count
        count += 1
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return made

for name in ("rename", "replace", "fsync", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
merge([source], target)
"""


@pytest.mark.attack("kills")
@pytest.mark.slow
def test_a_merge_killed_at_any_step_has_merged_all_or_nothing(tmp_path: Path) -> None:
    """The merge changes rows, specs, histories of two folders and the digests."""
    moss = Context(paper="moss2021", profile="paper")
    old, new = [make_record(0), make_record(1, context=moss)], [make_record(2), make_record(3, context=moss)]
    source = saved(tmp_path / "new", *new)
    merge([saved(tmp_path / "old", *old)], tmp_path / "before")
    found, environment = [], {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for dies_at in range(1, 200):
        into = shutil.copytree(tmp_path / "before", tmp_path / str(dies_at))
        done = subprocess.run([sys.executable, "-c", KILLED, str(source), str(into), str(dies_at)], env=environment)
        store = opened(into)
        assert store.verify() == [], dies_at
        assert dict(store.records()) in ({r.run_id: r for r in old}, {r.run_id: r for r in old + new}), dies_at
        found.append(len(store.ids()))
        assert merge([source], into).total == 4 and opened(into).verify() == []
        assert not any(path.name.startswith(".") for path in (into / "stored").rglob("*")), "no drafts are left"
        if done.returncode == 0:
            break
        made("kills")
    assert found == sorted(found) and set(found) == {2, 4}
