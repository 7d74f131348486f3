"""The data of a run: loaded, checked against the digest it asks for, subset and preprocessed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from benchmark.errors import DataError
from benchmark.registry import DATASETS, LoadedData, refuse_in_fit
from benchmark.spec import DataSpec, RunSpec


def prepared_data(spec: RunSpec, data_dir: Path | None) -> LoadedData:
    """Return the data of a run, loaded, checked, subset and preprocessed; the last two stay in memory."""
    refuse_in_fit(spec.data.name)
    return _prepared(spec.data, data_dir)


def forget_prepared() -> None:
    """Have data loaded anew, as those in memory were written into."""
    _prepared.cache_clear()


@lru_cache(maxsize=2)
def _prepared(data: DataSpec, data_dir: Path | None) -> LoadedData:
    return load_prepared(data, data_dir)


def load_prepared(data: DataSpec, data_dir: Path | None) -> LoadedData:
    """Return data, loaded, checked, subset and preprocessed; DataError where they are not those asked for."""
    source = DATASETS[data.name]
    if source.digest != data.digest:
        raise DataError(
            f"the run asks for {source.name} with the digest {data.digest}, but this version declares {source.digest}."
        )
    return source.load(data_dir).prepare(data.preprocess, data.samples)
