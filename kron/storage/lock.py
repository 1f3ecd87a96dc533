"""One writer per data directory: a kernel lock on `kron.lock`, which dies with its process.

The file says who has the lock, and below, why a scheduler stopped that nobody told to: its last
word. It stands here since this is the one file that can be written on a full disk: its first block
is there already. And only the holder of the lock writes it.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from kron.core.errors import DataDirLocked, StorageError
from kron.storage.datadir import DataDir
from kron.storage.fork import close_in_child

LOCK_NAME = "kron.lock"
WORD_BYTES = 4000
"""With the process id it fits into one block."""
EXEC_SECONDS = 2.0
"""How long a killed holder may go on having the lock: a command that it was about to start has a
copy of the descriptor for the moment between fork and exec."""

LOOK_SECONDS = 0.03
"""How long somebody may have it who only looks whether it is free."""


class LastWord(NamedTuple):
    """Process `pid` stopped carrying out the schedule `at` a time (RFC 3339), and why."""

    pid: int
    at: str
    why: str

    def sentence(self) -> str:
        """For people."""
        return f"process {self.pid} stopped at {self.at[:19].replace('T', ' ')} UTC: {self.why}"


def last_word(data_dir: DataDir) -> LastWord | None:
    """What the last scheduler left in the lock file; None if there is nothing. Raises OSErrors
    and UnsafeDataDir."""
    try:
        fd = data_dir.open_file(LOCK_NAME, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _word_in(data_dir.disk.pread(fd, 2 * WORD_BYTES, 0))
    finally:
        data_dir.disk.close(fd)


class DirLock:
    """Held from `acquire` to `release`; the file stays and names the last holder."""

    def __init__(self, data_dir: DataDir) -> None:
        self._dir = data_dir
        self._fd = -1
        self._word: LastWord | None = None
        close_in_child(self)

    def acquire(self) -> None:
        """Take the lock and write this process's id into the file; a last word in it stays.

        Raises DataDirLocked (with `pid`, None if unknown) while another holder lives, be it in
        this process. A lock file left by a dead process does not count. Blocks for 30 ms, or 2 s if
        that holder is dead: what it was about to start may still have the lock.
        """
        disk = self._dir.disk
        self._fd = self._dir.open_file(LOCK_NAME, os.O_RDWR | os.O_CREAT)
        began_s = time.monotonic()
        while not disk.try_lock(self._fd):
            pid = self._holder_pid()
            patience_s = EXEC_SECONDS if pid is not None and _is_gone(pid) else LOOK_SECONDS
            if time.monotonic() - began_s > patience_s:
                self.close_fds()
                raise locked_by(self._dir, pid)
            time.sleep(0.005)
        with suppress(OSError):  # a bad disk: the lock holds without its holder's name
            self._word = _word_in(disk.pread(self._fd, 2 * WORD_BYTES, 0))
            self._write(self._fd)

    def leave_word(self, why: str) -> None:
        """Note in the file why the holder stops; "" takes back what is noted there. Best effort,
        in place: see above. Raises nothing."""
        if self._fd < 0 or not (why or self._word):
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._word = LastWord(os.getpid(), now, why) if why else None
        with suppress(OSError, StorageError):
            fd = self._dir.open_file(LOCK_NAME, os.O_WRONLY)
            try:
                self._write(fd)
            finally:
                self._dir.disk.close(fd)

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

    def _write(self, fd: int) -> None:
        """The whole content, from where the descriptor stands: the beginning."""
        content = b"%d\n" % os.getpid()
        if self._word is not None:
            content += _encoded(self._word)
        self._dir.disk.write(fd, content)
        self._dir.disk.truncate(fd, len(content))

    def _holder_pid(self) -> int | None:
        return pid_in(self._dir.disk.pread(self._fd, 32, 0))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # somebody else's
        return False
    return False


def pid_in(content: bytes) -> int | None:
    """The last holder's process id, which a lock file begins with."""
    text = content.partition(b"\n")[0].strip()
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


def _encoded(word: LastWord) -> bytes:
    why = word.why
    while len(line := json.dumps(word._replace(why=why)._asdict()).encode() + b"\n") > WORD_BYTES:
        why = why[: len(why) // 2]
    return line


def _word_in(content: bytes) -> LastWord | None:
    with suppress(ValueError, TypeError):
        return LastWord(**json.loads(content.partition(b"\n")[2]))
    return None
