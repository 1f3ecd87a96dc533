"""The framing of a log file: one record is one line, `crc32 index json`.

The checksum covers the log's id, the index and the payload, so a line of another log, a moved
line and a flipped bit are all the same: not a record of this log. The first line is the header,
of the same shape; its checksum covers the magic word in place of the id it announces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from kron.core.errors import ForeignLog, LogCorrupt, LogTooNew
from kron.storage.disk import Disk
from kron.storage.log import Record

FORMAT = 1
MAX_PAYLOAD_BYTES = 1 << 20
"""Twice what the engine packs into one record (512 kB); more is a programming error."""
MAX_RECORD_BYTES = MAX_PAYLOAD_BYTES + 8 + 1 + 19 + 1 + 1
CHUNK_BYTES = 1 << 20
"""How much is read at once."""

RUST_KRON = "written by another program that calls itself Kron (kron-scheduler 0.1, Rust)"
REMEDY = "Nothing was changed; see: kron doctor, or restore the file from a copy."
"""What a text that refuses a damaged file ends with."""

_MAGIC = b"kron-log"
_HEADER_SEED = crc32(_MAGIC)
_FRONT = re.compile(rb"([0-9a-f]{8}) (0|[1-9][0-9]{0,18}) (?=[\[{])")
_LOG_ID = re.compile(r"[0-9a-f]{32}")


class Header(NamedTuple):
    """What the first line says: whose log this is, and the index before its first record."""

    log_id: str
    base: int


def seed_of(log_id: str) -> int:
    """The checksum state that every record of this log starts from."""
    return crc32(log_id.encode())


def check_payload(payload: bytes) -> None:
    """Raise ValueError unless the payload can be a record: short JSON on one line."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes is over {MAX_PAYLOAD_BYTES}")
    if payload[:1] not in (b"[", b"{") or b"\n" in payload:
        raise ValueError("a record's payload is a JSON array or object on one line")


def encode_record(seed: int, index: int, payload: bytes) -> bytes:
    """The whole line, newline included."""
    body = b"%d %b" % (index, payload)
    return b"%08x %b\n" % (crc32(body, seed), body)


def parse_record(seed: int, line: bytes) -> Record | None:
    """The record on this line (without its newline), or None if it is not one of this log."""
    front = _FRONT.match(line)
    if front is None or int(front[1], 16) != crc32(line[9:], seed):
        return None
    return Record(int(front[2]), line[front.end() :])


def find_records(seed: int, window: bytes, start: int) -> Iterator[tuple[int, Record]]:
    """The whole records of this log at or after `start`, and where each begins.

    It may begin in the middle of a line: a flipped newline glues two records together.
    """
    for front in _FRONT.finditer(window, start):
        stop = window.find(b"\n", front.end())
        line = window[front.start() : stop if stop >= 0 else len(window)]
        if record := parse_record(seed, line):
            yield front.start(), record


def whole_lines(disk: Disk, fd: int, position: int, end: int) -> Iterator[bytes]:
    """The lines from byte `position` on, without newlines; stops before one that has no end and
    before one too long to be a record."""
    rest = b""
    while len(rest) <= MAX_RECORD_BYTES and position < end:
        chunk = disk.pread(fd, min(CHUNK_BYTES, end - position), position)
        if not chunk:
            return
        position += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def why_not_record(line: bytes) -> str:
    """What is wrong with a line that `parse_record` refused, in words."""
    return "its checksum does not match" if _FRONT.match(line) else "it is not a record"


def encode_header(header: Header) -> bytes:
    """The first line of a file, newline included."""
    fields = {"magic": _MAGIC.decode(), "format": FORMAT, **header._asdict()}
    payload = json.dumps(fields, separators=(",", ":")).encode()
    return encode_record(_HEADER_SEED, header.base, payload)


def parse_header(line: bytes, file: str) -> Header:
    """Read the first line (without its newline) of `file`; the name is for the error texts.

    Raises LogTooNew for a valid header of a later format, ForeignLog if another program wrote
    the file, LogCorrupt if it is a damaged header.
    """
    record = parse_record(_HEADER_SEED, line)
    if record is None:
        raise _no_header(line, file)
    fields = json.loads(record.payload)
    if fields["format"] > FORMAT:
        raise LogTooNew(
            f"{file} is in log format {fields['format']}; this Kron reads formats up to {FORMAT}."
            " Install a newer Kron; nothing was changed."
        )
    header = Header(fields["log_id"], fields["base"])
    if header.base != record.index or not _LOG_ID.fullmatch(header.log_id):
        raise LogCorrupt(f"{file}: the header at byte 0 contradicts itself. {REMEDY}")
    return header


def _no_header(line: bytes, file: str) -> ForeignLog | LogCorrupt:
    if not line:
        return LogCorrupt(f"{file}: the header at byte 0 is missing. {REMEDY}")
    if line.startswith(b'{"v":') and b'"ts":' in line:
        return ForeignLog(f"{file} was {RUST_KRON}. Use another data dir; nothing was changed.")
    if _FRONT.match(line) or _MAGIC in line[:80]:
        return LogCorrupt(f"{file}: the header at byte 0 is damaged. {REMEDY}")
    return ForeignLog(f"{file} is not a Kron log. Use another data dir; nothing was changed.")
