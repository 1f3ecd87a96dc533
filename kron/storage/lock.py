"""One writer per data directory: a kernel lock on `kron.lock`, which dies with its process."""

from __future__ import annotations

import os
from contextlib import suppress

from kron.core.errors import DataDirLocked
from kron.storage.datadir import DataDir
from kron.storage.fork import close_in_child


class DirLock:
    """Held from `acquire` to `release`; the file stays and names the last holder."""

    def __init__(self, data_dir: DataDir) -> None:
        self._dir = data_dir
        self._fd = -1
        close_in_child(self)

    def acquire(self) -> None:
        """Take the lock and write this process's id into the file.

        Raises DataDirLocked (with `pid`, None if unknown) while another holder lives, be it in
        this process. A lock file left by a dead process does not count.
        """
        disk = self._dir.disk
        self._fd = self._dir.open_file("kron.lock", os.O_RDWR | os.O_CREAT)
        if not disk.try_lock(self._fd):
            pid = self._holder_pid()
            self.close_fds()
            raise locked_by(self._dir, pid)
        with suppress(OSError):  # a full disk: the lock holds without its holder's name
            disk.truncate(self._fd, 0)
            disk.write(self._fd, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Give the lock back, even if a child still has the descriptor. Idempotent."""
        if self._fd >= 0:
            with suppress(OSError):
                self._dir.disk.unlock(self._fd)
            with suppress(OSError):  # the descriptor is gone even then
                self.close_fds()

    def close_fds(self) -> None:
        """Close this process's copy only: in a forked child the parent keeps the lock."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._dir.disk.close(fd)

    def _holder_pid(self) -> int | None:
        text = self._dir.disk.pread(self._fd, 32, 0).strip()
        return int(text) if text.isdigit() else None


def locked_by(data_dir: DataDir, pid: int | None) -> DataDirLocked:
    """The error that names the holder."""
    holder = "another process" if pid is None else f"process {pid}"
    where = data_dir.shown
    error = DataDirLocked(
        f"{where} is in use by {holder} ({where}/kron.sock). Stop it, or use another data dir."
    )
    error.pid = pid
    return error
