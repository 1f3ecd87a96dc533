"""Reading a log without a lock, for tools: creates nothing, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kron.core.errors import StorageError
from kron.storage.datadir import DataDir
from kron.storage.disk import OS_DISK, Disk
from kron.storage.log import Record
from kron.storage.recovery import LOG_NAME, scan_of


class LogReader:
    """Iterate it for the records of a data directory, oldest first, checked like a recovery.

    A writer may append meanwhile: what was there when the iteration began is read, and a record
    in the middle of being written is a torn tail, which is left alone. After an iteration
    `torn_bytes` says how long that tail is, and `problem` what is wrong with it (or with the
    file, if the iteration raised), in words; None = nothing.

    Raises StorageError if there is no log, and as `Log.open` does for a log that cannot be used.
    """

    def __init__(self, data_dir: str | os.PathLike[str], *, disk: Disk = OS_DISK) -> None:
        self.torn_bytes = 0
        self.problem: str | None = None
        self._dir = DataDir(data_dir, disk=disk, read_only=True)
        fd = self._open()
        try:
            self.log_id = scan_of(self._dir, fd).header().log_id
        finally:
            disk.close(fd)

    def __iter__(self) -> Iterator[Record]:
        fd = self._open()
        try:
            scan = scan_of(self._dir, fd)
            scan.header()
            yield from scan.records()
            self.torn_bytes = scan.tail_bytes
            self.problem = scan.why_tail() if scan.tail_bytes else None
        except StorageError as exc:
            self.problem = str(exc)
            raise
        finally:
            self._dir.disk.close(fd)

    def _open(self) -> int:
        try:
            self._dir.prepare()
            return self._dir.open_file(LOG_NAME, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise StorageError(f"no Kron data in {self._dir.shown}") from exc
        except OSError as exc:
            raise StorageError(f"{self._dir.show(LOG_NAME)}: {exc.strerror}") from exc
