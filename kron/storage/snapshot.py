"""The format of a snapshot file: lines like a log's, numbered from 0, that stand or fall together.

Line 0 is the header (magic, format, log id, the index of the last record the state holds), then
comes each part, then an end that says how many there were. The checksums of parts and end cover
the magic, the log's id and the snapshot's index, so no line of another file fits; and those of the
end start elsewhere, so no part can pass for it. Two are kept: the newest and the one before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple
from zlib import crc32

from kron.core.errors import LogCorrupt, LogTooNew, StorageError
from kron.storage.datadir import DataDir
from kron.storage.lines import (
    MAX_RECORD_BYTES,
    encode_record,
    parse_record,
    whole_lines,
    why_not_record,
)
from kron.storage.log import SnapshotFile

FORMAT = 1
NEWEST_NAME = "kron.snapshot"
OLDER_NAME = "kron.snapshot.old"
SNAPSHOT_NAMES = (NEWEST_NAME, OLDER_NAME)

_MAGIC = b"kron-snapshot"
_HEADER_SEED = crc32(_MAGIC)
_RESTORE = "Nothing was changed; remove the file, or restore it from a copy."


class Header(NamedTuple):
    """What line 0 says; `end` is the byte after it."""

    format: int
    log_id: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    end: int


class _OpenFile(NamedTuple):
    fd: int
    file: str
    header: Header
    size_bytes: int


class Framing:
    """The lines of the snapshot of one log at one index."""

    def __init__(self, log_id: str, index: int) -> None:
        self._log_id = log_id
        self._index = index
        self._part_seed = crc32(b"%b %b %d" % (_MAGIC, log_id.encode(), index))
        self._end_seed = crc32(b" end", self._part_seed)

    def header(self) -> bytes:
        """Line 0."""
        fields = {"magic": _MAGIC.decode(), "format": FORMAT}
        fields |= {"log_id": self._log_id, "index": self._index}
        payload = json.dumps(fields, separators=(",", ":")).encode()
        return encode_record(_HEADER_SEED, 0, payload)

    def part(self, number: int, part: bytes) -> bytes:
        """Line `number`, counted from 1."""
        return encode_record(self._part_seed, number, part)

    def end(self, number: int) -> bytes:
        """The last line, behind `number` - 1 parts."""
        return encode_record(self._end_seed, number, b'{"parts":%d}' % (number - 1))

    def part_on(self, number: int, line: bytes) -> bytes | None:
        """The part on line `number`; None if it is none."""
        found = parse_record(self._part_seed, line)
        return found.payload if found is not None and found.index == number else None


def kept_snapshots(data_dir: DataDir, log_id: str) -> dict[str, SnapshotFile]:
    """The files here whose header can be read and is of this log, by name.

    Raises OSErrors and UnsafeDataDir.
    """
    return {
        name: found for name, found, _ in looked_at_snapshots(data_dir, log_id) if found is not None
    }


def looked_at_snapshots(
    data_dir: DataDir, log_id: str
) -> Iterator[tuple[str, SnapshotFile | None, int]]:
    """Each file that is here, by one look: its name, what it says it is, and its bytes.

    It is None if its header cannot be read, or is of another log. Raises as `kept_snapshots`.
    """
    for name, header, size_bytes in _looked_at(data_dir):
        is_ours = header is not None and header.log_id == log_id
        found = SnapshotFile(header.index, size_bytes) if header and is_ours else None
        yield name, found, size_bytes


def log_id_of(data_dir: DataDir, name: str) -> str | None:
    """Which log the snapshot of this name is of; None if it is not there or does not say. Raises
    as `kept_snapshots`."""
    logs = {found: header.log_id for found, header, _ in _looked_at(data_dir) if header}
    return logs.get(name)


def check_snapshots(data_dir: DataDir, log_id: str, tip: int) -> None:
    """Raise LogCorrupt for a snapshot of another log, or of a state after the log's last record."""
    for name, header, _ in _looked_at(data_dir):
        if header is None:
            continue
        if header.log_id != log_id:
            raise LogCorrupt(
                f"{data_dir.show(name)} is a snapshot of another log (byte 0). Move it away;"
                " nothing was changed."
            )
        if header.index > tip:
            raise LogCorrupt(
                f"{data_dir.show(name)} (byte 0) was made after record {header.index}, but the"
                f" log ends at record {tip}: records are missing. Restore the log from a copy;"
                " nothing was changed."
            )


def newest_first(kept: dict[str, SnapshotFile]) -> list[SnapshotFile]:
    """As `Log.snapshots` gives them."""
    return sorted(kept.values(), key=lambda snapshot: snapshot.index, reverse=True)


def read_parts(data_dir: DataDir, log_id: str, index: int) -> Iterator[bytes]:
    """See `Log.read_snapshot`."""
    try:
        yield from _checked(data_dir, log_id, _open(data_dir, index))
    except OSError as exc:
        where = exc.filename or data_dir.shown
        raise StorageError(f"{where}: snapshot of record {index}: {exc.strerror}") from exc


def _checked(data_dir: DataDir, log_id: str, opened: _OpenFile) -> Iterator[bytes]:
    """The parts of an open file, which is closed in the end."""
    fd, file, header, size_bytes = opened
    try:
        if header.format > FORMAT:
            raise LogTooNew(
                f"{file} is in snapshot format {header.format}; this Kron reads formats up to"
                f" {FORMAT}. Install a newer Kron; nothing was changed."
            )
        if header.log_id != log_id:
            raise LogCorrupt(f"{file}: the header at byte 0 is of another log. {_RESTORE}")
        framing = Framing(log_id, header.index)
        lines = whole_lines(data_dir.disk, fd, header.end, size_bytes)
        yield from _parts(framing, lines, file, header.end, size_bytes)
    finally:
        data_dir.disk.close(fd)


def _parts(
    framing: Framing, lines: Iterator[bytes], file: str, offset: int, size_bytes: int
) -> Iterator[bytes]:
    """The parts on these lines, which begin at byte `offset`; ends with the end, and nothing
    behind it, or raises LogCorrupt."""
    for number, line in enumerate(lines, 1):
        part = framing.part_on(number, line)
        if part is None:
            break
        yield part
        offset += len(line) + 1
    else:
        raise LogCorrupt(f"{file}: damaged at byte {offset}: it has no end. {_RESTORE}")
    if line + b"\n" != framing.end(number):
        raise LogCorrupt(f"{file}: damaged at byte {offset}: {why_not_record(line)}. {_RESTORE}")
    offset += len(line) + 1
    if offset != size_bytes:
        raise LogCorrupt(f"{file}: damaged at byte {offset}: something follows its end. {_RESTORE}")


def _open(data_dir: DataDir, index: int) -> _OpenFile:
    """The snapshot of record `index`, under either name: a commit may rename it meanwhile.

    The newest name first: what is not there any more has the other one by then.
    """
    damage: LogCorrupt | None = None
    for name in SNAPSHOT_NAMES:
        try:
            if found := _open_if(data_dir, name, index):
                return found
        except FileNotFoundError:
            continue
        except LogCorrupt as exc:
            damage = damage or exc
    raise damage or StorageError(
        f"{data_dir.shown} keeps no snapshot of record {index}. Read another, or the records."
    )


def _open_if(data_dir: DataDir, name: str, index: int | None) -> _OpenFile | None:
    """The file of this name, if it is of that index (None = any)."""
    disk, file = data_dir.disk, data_dir.show(name)
    fd = data_dir.open_file(name, os.O_RDONLY)
    is_wanted = False
    try:
        size_bytes = disk.fstat(fd).st_size
        front = disk.pread(fd, min(MAX_RECORD_BYTES, size_bytes), 0)
        header = _parse_header(front, file)
        is_wanted = index is None or header.index == index
    finally:
        if not is_wanted:
            disk.close(fd)
    return _OpenFile(fd, file, header, size_bytes) if is_wanted else None


def _parse_header(front: bytes, file: str) -> Header:
    line, newline, _ = front.partition(b"\n")
    record = parse_record(_HEADER_SEED, line)
    if record is None or not newline:
        raise LogCorrupt(f"{file}: the header at byte 0 is damaged. {_RESTORE}")
    fields = json.loads(record.payload)
    return Header(fields["format"], fields["log_id"], fields["index"], len(line) + 1)


def _looked_at(data_dir: DataDir) -> Iterator[tuple[str, Header | None, int]]:
    """Each file that is here, by one look; None is a header that cannot be read."""
    for name in SNAPSHOT_NAMES:
        with suppress(FileNotFoundError):
            try:
                found = _open_if(data_dir, name, None)
            except LogCorrupt:
                yield name, None, data_dir.disk.lstat(data_dir.path_of(name)).st_size
                continue
            if found:
                data_dir.disk.close(found.fd)
                yield name, found.header, found.size_bytes
