"""One pass over the records of an open log file, which believes nothing it has not checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kron.core.errors import LogCorrupt
from kron.storage.disk import Disk
from kron.storage.lines import (
    CHUNK_BYTES,
    MAX_RECORD_BYTES,
    REMEDY,
    Header,
    find_records,
    parse_header,
    parse_record,
    seed_of,
    whole_lines,
    why_not_record,
)
from kron.storage.log import Record
from kron.storage.markers import Stretch, marker_of


class Mark(NamedTuple):
    """Where a scan stands in its file: `after` is the last record seen, `offset` the byte behind
    it; and what the markers up to there said."""

    after: int
    offset: int
    stretch: Stretch
    marked_at: int


class Scan:
    """Reads bytes 0..`end` of a file; `index` is the last record seen, `offset` the byte after it.

    `file` is the name for messages. What is written behind `end` meanwhile is not looked at.
    """

    def __init__(self, disk: Disk, fd: int, file: str, end: int) -> None:
        self.index = 0
        self.offset = 0
        self.end = end
        self.file = file
        self._stretch = Stretch()
        self._marked_at = -1
        self._disk = disk
        self._fd = fd
        self._seed = 0

    @property
    def stretch(self) -> Stretch:
        """How the file stands behind the last record seen."""
        is_marked = self._marked_at == self.index
        return self._stretch if is_marked else self._stretch.after_sync()

    @property
    def tail_bytes(self) -> int:
        """How many bytes follow the last record seen; after `records` ended, the torn tail."""
        return self.end - self.offset

    def header(self) -> Header:
        """Read the first line. Raises ForeignLog, LogTooNew, or LogCorrupt."""
        front = self._disk.pread(self._fd, min(MAX_RECORD_BYTES, self.end), 0)
        line, newline, _ = front.partition(b"\n")
        header = parse_header(line, self.file)
        if not newline:
            raise LogCorrupt(f"{self.file}: the header at byte 0 has no end. {REMEDY}")
        self.start_at(header.log_id, header.base, len(line) + 1)
        return header

    def start_at(self, log_id: str, index: int, offset: int) -> None:
        """Go on after record `index`, which ends at `offset`."""
        self._seed, self.index, self.offset = seed_of(log_id), index, offset

    def mark(self) -> Mark:
        """Where it stands, for a later scan of this file to `go_on` from."""
        return Mark(self.index, self.offset, self._stretch, self._marked_at)

    def go_on(self, mark: Mark) -> None:
        """Go on where another scan stood; `header` was read, and was the same for that one."""
        self.index, self.offset, self._stretch, self._marked_at = mark

    def records(self) -> Iterator[Record]:
        """The records from here to the last valid one.

        Raises LogCorrupt, with file, byte and reason, at a gap in the indices, and when the
        first thing that is no record has proof behind it that it had been one: any valid line,
        or in a lazy stretch one that says so.
        """
        for line in whole_lines(self._disk, self._fd, self.offset, self.end):
            record = parse_record(self._seed, line)
            if record is None:
                break
            marker = marker_of(record) if record.index == self.index else None
            if marker is None and record.index != self.index + 1:
                raise LogCorrupt(
                    f"{self.file}: damaged at byte {self.offset}: record {record.index}"
                    f" follows record {self.index}. {REMEDY}"
                )
            self.offset += len(line) + 1
            if marker is not None:
                self._stretch, self._marked_at = self._stretch.after(marker), self.index
                continue
            self.index = record.index
            yield record
        self._refuse_hole()

    def why_tail(self) -> str:
        """What is wrong with the bytes at `offset`, in words."""
        front = self._disk.pread(self._fd, min(MAX_RECORD_BYTES, self.tail_bytes), self.offset)
        line, newline, _ = front.partition(b"\n")
        return why_not_record(line) if newline else "it has no end"

    def _refuse_hole(self) -> None:
        """Raise unless everything behind `offset` is a tail that nobody was promised."""
        for position, line in self.valid_behind():
            if self._is_proof(line):
                raise LogCorrupt(
                    f"{self.file}: damaged at byte {self.offset}, where record {self.index + 1}"
                    f" should be: {self.why_tail()}, but {_shown(line)} follows at byte"
                    f" {position}. {REMEDY}"
                )

    def _is_proof(self, line: Record) -> bool:
        if not self._stretch.is_lazy:
            return True
        marker = marker_of(line)
        return marker is not None and marker.proves(self.index + 1)

    def valid_behind(self) -> Iterator[tuple[int, Record]]:
        """The valid lines behind `offset`, wherever they begin, and the byte of each.

        Windows overlap by one record, so none can hide across a border. The search begins one
        byte in: a last line that lacks only its newline is torn, not proof of a later record.
        """
        for position in range(self.offset, self.end, CHUNK_BYTES):
            size_bytes = min(CHUNK_BYTES + MAX_RECORD_BYTES, self.end - position)
            window = self._disk.pread(self._fd, size_bytes, position)
            start = 1 if position == self.offset else 0
            for found_at, line in find_records(self._seed, window, start):
                yield position + found_at, line


def _shown(line: Record) -> str:
    return f"record {line.index}" if marker_of(line) is None else f"a marker of {line.index}"
