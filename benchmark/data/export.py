"""Data sets as files for other programs: npz for NumPy, Parquet for data frames."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.registry import LoadedData


def export(data: LoadedData, fmt: str, target: Path) -> None:
    """Write `data` to `target`, which is replaced when all is written; its folder is made where it is missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".export-", dir=target.parent)
    os.close(handle)
    try:
        EXPORT_FORMATS[fmt](data, Path(name))
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _columns(data: LoadedData) -> dict[str, Any]:
    """Return the arrays of a data set with the samples made dense."""
    import numpy as np

    columns = {"x": np.asarray(data.prepare((), None).x), "y": np.asarray(data.y)}
    lengths = getattr(data, "lengths", None)
    return columns if lengths is None else columns | {"length": np.asarray(lengths)}


def _write_npz(data: LoadedData, path: Path) -> None:
    import numpy as np

    facts = {"name": data.name, "digest": data.digest, "n_clusters": data.n_clusters}
    arrays: dict[str, Any] = _columns(data) | {key: np.array(value) for key, value in facts.items()}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _write_parquet(data: LoadedData, path: Path) -> None:
    """Write a row for each sample: `x` as a list of all its values, `y`, and `length` where there is one.

    The shape of a sample, the name, the digest and the number of classes are metadata of the table.
    """
    import numpy as np

    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError("Parquet needs pyarrow: install reclust[parquet], or export as npz.") from None
    columns = _columns(data)
    x = columns.pop("x")
    width = int(np.prod(x.shape[1:]))
    arrays = {"x": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(x.reshape(-1)), width)}
    arrays |= {name: pyarrow.array(values) for name, values in columns.items()}
    facts = {"name": data.name, "digest": data.digest, "n_clusters": str(data.n_clusters)}
    facts["shape"] = "x".join(map(str, x.shape[1:]))
    parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(facts), path)


EXPORT_FORMATS: Mapping[str, Callable[[LoadedData, Path], None]] = {"npz": _write_npz, "parquet": _write_parquet}
"""What `data export` can write."""
