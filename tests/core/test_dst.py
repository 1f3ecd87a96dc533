"""Zones: names, offsets and spans, against zoneinfo read minute by minute."""

from __future__ import annotations

import importlib.resources
import io
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kron.core import dst
from kron.core.dst import _PROBE, DAY, EARLIEST, LATEST, Span, offset_at, span_at, zone
from kron.core.errors import ScheduleError


def spans(tz: ZoneInfo, first: int, last: int) -> list[Span]:
    found = []
    while first <= last:
        found.append(span_at(tz, first))
        first = found[-1].end
    return found


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Etc/GMT+5"])
def test_iana_names_are_zones(name: str) -> None:
    assert zone(name) is zone(name)
    assert zone(name).key == name


@pytest.mark.parametrize(
    "name",
    ["", "../x", "/etc/passwd", "Europe", "Europe/", "Europe/Berlin/", "europe/berlin", "CEST",
     "x\0y", "a" * 5000, "Europe/\udcff", "right/UTC", "posix/UTC", "localtime", "zone.tab"],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ScheduleError, match=r"timezone=.* is not a known time zone") as caught:
        zone(name)
    assert len(str(caught.value)) < 200


def test_a_refusal_suggests_the_nearest_name() -> None:
    with pytest.raises(ScheduleError, match='Did you mean "Europe/Berlin"'):
        zone("europe/berlim")
    with pytest.raises(ScheduleError, match='Use an IANA name such as "Europe/Berlin"'):
        zone("qqqqqq")


@pytest.mark.parametrize("name", [None, 5, b"UTC", []])
def test_other_types_are_type_errors(name: Any) -> None:
    with pytest.raises(TypeError):
        zone(name)


def test_offsets_may_have_seconds_and_never_fail() -> None:
    assert offset_at(zone("Africa/Monrovia"), 0) == -2670
    for name in ("Pacific/Kiritimati", "Pacific/Niue", "UTC"):
        for second in (-(1 << 60), EARLIEST, LATEST, 1 << 60):
            assert abs(offset_at(zone(name), second)) <= 14 * 3600


@pytest.mark.parametrize(
    ("name", "when", "before", "after"),
    [
        ("Europe/Berlin", "2026-03-29T01:00", 3600, 7200),
        ("Europe/Dublin", "2026-10-25T01:00", 3600, 0),
        ("Australia/Lord_Howe", "2026-10-03T15:30", 37800, 39600),
        ("Antarctica/Troll", "2026-03-29T01:00", 0, 7200),
        ("Pacific/Apia", "2011-12-30T10:00", -36000, 50400),
        ("Africa/Monrovia", "1972-01-07T00:44:30", -2670, 0),
    ],
)
def test_a_span_begins_at_a_change(name: str, when: str, before: int, after: int) -> None:
    second = int(datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp())
    old, new = span_at(zone(name), second - 1), span_at(zone(name), second)
    assert (old.end, new.start) == (second, second)
    assert (old.offset, new.offset) == (before, after)
    assert new.mark == second + before


@pytest.mark.parametrize(
    "name", ["Africa/Casablanca", "America/Havana", "America/St_Johns", "Antarctica/Vostok"]
)
def test_spans_tile_time_with_the_offsets_of_zoneinfo(name: str) -> None:
    tz = ZoneInfo(name)
    row = spans(tz, 1_262_304_000, 1_262_304_000 + 1000 * DAY)
    shown = row[0].start + row[0].offset
    for old, new in pairwise(row):
        assert old.end == new.start
        shown = max(shown, old.end + old.offset)
        assert new.mark == shown if new.offset != old.offset else new.mark >= shown
    for span in row:
        for second in (span.start, span.end - 1):
            moment = datetime.fromtimestamp(second, UTC).astimezone(tz)
            assert moment.utcoffset() == timedelta(seconds=span.offset)


@pytest.fixture
def no_spans() -> Iterator[None]:
    """None remembered before and after."""
    dst._spans.cache_clear()
    yield
    dst._spans.cache_clear()


@pytest.mark.parametrize("bits", [dst._WINDOW_BITS, 20, 18])
def test_a_fold_reaches_over_the_border_of_a_window(
    bits: int, monkeypatch: pytest.MonkeyPatch, no_spans: None
) -> None:
    """Wherever a border falls, the mark after it is the greatest reading shown before it."""
    monkeypatch.setattr(dst, "_WINDOW_BITS", bits)
    for name in ("Europe/Berlin", "America/New_York", "Antarctica/Casey", "Asia/Gaza"):
        tz, shown = zone(name), -(1 << 60)
        for span in spans(tz, 0, 30_000 * DAY):
            if shown > -(1 << 60):
                assert span.mark == max(shown, span.start + span.offset) or (
                    span.mark == shown < span.start + span.offset
                )
            shown = max(shown, span.end + span.offset)


def changes_since_1970(content: bytes) -> list[int]:
    """The changes of offset in a zone's file (RFC 8536), read by hand."""
    sizes = struct.unpack(">6l", content[20:44])
    isut, isstd, leap, times, types, chars = sizes
    begin = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, _, times, types, _ = struct.unpack(">6l", content[begin + 20 : begin + 44])
    begin += 44
    when = struct.unpack(f">{times}q", content[begin : begin + 8 * times])
    index = content[begin + 8 * times : begin + 9 * times]
    begin += 9 * times
    offsets = [
        struct.unpack(">l", content[at : at + 4])[0]
        for at in range(begin, begin + 6 * types, 6)
    ]  # fmt: skip
    shown = [offsets[0], *(offsets[i] for i in index)]
    return [t for t, (old, new) in zip(when, pairwise(shown), strict=True) if old != new and t >= 0]


def test_no_zone_changes_twice_between_two_probes() -> None:
    folder = importlib.resources.files("tzdata").joinpath("zoneinfo")
    names = importlib.resources.files("tzdata").joinpath("zones").read_text().split()
    assert len(names) > 500
    for name in names:
        content = folder.joinpath(*name.split("/")).read_bytes()
        changes = changes_since_1970(content)
        assert all(later - earlier > 2 * _PROBE for earlier, later in pairwise(changes)), name
        tz = ZoneInfo.from_file(io.BytesIO(content), key=name)
        assert all(span_at(tz, change).start == change for change in changes[:40]), name
