"""The options of a study as a file: what the file says is as if it were typed, and what is typed wins."""

from __future__ import annotations

import tomllib

import pytest

STUDY = (
    "run",
    "--table",
    "tkuco2024/table2",
    "--method",
    "ddc",
    "--method",
    "k-means",
    "--runs",
    "2",
    "--set",
    "K1=code",
)


def test_a_printed_study_is_read_back_as_it_was(call, tmp_path):
    code, text, err = call(*STUDY, "--budget", "2h", "--fresh", "--print-config")
    assert (code, err) == (0, "")
    values = tomllib.loads(text)
    assert values["method"] == ["ddc", "k-means"] and values["set"] == ["K1=code"] and values["runs"] == 2
    assert values["fresh"] is True and values["profile"] == "quick" and values["budget"] == "2h"
    file = tmp_path / "study.toml"
    file.write_text(text)
    assert call("run", "--config", file, "--print-config") == (0, text, "")


def test_an_option_on_the_command_line_wins_over_the_file(call, tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('table = "tkuco2024/table2"\nruns = 2\nprofile = "cpu"\n')
    values = tomllib.loads(call("run", "--config", file, "--runs", "5", "--print-config")[1])
    assert (values["runs"], values["profile"], values["table"]) == (5, "cpu", ["tkuco2024/table2"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tabel = ["x"]', "did you mean 'table'"),
        ("runs = true", "one text or number stands here"),
        ("fresh = 1", "true or false stands here"),
        ("method = [1]", "a list of texts stands here"),
        ("runs = [1]", "one text or number stands here"),
        ("[run]\nruns = 1", "did you mean 'runs'"),
        ("runs = ", "is no TOML file"),
    ],
)
def test_a_wrong_file_is_exit_2_and_one_sentence(call, tmp_path, text, said):
    file = tmp_path / "study.toml"
    file.write_text(text)
    code, out, err = call("run", "--config", file)
    assert (code, out) == (2, "")
    assert said in err and str(file) in err and len(err.splitlines()) == 1


def test_a_file_that_is_not_there_is_exit_1_and_one_sentence(call, tmp_path):
    code, out, err = call("run", "--config", tmp_path / "none.toml")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "none.toml cannot be read: No such file" in err
