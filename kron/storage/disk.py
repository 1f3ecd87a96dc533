"""Every system call the log makes, in one object, so that a test can put a failing disk there."""

from __future__ import annotations

import os
import sys


class Disk:
    """The real disk. It keeps no state; every method is one call and raises OSError."""

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """Open without following a final link, closed on exec, never blocking on a FIFO."""
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)

    def close(self, fd: int) -> None:
        """Close the descriptor."""
        os.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; empty at the end of the file."""
        return os.pread(fd, size, offset)

    def write(self, fd: int, content: bytes) -> int:
        """One write; returns how many bytes the system took."""
        return os.write(fd, content)

    def fdatasync(self, fd: int) -> None:
        """Bring the content and the size of the file to the medium."""
        if sys.platform == "darwin":
            self.fsync(fd)
        else:
            os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        """Bring the file with all its attributes to the medium."""
        if sys.platform == "darwin":
            from fcntl import F_FULLFSYNC, fcntl

            fcntl(fd, F_FULLFSYNC)
        else:
            os.fsync(fd)

    def fsync_dir(self, path: str) -> None:
        """Bring the names in a directory to the medium."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(fd, size)

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old` in one step."""
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        os.unlink(path)

    def mkdir(self, path: str, mode: int) -> None:
        """Make one directory."""
        os.mkdir(path, mode)

    def names(self, path: str) -> list[str]:
        """The names in a directory."""
        return os.listdir(path)

    def lstat(self, path: str) -> os.stat_result:
        """The state of a name, links not followed."""
        return os.lstat(path)

    def fstat(self, fd: int) -> os.stat_result:
        """The state of an open file."""
        return os.fstat(fd)

    def is_writable(self, path: str) -> bool:
        """Whether names can be made in this directory."""
        return os.access(path, os.W_OK | os.X_OK)

    def try_lock(self, fd: int) -> bool:
        """Take the kernel's exclusive lock on an open file; False if somebody has it."""
        from fcntl import LOCK_EX, LOCK_NB, flock

        try:
            flock(fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        """Release the lock, also for a forked child that still has the descriptor."""
        from fcntl import LOCK_UN, flock

        flock(fd, LOCK_UN)


OS_DISK = Disk()
