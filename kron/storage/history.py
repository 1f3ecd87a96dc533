"""History out of the files of a log: back from a row, newest first, and no further than wanted.

In a sealed file the index says where a timer's rows are. In the file that grows, and where there
is no index (yet), the bytes are searched for the timer's name, and only records with it are read.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple

from kron.core.codec import decode
from kron.core.errors import LogCorrupt, StorageError
from kron.core.events import POSITIONS
from kron.core.rows import Row, row_of
from kron.storage.backwards import Lines
from kron.storage.datadir import DataDir
from kron.storage.lines import REMEDY, Header, parse_record, seed_of, why_not_record
from kron.storage.log import Record
from kron.storage.markers import marker_of
from kron.storage.row_index import IndexUnusable, offsets_back
from kron.storage.segments import LOG_NAME, Segment, scan_of

LOOKS = 10
"""How often the files are looked at anew, because their writer has changed names meanwhile."""


class Wanted(NamedTuple):
    """A question: the latest `limit` rows with an id under `before`, of one timer or (None) all."""

    before: int
    timer: str | None
    limit: int


class Found(NamedTuple):
    """Its answer, newest first, and the sealed files whose index was of no use."""

    rows: list[Row]
    unindexed: list[Segment]


def find_rows(
    data_dir: DataDir, log_id: str, wanted: Wanted, segments: Callable[[], list[Segment]]
) -> Found:
    """Read the files that `segments` names, oldest first; it is asked again when one of them has
    got another name or is gone. What was let go is just not there. Blocks: for a thread.

    Raises LogCorrupt for a record that should be one and is not; other StorageErrors.
    """
    search = Search(data_dir, log_id, wanted)
    for look in range(LOOKS):
        try:
            search.through(segments())
            break
        except OSError as exc:
            if not isinstance(exc, FileNotFoundError) or look == LOOKS - 1:
                where = exc.filename or data_dir.show(LOG_NAME)
                raise StorageError(f"{where}: {exc.strerror}. Fix the disk.") from exc
    return Found(search.rows, search.unindexed)


class Search:
    """One question on its way back through the files."""

    def __init__(self, data_dir: DataDir, log_id: str, wanted: Wanted) -> None:
        self.rows: list[Row] = []
        self.unindexed: list[Segment] = []
        self._dir = data_dir
        self._log_id = log_id
        self._seed = seed_of(log_id)
        self._before, self._timer, self._limit = wanted
        self._word = f',"{self._timer}",'.encode(errors="replace")  # as it stands in an event

    def through(self, segments: list[Segment]) -> None:
        """From where it was, back to the oldest file or until there are enough rows. Raises
        FileNotFoundError if a file is not there (any more)."""
        for segment in reversed(segments):
            first = (segment.base + 1) * POSITIONS
            missing = self._limit - len(self.rows)
            if first < self._before and missing > 0:
                with closing(self._rows_in(segment)) as rows:
                    self.rows += list(islice(rows, missing))
                self._before = first

    def _rows_in(self, segment: Segment) -> Generator[Row]:
        fd = self._dir.open_file(segment.name, os.O_RDONLY)
        try:
            scan = scan_of(self._dir, fd, segment.name)
            if scan.header() != Header(self._log_id, segment.base):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), scan.file)
            lines = Lines(self._dir.disk, fd, scan.offset, scan.end)
            stop = self._stop(lines, segment)
            if self._timer is None:
                yield from self._rows_on(lines.back(stop), scan.file)
            elif segment.is_sealed:
                yield from self._rows_by_index(self._timer, segment, lines, stop)
            else:
                yield from self._rows_on(lines.back_with(self._word, stop), scan.file)
        finally:
            self._dir.disk.close(fd)

    def _stop(self, lines: Lines, segment: Segment) -> int:
        """The byte behind the last record that can have a row with an id under `before`."""
        last = (self._before - 1) // POSITIONS
        if segment.last is not None and segment.last <= last:
            return lines.end

        def is_before(line: bytes) -> bool:
            record = parse_record(self._seed, line)
            return record is not None and record.index <= last

        return lines.boundary(is_before)

    def _rows_by_index(
        self, timer: str, segment: Segment, lines: Lines, stop: int
    ) -> Iterator[Row]:
        """Through the index; where that turns out to be of no use, by searching the rest."""
        begin = stop
        try:
            for offset in offsets_back(self._dir, self._log_id, segment, timer, stop):
                record = parse_record(self._seed, lines.at(offset))
                rows = [] if record is None else rows_back(record, timer)
                if not rows or offset >= begin:
                    raise IndexUnusable
                begin = offset
                yield from (row for row in rows if row.id < self._before)
            return
        except IndexUnusable:
            self.unindexed.append(segment)
        file = self._dir.show(segment.name)
        yield from self._rows_on(lines.back_with(self._word, begin), file)

    def _rows_on(self, lines: Iterator[tuple[int, bytes]], file: str) -> Iterator[Row]:
        for offset, line in lines:
            record = parse_record(self._seed, line)
            if record is None:
                raise LogCorrupt(
                    f"{file}: damaged at byte {offset}: {why_not_record(line)}. {REMEDY}"
                )
            if marker_of(record) is None:
                rows = rows_back(record, self._timer)
                yield from (row for row in rows if row.id < self._before)


def rows_back(record: Record, timer: str | None) -> list[Row]:
    """The rows of one record, of one timer or of all, newest first."""
    events = decode(record.payload, record.index).events
    made = map(row_of, range(record.index * POSITIONS, (record.index + 1) * POSITIONS), events)
    return [row for row in reversed(list(made)) if row is not None and timer in (None, row.timer)]
