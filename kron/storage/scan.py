"""One pass over the records of an open log file, which believes nothing it has not checked."""

from __future__ import annotations

from collections.abc import Iterator

from kron.core.errors import LogCorrupt
from kron.storage.disk import Disk
from kron.storage.lines import (
    MAX_RECORD_BYTES,
    Header,
    find_record,
    parse_header,
    parse_record,
    seed_of,
    why_not_record,
)
from kron.storage.log import Record

_CHUNK_BYTES = 1 << 20


class Scan:
    """Reads bytes 0..`end` of a file; `index` is the last record seen, `offset` the byte after it.

    `file` is the name for messages. What is written behind `end` meanwhile is not looked at.
    """

    def __init__(self, disk: Disk, fd: int, file: str, end: int) -> None:
        self.index = 0
        self.offset = 0
        self.end = end
        self._disk = disk
        self._fd = fd
        self._file = file
        self._seed = 0

    @property
    def tail_bytes(self) -> int:
        """How many bytes follow the last record seen; after `records` ended, the torn tail."""
        return self.end - self.offset

    def header(self) -> Header:
        """Read the first line. Raises ForeignLog, LogTooNew, or LogCorrupt."""
        front = self._disk.pread(self._fd, min(MAX_RECORD_BYTES, self.end), 0)
        line, newline, _ = front.partition(b"\n")
        header = parse_header(line, self._file)
        if not newline:
            raise LogCorrupt(f"{self._file}: the header at byte 0 has no end. Restore the file.")
        if header.base:
            raise LogCorrupt(f"{self._file}: the records up to {header.base} are not here")
        self.start_at(header.log_id, header.base, len(line) + 1)
        return header

    def start_at(self, log_id: str, index: int, offset: int) -> None:
        """Go on after record `index`, which ends at `offset`."""
        self._seed, self.index, self.offset = seed_of(log_id), index, offset

    def records(self) -> Iterator[Record]:
        """The records from here to the last valid one.

        Raises LogCorrupt, with file, byte and reason, at a gap in the indices, and when the
        first thing that is no record has a valid record anywhere behind it.
        """
        for line in self._lines():
            record = parse_record(self._seed, line)
            if record is None:
                break
            if record.index != self.index + 1:
                raise LogCorrupt(
                    f"{self._file}: damaged at byte {self.offset}: record {record.index}"
                    f" follows record {self.index}. Nothing was changed."
                )
            self.index = record.index
            self.offset += len(line) + 1
            yield record
        self._refuse_hole()

    def why_tail(self) -> str:
        """What is wrong with the bytes at `offset`, in words."""
        front = self._disk.pread(self._fd, min(MAX_RECORD_BYTES, self.tail_bytes), self.offset)
        line, newline, _ = front.partition(b"\n")
        return why_not_record(line) if newline else "it has no end"

    def _lines(self) -> Iterator[bytes]:
        """Whole lines from `offset` on; ends before a line too long to be a record."""
        position, rest = self.offset, b""
        while len(rest) <= MAX_RECORD_BYTES and position < self.end:
            size_bytes = min(_CHUNK_BYTES, self.end - position)
            chunk = self._disk.pread(self._fd, size_bytes, position)
            if not chunk:
                return
            position += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines

    def _refuse_hole(self) -> None:
        """Raise unless everything behind `offset` is a tail that was never a whole record.

        Windows overlap by one record, so none can hide across a border. The search begins one
        byte in: a last line that lacks only its newline is torn, not proof of a later record.
        """
        for position in range(self.offset, self.end, _CHUNK_BYTES):
            size_bytes = min(_CHUNK_BYTES + MAX_RECORD_BYTES, self.end - position)
            window = self._disk.pread(self._fd, size_bytes, position)
            found = find_record(self._seed, window, 1 if position == self.offset else 0)
            if found:
                raise LogCorrupt(
                    f"{self._file}: damaged at byte {self.offset}, where record {self.index + 1}"
                    f" should be: {self.why_tail()}, but record {found[1].index} follows at byte"
                    f" {position + found[0]}. Nothing was changed; restore the file from a copy."
                )
