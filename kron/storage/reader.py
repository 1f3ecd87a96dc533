"""Reading a log without a lock, for tools: creates nothing, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from kron.core.errors import LogCorrupt, LogTruncated, StorageError
from kron.core.rows import ALL_ROWS, Row, Sieve
from kron.storage.datadir import DataDir
from kron.storage.disk import OS_DISK, Disk
from kron.storage.history import LOOKS, Wanted, find_rows
from kron.storage.lines import Header
from kron.storage.log import Record, SnapshotFile
from kron.storage.lookup import find_record
from kron.storage.scan import Mark, Scan
from kron.storage.segments import (
    LOG_NAME,
    Segment,
    chain_to,
    header_between,
    log_missing,
    look_at,
    records_of,
    scan_of,
    sealed_lasts,
)
from kron.storage.snapshot import SNAPSHOT_NAMES, kept_snapshots, newest_first, read_parts


class LogReader:
    """Iterate it for the records of a data directory, oldest first, checked like a recovery.

    A writer may append, rotate or trim meanwhile: what was there when the iteration began is
    read, and a record in the middle of being written is a torn tail, which is left alone. After
    an iteration `torn_bytes` says how long that tail is, and `problem` what is wrong with it (or
    with the files, if the iteration raised), in words; None = nothing.

    `files` are the log's files, oldest first, and `base` is the index before the oldest record,
    both as they were when the directory was last looked at: when this was made, when an iteration
    began, or when a file was gone that had been there.

    An iteration of `records_after` an index that the one before came to does not rescan its file.

    Raises StorageError if there is no log, and as `Log.open` does for a log that cannot be used.
    """

    def __init__(self, data_dir: str | os.PathLike[str], *, disk: Disk = OS_DISK) -> None:
        self.torn_bytes = 0
        self.problem: str | None = None
        self.log_id = ""
        self.files: list[Segment] = []
        self._cursor: tuple[Header, Mark] | None = None
        self._dir = DataDir(data_dir, disk=disk, read_only=True)
        self._look()

    @property
    def base(self) -> int:
        """The index before the oldest record."""
        return self.files[0].base

    def __iter__(self) -> Iterator[Record]:
        return self._records(None)

    def records_after(self, index: int) -> Iterator[Record]:
        """The records after `index`; LogTruncated if some of them were let go."""
        return self._records(index)

    def snapshots(self) -> list[SnapshotFile]:
        """See `Log.snapshots`; here they are looked at anew."""
        try:
            return newest_first(kept_snapshots(self._dir, self.log_id))
        except OSError as exc:
            raise self._unreadable(exc) from exc

    def read_snapshot(self, index: int) -> Iterator[bytes]:
        """See `Log.read_snapshot`."""
        return read_parts(self._dir, self.log_id, index)

    def rows_before(
        self, id_: int, timer: str | None, limit: int, sieve: Sieve = ALL_ROWS
    ) -> list[Row]:
        """See `Log.rows_before`; a torn tail has no rows."""
        wanted = Wanted(id_, timer, limit, sieve)
        return find_rows(self._dir, self.log_id, wanted, self._segments).rows

    def record_at(self, index: int) -> Record:
        """See `Log.record_at`."""
        return find_record(self._dir, self.log_id, index, self._segments)

    def _segments(self) -> list[Segment]:
        self._look()
        return self.files

    def _records(self, index: int | None) -> Iterator[Record]:
        """None = from the oldest on that is there when the first file is opened."""
        self.torn_bytes, self.problem = 0, None
        try:
            self._look()
            yield from self._passes(index)
        except StorageError as exc:
            self.problem, self._cursor = str(exc), None
            raise

    def _passes(self, index: int | None) -> Iterator[Record]:
        """A pass ends early when a file is gone: after another look the next pass goes on."""
        looks = 0
        while looks < LOOKS:
            try:
                for record in self._pass(self.base if index is None else index):
                    index, looks = record.index, 0
                    yield record
                return
            except FileNotFoundError:
                looks += 1
            except OSError as exc:
                raise self._unreadable(exc) from exc
            self._look()
        raise StorageError(f"{self._dir.shown} changes faster than it can be read. Try again.")

    def _pass(self, index: int) -> Iterator[Record]:
        if index < self.base:
            raise LogTruncated(
                f"{self._dir.shown}: the records up to {self.base} were let go; record"
                f" {index + 1} is not here. Begin from a snapshot."
            )
        for segment in self.files:
            if segment.last is None or segment.last > index:
                yield from self.records_in(segment, index)

    def records_in(self, segment: Segment, index: int = 0) -> Iterator[Record]:
        """The records after `index` of one of `files`. Raises LogCorrupt, OSErrors, and
        FileNotFoundError if the writer has let it go or given it another name."""
        fd = self._dir.open_file(segment.name, os.O_RDONLY)
        try:
            scan = scan_of(self._dir, fd, segment.name)
            header = scan.header()
            if header != Header(self.log_id, segment.base):
                raise FileNotFoundError  # another file has its name now
            self._skip(scan, header, index)
            yield from (each for each in records_of(scan, segment.last) if each.index > index)
            if scan.tail_bytes:
                self.torn_bytes, self.problem = scan.tail_bytes, scan.why_tail()
            self._cursor = header, scan.mark()
        finally:
            self._dir.disk.close(fd)

    def _skip(self, scan: Scan, header: Header, index: int) -> None:
        """Pass over what the last whole reading of this file has seen, if `index` is behind it."""
        if self._cursor is not None and self._cursor[0] == header:
            mark = self._cursor[1]
            if mark.after <= index and mark.offset <= scan.end:
                scan.go_on(mark)

    def _look(self) -> None:
        """See which files there are; more than once if they contradict each other."""
        try:
            for _ in range(LOOKS - 1):
                with suppress(FileNotFoundError, LogCorrupt):
                    return self._see()
            self._see()
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise StorageError(f"no Kron data in {self._dir.shown}") from exc
        except OSError as exc:
            raise self._unreadable(exc) from exc

    def _see(self) -> None:
        self._dir.prepare()
        if self._dir.exists(LOG_NAME):
            header, active = look_at(self._dir, LOG_NAME, None)
            files = [*chain_to(self._dir, header), active]
        else:  # between the two renames of a rotation: what grows is empty
            header = header_between(self._dir, self._newest_sealed())
            files = chain_to(self._dir, header)
            if not files:
                raise FileNotFoundError  # it was let go just now
        if self.log_id and self.log_id != header.log_id:
            raise LogCorrupt(
                f"{self._dir.show(LOG_NAME)} was replaced while it was read: the header at byte 0"
                " is of another log. Read it again."
            )
        self.log_id, self.files = header.log_id, files

    def _newest_sealed(self) -> int:
        if lasts := sealed_lasts(self._dir):
            return lasts[-1]
        if kept := next(filter(self._dir.exists, SNAPSHOT_NAMES), None):
            raise log_missing(self._dir, kept)
        raise FileNotFoundError

    def _unreadable(self, exc: OSError) -> StorageError:
        return StorageError(f"{exc.filename or self._dir.show(LOG_NAME)}: {exc.strerror}")
