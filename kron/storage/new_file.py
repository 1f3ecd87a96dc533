"""Files that are made aside, under a name of their own, before anybody depends on them."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from kron.storage.datadir import DataDir
from kron.storage.disk import Disk


def make_file(data_dir: DataDir, name: str) -> int:
    """A new and empty file, open to be appended to; what a crash left under the name goes."""
    with suppress(FileNotFoundError):
        data_dir.disk.unlink(data_dir.path_of(name))
    return data_dir.open_file(name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)


def write_all(disk: Disk, fd: int, content: bytes) -> None:
    """Unlike a record such a file may be written in pieces: nobody reads it before it is whole."""
    while content:
        written = disk.write(fd, content)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        content = content[written:]


def remove_leftover(data_dir: DataDir, name: str) -> None:
    """Try to remove a file that nobody depends on; who makes the next one removes it anyway."""
    with suppress(OSError):
        data_dir.disk.unlink(data_dir.path_of(name))
