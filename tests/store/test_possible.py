"""Numbers that no run can leave are noticed: out of range, against the spec, against the run's own history."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.record import NUMERIC_MODE, RunRecord
from benchmark.store.merge import merge
from benchmark.store.possible import contradictions
from benchmark.store.run_files import RECORD, SEAL, sealed
from benchmark.store.sums import accept
from tests.support.records import IEEE, made_on, make_record, opened

pytestmark = pytest.mark.attack("files")

IMPOSSIBLE = {
    "acc": "7.5",
    "nmi": "nan",
    "ari": "-1.5",
    "nmi_geometric": "inf",
    "loss": "-inf",
    "n_samples": "-5",
    "epochs": "-1",
    "steps": "-8",
    "seconds": "-inf",
    "peak_mib": "nan",
    "method": "bush",
    "dataset": "roots",
    "replicate": "7",
    "paper": "moss2021",
    "profile": "quick",
    "status": "fine",
}


def edited(stored: Path, column: str, value: str) -> None:
    """Change a column of the first row, and let its digest follow, as somebody may who means it."""
    file = stored / "cpu" / "wood2020" / "runs.csv"
    header, *rows = csv.reader(io.StringIO(file.read_text()))
    rows[0][header.index(column)] = value
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    file.write_text(text.getvalue())
    accept(stored)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for replicate in range(2):
        opened(tmp_path / "source").save(make_record(replicate), np.array([1, 0]))
    merge([tmp_path / "source"], tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize("column", IMPOSSIBLE)
def test_an_impossible_number_of_a_tracked_row_is_one_sentence_for_verify_and_for_who_reads_it(
    results: Path, column: str
) -> None:
    edited(results / "stored", column, IMPOSSIBLE[column])
    (said,) = opened(results).verify()
    assert "runs.csv, line 2" in said and "\n" not in said
    with pytest.raises(UserError, match=r"runs\.csv, line 2: no record can be read") as error:
        dict(opened(results).records())
    assert IMPOSSIBLE[column] in str(error.value)
    with pytest.raises(UserError, match=r"runs\.csv, line 2"):
        merge([results.parent / "source"], results)


def of_history(results: Path, change: Callable[[str], str]) -> None:
    file = results / "stored" / "cpu" / "wood2020" / "history.csv.gz"
    text = gzip.decompress(file.read_bytes()).decode()
    assert change(text) != text
    file.write_bytes(gzip.compress(change(text).encode()))
    accept(results / "stored")


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("acc", "0.9", "acc is 0.9, but the evaluation with its loss has 0.666"),
        ("nmi", "0.2", "nmi is 0.2, but the evaluation with its loss has 0.1"),
        ("loss", "0.25", "no evaluation of its last phase has its loss 0.25"),
        ("final_loss", "0.25", "the final loss is 0.25, but its last evaluation has"),
        ("steps", "7", "it took 7 steps, but was evaluated at step 8"),
        ("losses", '{"l1":1e-300,"l2":1e299}', "the terms of its loss are not those"),
    ],
)
def test_a_row_that_contradicts_its_history_is_found_by_verify(
    results: Path, column: str, value: str, what: str
) -> None:
    edited(results / "stored", column, value)
    (said,) = opened(results).verify()
    assert "contradicts itself" in said and what in said and "\n" not in said


def test_what_is_impossible_in_a_history_is_found_by_verify(results: Path) -> None:
    for old, new, what in (
        (",8,2,", ",3,2,", "evaluation 2: step 3 follows step 4"),
        (",4,1,", ",-4,1,", "evaluation 1: step is -4, below 0"),
        (",0.6666666666666666,0.1,", ",6.6,0.1,", "evaluation 1: acc is 6.6, not from 0 to 1"),
    ):
        of_history(results, lambda text, old=old, new=new: text.replace(old, new, 1))
        assert any(what in text for text in opened(results).verify())
        of_history(results, lambda text, old=old, new=new: text.replace(new, old, 1))
    assert opened(results).verify() == []


def test_a_subset_that_was_not_trained_on_contradicts_the_spec() -> None:
    record = make_record()
    data = record.spec.data.model_copy(update={"samples": 11})
    spec = record.spec.model_copy(update={"data": data})
    assert list(contradictions(record)) == []
    assert list(contradictions(record.model_copy(update={"spec": spec}))) == [
        "it has 12 samples, but its spec asks for 11"
    ]


def test_a_method_may_state_terms_beside_those_of_its_evaluations() -> None:
    record = make_record(losses={"l1": 1e-300, "l2": 1e300, "inertia": 5.0})
    assert list(contradictions(record)) == []


def test_runs_that_were_not_counted_have_no_loss_to_compare() -> None:
    record = make_record(status="diverged", loss=math.nan, final_loss=None, metrics={})
    assert list(contradictions(record)) == []


@pytest.mark.parametrize(("name", "value"), [("n_samples", -5), ("loss", "-inf"), ("metrics", {"acc": 7.5})])
def test_an_impossible_run_folder_is_set_aside_though_its_seal_fits(results: Path, name: str, value: object) -> None:
    record: RunRecord = make_record()
    opened(results).save(record)
    folder = results / "runs" / record.run_id
    plain = json.loads((folder / "record.json").read_text()) | {name: value}
    (folder / "record.json").write_text(json.dumps(plain))
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != SEAL}
    (folder / SEAL).write_bytes(sealed(files))
    (said,) = opened(results).quarantine()
    assert "made again" in said and opened(results).verify() == []


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [100, 950, 100_000])
@pytest.mark.parametrize("file", ["runs.csv", "specs.jsonl", "history.csv.gz"])
def test_tracked_json_that_is_nested_without_end_is_damage_with_file_and_line(
    results: Path, file: str, levels: int
) -> None:
    if file == "runs.csv":
        edited(results / "stored", "losses", nested(levels))
    elif file == "specs.jsonl":
        path = results / "stored" / "cpu" / "wood2020" / file
        path.write_text(path.read_text().replace('"width":0.1', f'"width":{nested(levels)}', 1))
    else:
        of_history(results, lambda text: text.replace('"{""l1"":1e-300,""l2"":1e+300}"', nested(levels), 1))
    said = opened(results).verify()
    assert any(f"{file}, line" in text and ("nested" in text or "field" in text) for text in said)
    assert all("\n" not in text and len(text) < 600 for text in said)


@pytest.mark.parametrize("levels", [100, 950, 100_000])
@pytest.mark.parametrize("file", ["record.json", "seal.json"])
def test_a_run_folder_with_json_nested_without_end_is_set_aside(results: Path, file: str, levels: int) -> None:
    record = make_record()
    opened(results).save(record)
    folder = results / "runs" / record.run_id
    (folder / file).write_text(f'{{"a": {nested(levels)}}}')
    if file == "record.json":
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != SEAL}
        (folder / SEAL).write_bytes(sealed(files))
    (said,) = opened(results).quarantine()
    assert record.run_id in said and "made again" in said


def test_a_history_that_unpacks_to_gigabytes_is_one_sentence(results: Path) -> None:
    file = results / "stored" / "cpu" / "wood2020" / "history.csv.gz"
    file.write_bytes(b"".join(gzip.compress(bytes(2**26)) for _ in range(8)))
    said = opened(results).verify()
    assert any("history.csv.gz" in text and "unpack to more than" in text for text in said)


def test_assignments_that_unpack_to_much_more_than_they_are_are_one_sentence(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.store.run_files.MOST_LABELS_BYTES", 1000)
    record = make_record()
    opened(results).save(record, np.zeros(1000, dtype=np.int64))
    with pytest.raises(UserError, match="unpacks to 8128 bytes"):
        opened(results).labels(record.run_id)


def on_gpu(mode: object, *, status: str = "ok", precision: str = "float32") -> RunRecord:
    """Return a record of a GPU with a numeric mode, None for none."""
    record = make_record(environment=made_on("Apex A1") | {NUMERIC_MODE: mode}, status=status)
    spec = record.spec.model_copy(update={"params": {**record.spec.params, "precision": precision}})
    environment = {k: v for k, v in record.environment.items() if v is not None}
    return record.model_copy(update={"spec": spec, "run_id": spec.run_id, "environment": environment})


@pytest.mark.parametrize(("mode", "precision", "said"), [
    (None, "float32", "it was made on Apex A1, but does not say in which numeric mode"),
    ({"matmul": "ieee"}, "float32", "does not say in which numeric mode"),
    (IEEE | {"convolutions": "tf32"}, "float32", "has convolutions tf32, not ieee as its spec asks for"),
    (IEEE, "tf32", "has convolutions ieee, not tf32 as its spec asks for"),
    (IEEE | {"matmul": "tf32"}, "tf32", "has matmul tf32, not ieee"),
    (IEEE | {"deterministic_algorithms": False}, "float32", "has deterministic_algorithms False, not True"),
])  # fmt: skip
def test_a_record_of_a_gpu_is_stored_only_with_the_numeric_mode_of_its_spec(
    tmp_path: Path, mode: object, precision: str, said: str
) -> None:
    record = on_gpu(mode, precision=precision)
    with pytest.raises(UserError, match=f"the record of run {record.run_id} was not stored: .*{said}"):
        opened(tmp_path).save(record)
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("record", [
    on_gpu(IEEE),
    on_gpu(IEEE | {"nondeterministic": ["histc_cuda"]}),
    on_gpu(IEEE | {"convolutions": "tf32", "recurrent": "tf32"}, precision="tf32"),
    on_gpu(None, status="failed"),
])  # fmt: skip
def test_a_record_of_a_gpu_that_says_its_numeric_mode_comes_back_from_store_and_merge(
    tmp_path: Path, record: RunRecord
) -> None:
    assert opened(tmp_path / "a").save(record)
    assert opened(tmp_path / "a").get(record.run_id) == record
    merge([tmp_path / "a"], tmp_path / "b")
    assert opened(tmp_path / "b").get(record.run_id) == record and not opened(tmp_path / "b").problems()


def test_a_record_of_a_gpu_whose_mode_was_taken_out_is_refused_by_merge_and_told_by_verify(tmp_path: Path) -> None:
    record = on_gpu(IEEE)
    opened(tmp_path / "a").save(record)
    merge([tmp_path / "a"], tmp_path / "b")
    folder = tmp_path / "a" / "runs" / record.run_id
    plain = json.loads((folder / RECORD).read_text())
    del plain["environment"][NUMERIC_MODE]
    files = {name: (folder / name).read_bytes() for name in json.loads((folder / SEAL).read_text())}
    files[RECORD] = json.dumps(plain).encode()
    (folder / RECORD).write_bytes(files[RECORD])
    (folder / SEAL).write_bytes(sealed(files))
    assert any("does not say in which numeric mode" in problem for problem in opened(tmp_path / "a").problems())
    merged = merge([tmp_path / "a"], tmp_path / "c")
    assert opened(tmp_path / "c").get(record.run_id) is None, merged
    stored = tmp_path / "b" / "stored"
    edited(stored, "environment", "{}")
    assert any("does not say in which numeric mode" in problem for problem in opened(tmp_path / "b").verify())
