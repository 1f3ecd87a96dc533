"""Makes `kron.aof` ready to append: created atomically, or verified and freed of its torn tail."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from kron.storage.datadir import DataDir
from kron.storage.lines import Header, encode_header
from kron.storage.lock import locked_by
from kron.storage.log import Torn
from kron.storage.scan import Scan

LOG_NAME = "kron.aof"
_COPY_BYTES = 1 << 20


class Recovered(NamedTuple):
    """An open log file; `start` and `end` are the bytes between which its records lie."""

    fd: int
    log_id: str
    tip: int
    start: int
    end: int
    torn: Torn | None


def recover(data_dir: DataDir) -> Recovered:
    """Open the log of a directory this process has locked, creating it if there is none.

    The file is locked too: who removes `kron.lock` does not let a second writer in. Raises as
    `Log.open` does, OSErrors included; on any error the file has its old content.
    """
    if not data_dir.exists(LOG_NAME):
        _create(data_dir)
    fd = data_dir.open_file(LOG_NAME, os.O_RDWR | os.O_APPEND)
    try:
        if not data_dir.disk.try_lock(fd):
            raise locked_by(data_dir, None)
        scan = scan_of(data_dir, fd)
        header = scan.header()
        start = scan.offset
        for _ in scan.records():
            pass
        torn = _cut(data_dir, fd, scan) if scan.tail_bytes else None
    except BaseException:
        data_dir.disk.close(fd)
        raise
    return Recovered(fd, header.log_id, scan.index, start, scan.offset, torn)


def scan_of(data_dir: DataDir, fd: int) -> Scan:
    """A scan over what the log file holds now."""
    size_bytes = data_dir.disk.fstat(fd).st_size
    return Scan(data_dir.disk, fd, data_dir.show(LOG_NAME), size_bytes)


def _create(data_dir: DataDir) -> None:
    """A log is there with its header, or not at all; synced whatever the policy."""
    disk, temporary = data_dir.disk, LOG_NAME + ".tmp"
    with suppress(FileNotFoundError):
        disk.unlink(data_dir.path_of(temporary))
    fd = data_dir.open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        _write_all(data_dir, fd, encode_header(Header(uuid4().hex, 0)))
        disk.fsync(fd)
    finally:
        disk.close(fd)
    disk.rename(data_dir.path_of(temporary), data_dir.path_of(LOG_NAME))
    data_dir.sync()


def _cut(data_dir: DataDir, fd: int, scan: Scan) -> Torn:
    """Keep the tail aside, then cut it; each step is on the medium before the next."""
    kept_as = _keep(data_dir, fd, scan)
    size_bytes = scan.tail_bytes
    data_dir.disk.truncate(fd, scan.offset)
    data_dir.disk.fsync(fd)
    data_dir.sync()
    return Torn(data_dir.show(LOG_NAME), scan.offset, size_bytes, kept_as)


def _keep(data_dir: DataDir, fd: int, scan: Scan) -> str:
    names = (f"{LOG_NAME}.torn-{scan.offset}-{n}" for n in count(1))
    name = next(name for name in names if not data_dir.exists(name))
    try:
        _copy_tail(data_dir, fd, scan, name)
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with suppress(FileNotFoundError):
            data_dir.disk.unlink(data_dir.path_of(name))
        return ""  # test_a_full_disk_does_not_stop_a_start_with_a_torn_tail
    data_dir.sync()
    return data_dir.show(name)


def _copy_tail(data_dir: DataDir, fd: int, scan: Scan, name: str) -> None:
    copy = data_dir.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        for position in range(scan.offset, scan.end, _COPY_BYTES):
            size_bytes = min(_COPY_BYTES, scan.end - position)
            _write_all(data_dir, copy, data_dir.disk.pread(fd, size_bytes, position))
        data_dir.disk.fsync(copy)
    finally:
        data_dir.disk.close(copy)


def _write_all(data_dir: DataDir, fd: int, content: bytes) -> None:
    """Unlike the log itself a copy may be written in pieces: nobody reads it before it is whole."""
    while content:
        written = data_dir.disk.write(fd, content)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        content = content[written:]
