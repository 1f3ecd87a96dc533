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
from kron.core.events import POSITIONS, TAGS
from kron.core.rows import ALL_ROWS, Row, Sieve, row_of
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
    """A question: the latest `limit` rows with an id under `before`, of one timer or (None) all,
    that the sieve lets through."""

    before: int
    timer: str | None
    limit: int
    sieve: Sieve = ALL_ROWS

    def has(self, row: Row) -> bool:
        """Whether a row of the timer is one of them."""
        is_before = row.id < self.before
        return is_before and self.sieve.lets_through(row.status, row.timer, row.at_us)

    @property
    def word(self) -> bytes | None:
        """What stands in every record with such a row; None if nothing does."""
        if self.timer is not None:
            return f',"{self.timer}",'.encode(errors="replace")
        kind = self.sieve.event
        return None if kind is None else f'["{TAGS[kind]}",'.encode()


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
        self._wanted = wanted
        self._word = wanted.word
        self._before = wanted.before
        self._is_over = False

    def through(self, segments: list[Segment]) -> None:
        """From where it was, back to the oldest file or until there are enough rows. Raises
        FileNotFoundError if a file is not there (any more)."""
        for segment in reversed(segments):
            first = (segment.base + 1) * POSITIONS
            missing = self._wanted.limit - len(self.rows)
            if first < self._before and missing > 0 and not self._is_over:
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
            timer = self._wanted.timer
            if timer is not None and segment.is_sealed:
                yield from self._rows_by_index(timer, segment, lines, stop)
            else:
                yield from self._rows_on(self._lines_back(lines, stop), scan.file)
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
                rows = [] if record is None else self._rows_of(record)
                if not rows or offset >= begin:
                    raise IndexUnusable
                begin = offset
                yield from filter(self._is_wanted, rows)
                if self._is_over:
                    return
            return
        except IndexUnusable:
            self.unindexed.append(segment)
        file = self._dir.show(segment.name)
        yield from self._rows_on(self._lines_back(lines, begin), file)

    def _lines_back(self, lines: Lines, stop: int) -> Iterator[tuple[int, bytes]]:
        return lines.back(stop) if self._word is None else lines.back_with(self._word, stop)

    def _rows_on(self, lines: Iterator[tuple[int, bytes]], file: str) -> Iterator[Row]:
        for offset, line in lines:
            record = parse_record(self._seed, line)
            if record is None:
                raise LogCorrupt(
                    f"{file}: damaged at byte {offset}: {why_not_record(line)}. {REMEDY}"
                )
            if marker_of(record) is None:
                yield from filter(self._is_wanted, self._rows_of(record))
                if self._is_over:
                    return

    def _rows_of(self, record: Record) -> list[Row]:
        """All rows of the timer in a record; and the search is over if it is too old."""
        log_time_us, rows = rows_back(record, self._wanted.timer)
        self._is_over = self._wanted.sieve.is_before(log_time_us)
        return rows

    def _is_wanted(self, row: Row) -> bool:
        return self._wanted.has(row)


def rows_back(record: Record, timer: str | None) -> tuple[int, list[Row]]:
    """The log time of one record, and its rows, of one timer or of all, newest first."""
    header, events = decode(record.payload, record.index)
    made = map(row_of, range(record.index * POSITIONS, (record.index + 1) * POSITIONS), events)
    rows = [row for row in made if row is not None and timer in (None, row.timer)]
    return header["t"], rows[::-1]
