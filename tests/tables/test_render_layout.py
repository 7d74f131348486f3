"""Layout of tables: the rule by which columns split into blocks."""

from __future__ import annotations

import pytest

from benchmark.tables.layout import column_blocks, highlights
from benchmark.tables.values import Cell, CellResult, Column, Row, TableResult


@pytest.mark.parametrize(("widths", "readings", "blocks"), [
    ((2, 2), 1, [(0, 1, 2, 3)]),
    ((2, 2), 2, [(0, 1), (2, 3)]),
    ((3, 2), 1, [(0, 1, 2), (3, 4)]),
    ((1, 1, 1, 1, 1), 1, [(0, 1, 2, 3), (4,)]),
    ((3, 2), 2, [(0, 1), (2,), (3, 4)]),
    ((2,), 5, [(0,), (1,)]),
])  # fmt: skip
def test_columns_split_into_blocks_of_whole_data_sets(
    widths: tuple[int, ...], readings: int, blocks: list[tuple[int, ...]]
) -> None:
    columns = [Column(f"d{i}", f"m{j}", "", "") for i, width in enumerate(widths) for j in range(width)]
    assert column_blocks(columns, readings) == blocks


def test_equal_accuracies_are_bold_together_though_they_differ_in_the_last_bit() -> None:
    values = {"a": 100 * (0.1 + 0.2), "b": 30.0, "c": 29.0, "d": 28.9}
    assert values["a"] != values["b"]
    cells = {name: Cell(None, {"paper": CellResult(value, 1.0, 3, 3)}) for name, value in values.items()}
    rows = tuple(Row(name, name, cells=(cell,)) for name, cell in cells.items())
    columns = (Column("digits", "acc", "digits", "ACC"),)
    table = TableResult("p", "t", "", "quick", ("paper",), columns, rows, higher_is_better={"acc": True})
    styles = {values_name: highlights(table).get((place, 0, "paper")) for place, values_name in enumerate(values)}
    assert styles == {"a": "best", "b": "best", "c": "near", "d": None}
