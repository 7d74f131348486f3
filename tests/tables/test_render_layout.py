"""Layout of tables: the rule by which columns split into blocks."""

from __future__ import annotations

import pytest

from benchmark.cells import Column
from benchmark.render.layout import column_blocks


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
