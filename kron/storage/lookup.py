"""One record by its index, found in the files of a log by halving."""

from __future__ import annotations

import os
from collections.abc import Callable

from kron.core.errors import LogCorrupt, LogTruncated, StorageError
from kron.storage.backwards import Lines
from kron.storage.datadir import DataDir
from kron.storage.lines import REMEDY, Header, parse_record, seed_of, why_not_record
from kron.storage.log import Record
from kron.storage.markers import marker_of
from kron.storage.segments import LOG_NAME, Segment, scan_of

LOOKS = 10
"""How often the files are looked at anew, because their writer has changed names meanwhile."""


def find_record(
    data_dir: DataDir, log_id: str, index: int, segments: Callable[[], list[Segment]]
) -> Record:
    """Record `index`, which has been written; `segments` names the files, oldest first. Blocks.

    Raises LogTruncated if it was let go, LogCorrupt if it is not whole, other StorageErrors.
    """
    for look in range(LOOKS):
        try:
            return _record_in(data_dir, log_id, index, segments())
        except OSError as exc:
            if not isinstance(exc, FileNotFoundError) or look == LOOKS - 1:
                where = exc.filename or data_dir.show(LOG_NAME)
                raise StorageError(f"{where}: {exc.strerror}. Fix the disk.") from exc
    raise AssertionError("the last look returns or raises")


def _record_in(data_dir: DataDir, log_id: str, index: int, segments: list[Segment]) -> Record:
    """Raises FileNotFoundError if a file has another name now."""
    if not segments or index <= segments[0].base:
        raise LogTruncated(f"{data_dir.shown}: record {index} was let go.")
    segment = next(each for each in reversed(segments) if each.base < index)
    fd = data_dir.open_file(segment.name, os.O_RDONLY)
    try:
        scan = scan_of(data_dir, fd, segment.name)
        if scan.header() != Header(log_id, segment.base):
            raise FileNotFoundError
        return _find(Lines(data_dir.disk, fd, scan.offset, scan.end), log_id, index, scan.file)
    finally:
        data_dir.disk.close(fd)


def _find(lines: Lines, log_id: str, index: int, file: str) -> Record:
    seed = seed_of(log_id)

    def is_before(line: bytes) -> bool:
        record = parse_record(seed, line)
        return record is not None and record.index < index

    offset = lines.boundary(is_before)
    while (line := lines.at(offset)) and (record := parse_record(seed, line)) is not None:
        if record.index == index and marker_of(record) is None:
            return record
        if record.index > index:
            break
        offset += len(line) + 1
    why = why_not_record(lines.at(offset))
    raise LogCorrupt(f"{file}: damaged at byte {offset}: {why}. {REMEDY}")
