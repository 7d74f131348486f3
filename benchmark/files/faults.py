"""Faults of the machine in one sentence with the mend: a full disk, a folder that cannot be written."""

from __future__ import annotations

import errno

_MENDS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable, or name another folder with --results",
    errno.EACCES: "get the permission, or name another folder with --results",
    errno.EPERM: "get the permission, or name another folder with --results",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EIO: "look after the disk",
    errno.ESTALE: "mount the disk again",
}


def sentence(error: OSError) -> str:
    """Return one sentence on an OSError: what, where, and what to do before the same command goes on.

    >>> sentence(OSError(errno.ENOSPC, "No space left on device", "results/runs"))
    'results/runs: No space left on device; free some space, and the same command goes on.'
    """
    what = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    mend = _MENDS.get(error.errno or 0, "mend that")
    return f"{where}{what}; {mend}, and the same command goes on."
