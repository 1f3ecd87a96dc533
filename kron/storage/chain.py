"""The chain of files as the owner of a log holds it: read across, made longer, made shorter."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from kron.core.errors import LogCorrupt, LogFailed, LogTruncated, StorageError
from kron.storage.datadir import DataDir
from kron.storage.fork import close_in_child
from kron.storage.lines import Header
from kron.storage.log import Record
from kron.storage.scan import Scan
from kron.storage.segments import LOG_NAME, Segment, records_of, scan_of, sealed_name

STRIDE = 256
"""Of so many records one is noted, where somebody stopped: others need not read from the start."""


class Place(NamedTuple):
    """Where a scan may begin: in the file that begins after `base`, `after` ends at `offset`."""

    base: int
    after: int
    offset: int


class Chain:
    """Sealed files, oldest first, and the one that grows.

    Names change one at a time, each under a lock that a reader takes to open a file: so it opens
    the one it means. After `close` no name changes any more. Threads may read meanwhile.
    """

    def __init__(self, data_dir: DataDir, log_id: str, segments: list[Segment]) -> None:
        active = segments[-1]
        self._dir = data_dir
        self._log_id = log_id
        self._segments = segments
        self._cursor = Place(active.base, active.base, active.start)
        self._places: dict[tuple[int, int], Place] = {}
        self._is_closed = False
        self._names_in_use = threading.Lock()
        close_in_child(self)

    @property
    def base(self) -> int:
        """The index before the oldest record. While a file is let go it is a moment late."""
        return self._segments[0].base

    @property
    def segments(self) -> list[Segment]:
        """The files under the names they have now, oldest first; from any thread."""
        with self._names_in_use:
            return self._segments

    @property
    def active(self) -> Segment:
        """The file that grows."""
        return self._segments[-1]

    def read(self, after: int, count: int) -> list[Record]:
        """The records from after+1 on, at least one, at most `count`, of one file; for a thread.

        All of them must have been written. A read that begins where the last one ended does not
        rescan. Raises LogTruncated, LogCorrupt or another StorageError.
        """
        try:
            return self._read(after, count)
        except OSError as exc:
            where = exc.filename or self._dir.show(LOG_NAME)
            raise StorageError(f"{where}: {exc.strerror}. Fix the disk.") from exc

    def seal(self, last: int, size_bytes: int, start: int) -> None:
        """Rename `kron.aof`, which ends with `last` after `size_bytes`; the file that takes its
        place will have its first record at byte `start`."""
        name = sealed_name(last)
        with self._names_in_use:
            self._refuse_if_closed()
            self._dir.disk.rename(self._dir.path_of(LOG_NAME), self._dir.path_of(name))
            sealed = self.active._replace(name=name, last=last, size_bytes=size_bytes)
            grows = Segment(LOG_NAME, last, None, start, start)
            self._segments = [*self._segments[:-1], sealed, grows]

    def trim(self, up_to: int, keep_bytes: int, changed_before_s: float) -> list[str]:
        """Remove sealed files, oldest first, as `Log.trim` says; returns their names.

        None goes that has a record after `up_to`. Raises OSError; what went before is gone.
        """
        gone: list[str] = []
        try:
            while self._may_go(self._segments[0], up_to, keep_bytes, changed_before_s):
                gone.append(self._remove_oldest())
        finally:
            if gone:
                self._dir.sync()
        return gone

    def close(self) -> None:
        """No name changes any more; waits for the one system call in flight."""
        with self._names_in_use:
            self._is_closed = True

    def close_fds(self) -> None:
        """In a forked child: the parent's thread may hold our lock, and the names are its own."""
        self._names_in_use = threading.Lock()
        self._is_closed = True

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise LogFailed(f"{self._dir.show(LOG_NAME)} is not open")

    def _read(self, after: int, count: int) -> list[Record]:
        segment, fd = self._open(after)
        try:
            scan = self._scan_near(fd, segment, after)
            records = records_of(scan, segment.last)
            skipped = after - scan.index
            found = list(islice(records, skipped, skipped + count))
            if scan.index == segment.last:
                next(records, None)  # nothing may follow the last record of a sealed file
        finally:
            self._dir.disk.close(fd)
        if not found:
            raise LogCorrupt(
                f"{scan.file}: damaged at byte {scan.offset} since it was opened: record"
                f" {after + 1} is not there. Restore the file from a copy."
            )
        self._cursor = here = Place(segment.base, scan.index, scan.offset)
        self._places.setdefault((here.base, here.after // STRIDE), here)
        return found

    def _open(self, after: int) -> tuple[Segment, int]:
        with self._names_in_use:
            if after < self.base:
                raise LogTruncated(
                    f"{self._dir.shown}: the records up to {self.base} were let go; record"
                    f" {after + 1} is not here. Begin from a snapshot."
                )
            segment = next(s for s in self._segments if s.last is None or s.last > after)
            return segment, self._dir.open_file(segment.name, os.O_RDONLY)

    def _scan_near(self, fd: int, segment: Segment, after: int) -> Scan:
        """A scan of this file that stands at `after`, or as near before it as is known."""
        scan, place = scan_of(self._dir, fd, segment.name), self._place(segment.base, after)
        if place is not None:
            scan.start_at(self._log_id, place.after, place.offset)
        elif scan.header() != Header(self._log_id, segment.base):
            raise LogCorrupt(
                f"{scan.file} was replaced since it was opened: the header at byte 0 is another."
                " Restore the file from a copy."
            )
        return scan

    def _place(self, base: int, after: int) -> Place | None:
        """The nearest one known in that file, at or before the end of record `after`."""
        cursor = self._cursor
        if cursor.base == base and cursor.after == after:
            return cursor
        for slot in range(after // STRIDE, base // STRIDE - 1, -1):
            place = self._places.get((base, slot))
            if place is not None and place.after <= after:
                return place
        return cursor if cursor.base == base and cursor.after <= after else None

    def _may_go(
        self, oldest: Segment, up_to: int, keep_bytes: int, changed_before_s: float
    ) -> bool:
        if oldest.last is None or oldest.last > up_to:
            return False
        if sum(each.size_bytes for each in self._segments if each.is_sealed) > keep_bytes:
            return True
        return self._dir.disk.lstat(self._dir.path_of(oldest.name)).st_mtime < changed_before_s

    def _remove_oldest(self) -> str:
        name = self._segments[0].name
        with self._names_in_use, suppress(FileNotFoundError):
            self._refuse_if_closed()
            self._dir.disk.unlink(self._dir.path_of(f"{name}.index"))
        with self._names_in_use:
            self._refuse_if_closed()
            self._dir.disk.unlink(self._dir.path_of(name))
            gone, *self._segments = self._segments
        places = self._places.copy().items()  # at once: others read meanwhile
        self._places = {key: place for key, place in places if place.base != gone.base}
        return name
