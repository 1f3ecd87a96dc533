"""What follows the last record: a record that was on its way, the note of a repair, or damage."""

from __future__ import annotations

import os

from kron.storage.datadir import DataDir
from kron.storage.lines import MAX_RECORD_BYTES, why_not_record
from kron.storage.segments import LOG_NAME

NOTE = "kron doctor --repair: "
"""How the note begins that a repair leaves where it has cut the log."""


def tail_in_words(place: DataDir, size_bytes: int) -> str:
    """What the last bytes of kron.aof are, and what the next start does with them."""
    front = b""
    try:
        fd = place.open_file(LOG_NAME, os.O_RDONLY)
        try:
            offset = max(0, place.disk.fstat(fd).st_size - size_bytes)
            front = place.disk.pread(fd, min(MAX_RECORD_BYTES, size_bytes), offset)
        finally:
            place.disk.close(fd)
    except OSError:
        pass
    line, newline, _ = front.partition(b"\n")
    if front.startswith(NOTE.encode()):
        return f"the note of a repair, {size_bytes} bytes: the next start records it"
    if not newline:
        return f"an unfinished record of {size_bytes} bytes, cut at the next start"
    return (
        f"a last line of {size_bytes} bytes that is no record: {why_not_record(line)} (a torn"
        " write, or damage); cut and kept aside at the next start"
    )
