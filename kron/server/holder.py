"""Who holds a data directory, asked without touching its lock and without creating a file."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from kron.core.errors import StorageError
from kron.storage.datadir import DataDir
from kron.storage.lock import LOCK_NAME, pid_in


class Holder(NamedTuple):
    """Whether somebody has the lock, and the last holder's process id where it is known."""

    is_held: bool
    pid: int | None


def find_holder(data_dir: DataDir) -> Holder:
    """Look at the lock of a directory. Raises StorageError if it cannot be looked at.

    Where the kernel lists its locks (Linux) the list is read: even to try the lock for an instant
    could fail a program that is just starting.
    """
    try:
        fd = data_dir.open_file(LOCK_NAME, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return Holder(False, None)
    except OSError as exc:
        raise StorageError(f"{data_dir.show(LOCK_NAME)}: {exc.strerror}") from exc
    try:
        pid = pid_in(data_dir.disk.pread(fd, 32, 0))
        inode = data_dir.disk.fstat(fd).st_ino
        listed = _listed(inode)
        if listed is None:
            return Holder(not _try(fd), pid)
        return Holder(pid in listed if pid else bool(listed), pid)
    finally:
        data_dir.disk.close(fd)


def _listed(inode: int) -> set[int] | None:
    """The processes with an exclusive flock on a file of that inode; None if nobody knows."""
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            rows = [line.split() for line in locks]
    except OSError:
        return None
    return {
        int(row[4])
        for row in rows
        if row[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and row[5].rpartition(":")[2] == str(inode)
    }


def _try(fd: int) -> bool:
    from fcntl import LOCK_NB, LOCK_SH, LOCK_UN, flock

    with suppress(BlockingIOError):
        flock(fd, LOCK_SH | LOCK_NB)
        flock(fd, LOCK_UN)
        return True
    return False
