"""The files of one log: sealed ones, each named after its last record, and the one that grows.

`kron.aof` is appended to; `kron.aof.N` was sealed after record N and never changes again. Each
says in its header which record comes before its first, so they form a chain. The oldest file of
the unbroken chain that ends in `kron.aof` begins the log; what lies below a gap is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from kron.core.errors import ForeignLog, LogCorrupt, StorageError
from kron.storage.datadir import DataDir
from kron.storage.lines import REMEDY, Header
from kron.storage.log import Record
from kron.storage.scan import Scan

LOG_NAME = "kron.aof"
NEXT_NAME = "kron.aof.tmp"
"""The file that will be `kron.aof` when the present one has been sealed."""

_SEALED = re.compile(r"kron\.aof\.([1-9][0-9]{0,18})")


class Segment(NamedTuple):
    """One file: the records base+1..last, the first at byte `start`.

    `last` is None for the file that grows; `size_bytes` is then what it had when it was seen.
    """

    name: str
    base: int
    last: int | None
    size_bytes: int
    start: int

    @property
    def is_sealed(self) -> bool:
        """Whether it will never change again."""
        return self.last is not None


def sealed_name(last: int) -> str:
    """The name of the file that ends with record `last`."""
    return f"{LOG_NAME}.{last}"


def sealed_lasts(data_dir: DataDir) -> list[int]:
    """The last records of all sealed files, in or out of the chain, in order."""
    names = data_dir.disk.names(data_dir.path_of(""))
    return sorted(int(found[1]) for name in names if (found := _SEALED.fullmatch(name)))


def scan_of(data_dir: DataDir, fd: int, name: str = LOG_NAME) -> Scan:
    """A scan over what a log file holds now."""
    size_bytes = data_dir.disk.fstat(fd).st_size
    return Scan(data_dir.disk, fd, data_dir.show(name), size_bytes)


def look_at(data_dir: DataDir, name: str, last: int | None) -> tuple[Header, Segment]:
    """What the header of a file says. Raises as `Scan.header` does, OSErrors included."""
    fd = data_dir.open_file(name, os.O_RDONLY)
    try:
        scan = scan_of(data_dir, fd, name)
        header = scan.header()
    finally:
        data_dir.disk.close(fd)
    return header, Segment(name, header.base, last, scan.end, scan.offset)


def chain_to(data_dir: DataDir, header: Header) -> list[Segment]:
    """The sealed files that lead up to the file with this header, oldest first.

    Only their headers are read. Raises LogCorrupt for one that is of another log, damaged, or
    named after a record it cannot end with, and for sealed files that the header does not know.
    """
    newest = max(sealed_lasts(data_dir), default=0)
    if newest > header.base:
        raise LogCorrupt(
            f"{data_dir.show(LOG_NAME)} begins after record {header.base}, but"
            f" {data_dir.show(sealed_name(newest))} was sealed later. {REMEDY}"
        )
    chain: list[Segment] = []
    base = header.base
    while base:
        try:
            chain.append(_sealed(data_dir, base, header.log_id))
        except FileNotFoundError:
            break
        base = chain[-1].base
    return chain[::-1]


def header_between(data_dir: DataDir, newest: int) -> Header:
    """What `kron.aof` will say, while its rename is missing: `newest` is sealed, the next file
    waits under its temporary name. Raises LogCorrupt if that file is not the next one.
    """
    name = sealed_name(newest)
    header, _ = look_at(data_dir, name, newest)
    try:
        following, _ = look_at(data_dir, NEXT_NAME, None)
    except (FileNotFoundError, StorageError) as exc:
        raise log_missing(data_dir, name) from exc
    if following != Header(header.log_id, newest):
        raise log_missing(data_dir, name)
    return following


def log_missing(data_dir: DataDir, kept: str) -> LogCorrupt:
    """The error that names the missing `kron.aof`, and a file that shows it was there."""
    return LogCorrupt(
        f"{data_dir.show(LOG_NAME)} is missing, but {data_dir.show(kept)} is there. {REMEDY}"
    )


def _sealed(data_dir: DataDir, last: int, log_id: str) -> Segment:
    name = sealed_name(last)
    try:
        header, segment = look_at(data_dir, name, last)
    except ForeignLog as exc:  # our own name: another data dir is not the remedy
        raise LogCorrupt(f"{data_dir.show(name)} is not a Kron log (byte 0). {REMEDY}") from exc
    if header.log_id != log_id or header.base >= last:
        wrong = "is of another log" if header.log_id != log_id else "contradicts its name"
        raise LogCorrupt(f"{data_dir.show(name)}: the header at byte 0 {wrong}. {REMEDY}")
    return segment


def records_of(scan: Scan, last: int | None) -> Iterator[Record]:
    """The records from where the scan stands; a sealed file must end with `last` and nothing more.

    Raises LogCorrupt as `Scan.records` does, and if a sealed file is too short or too long.
    """
    offset = scan.offset
    for record in scan.records():
        if last is not None and record.index > last:
            break
        offset = scan.offset
        yield record
    if last is None or (scan.index == last and not scan.tail_bytes):
        return
    if scan.index >= last:
        wrong = f"something follows record {last}, after which it was sealed"
    else:
        wrong = f"record {scan.index + 1} should be here, and it was sealed after record {last}"
    raise LogCorrupt(f"{scan.file}: damaged at byte {offset}: {wrong}. {REMEDY}")
