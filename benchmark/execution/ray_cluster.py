"""Ray clusters: one that stands, joined for the length of a command, or one of this machine, made for it and ended.

Ray's processes listen on all interfaces of a machine, whatever they are told, and do what anybody asks who reaches
them. A cluster of our own therefore wants a token, made anew for each, where Ray has that (2.52 and later).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.errors import UsageError, UserError
from benchmark.files.owners import alive, dead_files, this_process

MARK = ".cluster-"
"""What the name of the file begins with by whose sight a node knows that the results folder is the driver's."""

_FOLDER, _OWNER = "reclust-ray-", "owner"
_LONGEST_FOLDER = 30
"""Letters that the folder for temporary files may have: Ray puts sockets below it, whose paths may have 107."""


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Any]:
    """Give Ray, connected to the cluster at `address`; without one, to a cluster of `workers` cores of this machine.

    That one lives as long as the context, however it is left; its processes end with this one, even if it is killed.

    Raises
    ------
    UsageError
        If Ray is not installed.
    UserError
        If there is no cluster at `address`, or none can be started.
    """
    with contextlib.ExitStack() as ending:
        if not address or _token.cache_info().currsize:
            ending.enter_context(_secret())
        ray = _ray()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        folder = None if address else ending.enter_context(_own_folder())
        ending.callback(ray.shutdown)
        try:
            if folder is None:
                ray.init(address, **_QUIET)
            else:
                ray.init("local", num_cpus=workers, _temp_dir=str(folder), **_OWN, **_QUIET)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise UserError(_sentence(address, error)) from None
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray sets handlers of its own
        yield ray


_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
_OWN: dict[str, Any] = {
    "include_dashboard": False,
    "object_store_memory": 512 * 2**20,
    "_system_config": {"worker_niceness": 0},  # as polite as the command, no politer
}


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError("--executor ray needs Ray: install it with pip install 'reclust[cluster]'.") from None
    return ray


def _sentence(address: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if address:
        return f"no Ray cluster answers at {address!r} ({reason}): start one with `ray start --head`."
    return f"no Ray cluster can be started on this machine ({reason}): use --executor processes."


@cache
def _token() -> str:
    """Return the token of this process; Ray reads once, when it is imported, that there is one."""
    return secrets.token_hex(32)


def _asks_for_token() -> bool:
    """Whether Ray asks for a token in this process, or will when it is imported."""
    return "ray" not in sys.modules or _token.cache_info().currsize > 0


@contextmanager
def _secret() -> Iterator[None]:
    """Have the cluster that is started in the context ask for a token that only its own processes know."""
    ours = {"RAY_USAGE_STATS_ENABLED": "0"}  # a cluster of some minutes tells nobody of itself
    if _asks_for_token():
        ours |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Give a folder for the sockets and logs of a cluster."""
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=_temporary()))
    try:
        (folder / _OWNER).write_text(this_process(), encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary() -> Path:
    place = Path(tempfile.gettempdir())
    return place if len(str(place)) <= _LONGEST_FOLDER else Path("/tmp")


def sweep_clusters() -> None:
    """Remove the folders of clusters whose commands are gone."""
    for left in _temporary().glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):
            if alive((left / _OWNER).read_text(encoding="utf-8")) is False:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def marked(results: Path) -> Iterator[str]:
    """Leave a file in the results folder, by whose sight a node knows that the folder is the driver's."""
    results.mkdir(parents=True, exist_ok=True)
    sweep_marks(results)
    name = f"{MARK}{this_process()}.{uuid.uuid4().hex}"
    (results / name).touch()
    try:
        yield name
    finally:
        (results / name).unlink(missing_ok=True)


def sweep_marks(results: Path) -> None:
    """Remove the marks of drivers that are gone."""
    for left in dead_files(results, MARK):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)
