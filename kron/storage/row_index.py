"""An index beside a sealed file: where the records are that hold a timer's rows of history.

`kron.aof.N.index` has lines like a log's: a header that names the sealed file, then for each timer,
in the order of their names, the bytes at which those records begin, then the number of lines. It is
derived and believed no more than the log: what is missing, foreign or damaged is made anew, and
what it points at is checked like any record.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, get_args
from zlib import crc32

import orjson

from kron.core.codec import decode
from kron.core.errors import StorageError
from kron.core.events import TAGS
from kron.core.rows import RowEvent, row_of
from kron.storage.backwards import Lines
from kron.storage.datadir import DataDir
from kron.storage.lines import Header, encode_record, parse_record
from kron.storage.log import Record
from kron.storage.segments import Segment, records_of, scan_of

FORMAT = 1
OFFSETS_A_LINE = 500

_MAGIC = "kron-index"
_NAME = re.compile(r"(kron\.aof\.[1-9][0-9]{0,18})\.index")
_HAS_ROW = re.compile(rb'\["(?:%b)"' % "|".join(TAGS[kind] for kind in get_args(RowEvent)).encode())

Offsets = dict[str, "array[int]"]
"""By timer, where the records begin that hold a row of it, in order."""


class IndexUnusable(Exception):
    """There is no index, or it is not a whole one of this file: do without, and make it anew."""


class Framing(NamedTuple):
    """The lines of the index of one sealed file."""

    header: bytes
    seed: int
    end_seed: int

    def entry(self, line: bytes) -> tuple[str, list[int]]:
        """The timer and the offsets on a line. Raises IndexUnusable."""
        record = parse_record(self.seed, line)
        if record is None:
            raise IndexUnusable
        name, *offsets = orjson.loads(record.payload)
        return name, offsets

    def end(self, count: int) -> bytes:
        """The last line, behind the header and `count` others."""
        return encode_record(self.end_seed, count + 1, b'{"lines":%d}' % count)


def framing_of(log_id: str, segment: Segment) -> Framing:
    """How the index of this sealed file is written: no line of another one fits."""
    fields = {"magic": _MAGIC, "format": FORMAT, "log_id": log_id, "base": segment.base}
    payload = orjson.dumps({**fields, "last": segment.last, "size_bytes": segment.size_bytes})
    seed = crc32(payload)
    return Framing(encode_record(crc32(_MAGIC.encode()), 0, payload), seed, crc32(b" end", seed))


def index_name(segment: Segment) -> str:
    """The name of the index of a sealed file."""
    return f"{segment.name}.index"


def segment_name(index: str) -> str | None:
    """The name of the file that a file of this name is the index of; None if it is no index."""
    found = _NAME.fullmatch(index)
    return None if found is None else found[1]


def has_index(data_dir: DataDir, log_id: str, segment: Segment) -> bool:
    """Whether there is one that looks whole: lines in the middle are looked at when needed."""
    try:
        return next(offsets_back(data_dir, log_id, segment, "", 0), None) is None
    except IndexUnusable:
        return False


def offsets_back(
    data_dir: DataDir, log_id: str, segment: Segment, timer: str, stop: int
) -> Iterator[int]:
    """Where the records before byte `stop` begin that hold a row of this timer, newest first.

    A few lines are read, not the whole index. Raises IndexUnusable, perhaps after some of them.
    """
    framing = framing_of(log_id, segment)
    try:
        fd = data_dir.open_file(index_name(segment), os.O_RDONLY)
    except (OSError, StorageError) as exc:
        raise IndexUnusable from exc
    try:
        lines = _lines_between(data_dir, fd, framing)
        end = lines.boundary(lambda line: framing.entry(line)[0] <= timer)
        for _, line in lines.back(end):
            name, offsets = framing.entry(line)
            if name != timer:
                break
            yield from (offset for offset in reversed(offsets) if offset < stop)
    except OSError as exc:
        raise IndexUnusable from exc
    finally:
        data_dir.disk.close(fd)


def _lines_between(data_dir: DataDir, fd: int, framing: Framing) -> Lines:
    """The lines between header and end. Raises IndexUnusable if those are not as they should be."""
    disk = data_dir.disk
    lines = Lines(disk, fd, len(framing.header), disk.fstat(fd).st_size)
    if disk.pread(fd, lines.start, 0) != framing.header:
        raise IndexUnusable
    at, line = next(lines.back(lines.end), (0, b""))
    end = parse_record(framing.end_seed, line)
    if end is None or disk.pread(fd, lines.end - at, at) != framing.end(end.index - 1):
        raise IndexUnusable
    lines.end = at
    return lines


def offsets_in(
    data_dir: DataDir, log_id: str, segment: Segment, go_on: Callable[[], None]
) -> Offsets:
    """Read a sealed file, checked from end to end. `go_on` is called between a few records.

    Raises LogCorrupt, LogTooNew or another StorageError, OSError, and what `go_on` raises.
    """
    found: Offsets = {}
    fd = data_dir.open_file(segment.name, os.O_RDONLY)
    try:
        scan = scan_of(data_dir, fd, segment.name)
        if scan.header() != Header(log_id, segment.base):
            raise IndexUnusable
        for record in records_of(scan, segment.last):
            begin = scan.offset - _length(record)
            for timer in timers_in(record):
                found.setdefault(timer, array("Q")).append(begin)
            if record.index % 64 == 0:
                go_on()
    finally:
        data_dir.disk.close(fd)
    return found


def timers_in(record: Record) -> set[str]:
    """The timers that have a row in this record."""
    if not _HAS_ROW.search(record.payload):
        return set()
    events = decode(record.payload, record.index).events
    return {row.timer for row in map(row_of, range(len(events)), events) if row is not None}


def encode_index(framing: Framing, found: Offsets) -> Iterator[bytes]:
    """The content of an index, line by line."""
    yield framing.header
    count = 0
    for timer in sorted(found):
        offsets = iter(found[timer])
        while part := list(islice(offsets, OFFSETS_A_LINE)):
            count += 1
            yield encode_record(framing.seed, count, orjson.dumps([timer, *part]))
    yield framing.end(count)


def _length(record: Record) -> int:
    """How many bytes its line has: checksum, index, payload, two spaces and a newline."""
    return 8 + 1 + len(str(record.index)) + 1 + len(record.payload) + 1
