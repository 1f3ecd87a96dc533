"""Makes a log ready to append: created, or verified and put right after whatever ended it.

A crash leaves one of three traces: a torn tail, which is kept aside and cut; a new file that
nobody used yet, which is removed; or a rotation whose second rename is missing, which is made.
"""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from kron.storage.datadir import DataDir
from kron.storage.lines import Header
from kron.storage.lock import locked_by
from kron.storage.log import Torn
from kron.storage.new_file import make_file, remove_leftover, write_all
from kron.storage.rotation import first_lines
from kron.storage.scan import Scan
from kron.storage.segments import (
    LOG_NAME,
    NEXT_NAME,
    Segment,
    chain_to,
    header_between,
    log_missing,
    records_of,
    scan_of,
    sealed_lasts,
    sealed_name,
)
from kron.storage.snapshot import SNAPSHOT_NAMES, check_snapshots
from kron.storage.writer import Standing

_COPY_BYTES = 1 << 20


class Recovered(NamedTuple):
    """An open and locked log file, how it stands, and the chain of files that it ends."""

    fd: int
    log_id: str
    standing: Standing
    segments: list[Segment]
    torn: Torn | None


def recover(data_dir: DataDir, *, is_lazy: bool) -> Recovered:
    """Open the log of a directory this process has locked, creating it if there is none.

    The file is locked too: who removes `kron.lock` does not let a second writer in. Raises as
    `Log.open` does, OSErrors included; on any error the files have their old content.
    Afterwards all that it found is on the medium. A new file begins as `is_lazy` demands.
    """
    fd, is_new = _open_active(data_dir, is_lazy)
    try:
        found = _verify(data_dir, fd)
        if not is_new:  # what a killed process wrote and renamed may not be on the medium yet
            data_dir.disk.fdatasync(fd)
            data_dir.sync()
        return found
    except BaseException:
        data_dir.disk.close(fd)
        raise


def _open_active(data_dir: DataDir, is_lazy: bool) -> tuple[int, bool]:
    """The file that grows, locked, and whether it was made just now."""
    if data_dir.exists(LOG_NAME):
        fd = _open_locked(data_dir, LOG_NAME)
        if data_dir.exists(NEXT_NAME):
            remove_leftover(data_dir, NEXT_NAME)
        return fd, False
    if lasts := sealed_lasts(data_dir):
        return _finish_rotation(data_dir, lasts[-1]), False
    if kept := next(filter(data_dir.exists, SNAPSHOT_NAMES), None):
        raise log_missing(data_dir, kept)
    _create(data_dir, is_lazy)
    return _open_locked(data_dir, LOG_NAME), True


def _open_locked(data_dir: DataDir, name: str) -> int:
    """Open and lock a file; it is still the one of this name when we have the lock."""
    disk = data_dir.disk
    fd = data_dir.open_file(name, os.O_RDWR | os.O_APPEND)
    try:
        is_ours = disk.try_lock(fd)
        if not is_ours or disk.fstat(fd).st_ino != disk.lstat(data_dir.path_of(name)).st_ino:
            raise locked_by(data_dir, None)
    except BaseException:
        disk.close(fd)
        raise
    return fd


def _finish_rotation(data_dir: DataDir, newest: int) -> int:
    """`kron.aof` was sealed, and the file that follows it has not got its name yet."""
    if not data_dir.exists(NEXT_NAME):
        raise log_missing(data_dir, sealed_name(newest))
    fd = _open_locked(data_dir, NEXT_NAME)
    try:
        header_between(data_dir, newest)
        data_dir.disk.rename(data_dir.path_of(NEXT_NAME), data_dir.path_of(LOG_NAME))
        data_dir.sync()
    except BaseException:
        data_dir.disk.close(fd)
        raise
    return fd


def _create(data_dir: DataDir, is_lazy: bool) -> None:
    """A log is there with its header, or not at all; synced whatever the policy."""
    disk = data_dir.disk
    fd = make_file(data_dir, NEXT_NAME)
    try:
        write_all(disk, fd, first_lines(Header(uuid4().hex, 0), is_lazy=is_lazy).content)
        disk.fsync(fd)
    finally:
        disk.close(fd)
    disk.rename(data_dir.path_of(NEXT_NAME), data_dir.path_of(LOG_NAME))
    data_dir.sync()


def _verify(data_dir: DataDir, fd: int) -> Recovered:
    scan = scan_of(data_dir, fd)
    header = scan.header()
    active = Segment(LOG_NAME, header.base, None, scan.end, scan.offset)
    segments = [*chain_to(data_dir, header), active]
    for _ in records_of(scan, None):
        pass
    check_snapshots(data_dir, header.log_id, scan.index)
    torn = _cut(data_dir, fd, scan) if scan.tail_bytes else None
    standing = Standing(header.base, scan.index, scan.offset, scan.stretch)
    return Recovered(fd, header.log_id, standing, segments, torn)


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
        remove_leftover(data_dir, name)
        return ""  # test_a_full_disk_does_not_stop_a_start_with_a_torn_tail
    data_dir.sync()
    return data_dir.show(name)


def _copy_tail(data_dir: DataDir, fd: int, scan: Scan, name: str) -> None:
    copy = make_file(data_dir, name)
    try:
        for position in range(scan.offset, scan.end, _COPY_BYTES):
            size_bytes = min(_COPY_BYTES, scan.end - position)
            write_all(data_dir.disk, copy, data_dir.disk.pread(fd, size_bytes, position))
        data_dir.disk.fsync(copy)
    finally:
        data_dir.disk.close(copy)
