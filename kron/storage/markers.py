"""What a log file says about its own syncs, so that a power cut is not taken for damage.

Under `interval` and `never` many records wait in the system's memory, and a power cut may keep a
later one and lose an earlier one. Such a hole is a torn tail: nobody was promised those records.
So a *marker* stands before the first record after each sync: `crc TIP {"synced":TIP}`, an object
with the last record's index, which no record can be. From a marker on the file is *lazy*. A hole
in a lazy stretch is damage only if a later line proves that it had been on the medium: a marker
that was written after its sync, or one that says "strict".

A log that is written under `always` from its beginning has no markers. Over a file with a lazy
stretch `always` puts a strict one before each record, in one write with it, so that no damage to
a single place makes acknowledged records look lazy.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kron.storage.lines import encode_record
from kron.storage.log import Record

_MARKER = re.compile(rb'\{"synced":(0|[1-9][0-9]{0,18})(,"strict":true)?\}')


class Marker(NamedTuple):
    """Every record up to `synced` was on the medium when this was written."""

    synced: int
    is_strict: bool

    def proves(self, index: int) -> bool:
        """Whether record `index`, which stands before this marker, had been on the medium."""
        return self.is_strict or self.synced >= index


class Stretch(NamedTuple):
    """How a file stands at its end: what the last marker says, and whether any was lazy."""

    is_lazy: bool = False
    is_marked: bool = False
    was_lazy: bool = False

    def after(self, marker: Marker) -> Stretch:
        """How it stands behind this marker."""
        is_lazy = not marker.is_strict
        return Stretch(is_lazy, True, self.was_lazy or is_lazy)

    def after_sync(self) -> Stretch:
        """How it stands when everything is on the medium: the next record wants a new marker."""
        return self._replace(is_marked=False)


def encode_marker(seed: int, marker: Marker) -> bytes:
    """The whole line, newline included."""
    strict = b',"strict":true' if marker.is_strict else b""
    return encode_record(seed, marker.synced, b'{"synced":%d%b}' % (marker.synced, strict))


def marker_of(line: Record) -> Marker | None:
    """The marker on a valid line; None if it is a record. One only where its index fits."""
    found = _MARKER.fullmatch(line.payload)
    if found is None or int(found[1]) != line.index:
        return None
    return Marker(line.index, found[2] is not None)
