"""Who holds a data directory, asked without touching its lock and without creating a file."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from kron.core.errors import StorageError
from kron.storage.datadir import DataDir
from kron.storage.lock import LOCK_NAME, pid_in

_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""What Linux calls the one that sees all processes (PROC_PID_INIT_INO)."""


class Holder(NamedTuple):
    """Whether somebody has the lock, and the last holder's process id where it is known."""

    is_held: bool
    pid: int | None


def find_holder(data_dir: DataDir) -> Holder:
    """Look at the lock of a directory. Raises StorageError if it cannot be looked at.

    Where the kernel lists its locks (Linux) the list is read. Of a holder in another container it
    says nothing, or another process id; where that can be, the lock is tried for an instant.
    """
    try:
        fd = data_dir.open_file(LOCK_NAME, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return Holder(False, None)
    except OSError as exc:
        raise StorageError(f"{data_dir.show(LOCK_NAME)}: {exc.strerror}") from exc
    try:
        noted = pid_in(data_dir.disk.pread(fd, 32, 0))
        listed = _listed(data_dir.disk.fstat(fd), noted)
        if listed is None or not (listed or _lists_everybody()):
            return Holder(not _try(fd), noted)
        return Holder(bool(listed), noted if noted in listed or not listed else max(listed))
    finally:
        data_dir.disk.close(fd)


def _listed(file: os.stat_result, noted: int | None) -> set[int] | None:
    """The processes with an exclusive flock on that file, by the ids that they have here; None if
    nobody knows. Where file and list name different devices (some file systems do), the process
    that is `noted` in the file is taken to mean it."""
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            rows = [line.split() for line in locks]
    except OSError:
        return None
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
    found = set()
    for row in rows:
        place, _, inode = row[5].rpartition(":")
        if row[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and inode == str(file.st_ino):
            found |= {int(row[4])} if place == device or int(row[4]) == noted else set()
    return found


def _lists_everybody() -> bool:
    """Whether the kernel's list is whole: in a container it leaves out what is outside."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _FIRST_PID_NAMESPACE
    except OSError:
        return False


def _try(fd: int) -> bool:
    from fcntl import LOCK_NB, LOCK_SH, LOCK_UN, flock

    with suppress(BlockingIOError):
        flock(fd, LOCK_SH | LOCK_NB)
        flock(fd, LOCK_UN)
        return True
    return False
