"""Open, append, close, open again after a torn tail of every kind, through the Scheduler."""

import json
from pathlib import Path

import pytest

from kron.core.errors import LogCorrupt
from kron.scheduler import Scheduler
from kron.storage.lines import encode_record, seed_of
from kron.storage.reader import LogReader

HALF = b'1234abcd 4 [{"v":1,"t":1795268235823174},["TIMER_CREATED","half"'
TAILS = {
    "one byte": b"1",
    "half a checksum": b"1234ab",
    "half a record": HALF,
    "half a letter": HALF + "ö".encode()[:1],
    "a whole line with a bad checksum": HALF + b"]]\n",
    "two whole lines with bad checksums": (HALF + b"]]\n") * 2,
    "a bad line and half of another": HALF + b"]]\n" + HALF,
    "an empty line": b"\n",
    "many empty lines": b"\n" * 100,
    "a zero": b"\0",
    "a page of zeros": b"\0" * 4096,
    "half a record, then zeros": HALF + b"\0" * 512,
    "zeros, then an end of line": b"\0" * 512 + b"\n",
    "bytes that are no text": bytes(range(256)) * 4,
    "JSON without a frame": b'[{"v":1,"t":1},["TIMER_REMOVED","kept",1,""]]\n',
    "a record of another log": encode_record(seed_of("f" * 32), 4, b'[{"v":1,"t":1}]'),
    "longer than any record": b"x" * (3 << 20),
}


def run(place, *names, change=None):
    """Start, make these timers, shut down; returns what the start found."""
    scheduler = Scheduler()
    scheduler.start(place)
    try:
        found = {row["id"] for row in scheduler.list()}
        for name in names:
            scheduler.schedule(name, print, every="1h")
        if change is not None:
            change(scheduler)
        return found
    finally:
        scheduler.shutdown()


def events(place, tag):
    rows = [event for _, record in LogReader(place) for event in json.loads(record)[1:]]
    return [event[1:] for event in rows if event[0] == tag]


@pytest.fixture
def place(tmp_path):
    run(tmp_path / "kron", "kept")
    return tmp_path / "kron"


@pytest.mark.parametrize("kind", TAILS)
def test_a_torn_tail_costs_nothing_that_was_acknowledged(place, kind):
    log, tail = place / "kron.aof", TAILS[kind]
    before = log.read_bytes()
    log.write_bytes(before + tail)
    assert run(place, "second") == {"kept"}
    ((_, file, offset, cut_bytes, kept_as),) = events(place, "TAIL_CUT")
    assert (file, offset, cut_bytes) == (str(log), len(before), len(tail))
    assert Path(kept_as).read_bytes() == tail
    assert log.read_bytes().startswith(before)
    assert run(place, "third") == {"kept", "second"}
    assert run(place) == {"kept", "second", "third"}
    assert len(events(place, "TAIL_CUT")) == 1
    indices = [record.index for record in LogReader(place)]
    assert indices == [*range(1, len(indices) + 1)]


def test_a_log_cut_at_any_byte_starts_with_the_records_before(place):
    """The last record is the one that made `last`: with its newline it is whole, else it is not."""
    left_open = Scheduler()
    left_open.start(place)
    before = (place / "kron.aof").read_bytes()
    left_open.schedule("last", print, every="1h")
    whole = (place / "kron.aof").read_bytes()
    left_open.shutdown()
    for cut in {*range(len(before), len(whole), 5), len(whole) - 1, len(whole)}:
        (place / "kron.aof").write_bytes(whole[:cut])
        assert run(place, "next") == ({"kept", "last"} if cut == len(whole) else {"kept"})
        assert run(place) >= {"kept", "next"}


def test_a_tail_torn_again_and_again_is_kept_under_new_names(place):
    log = place / "kron.aof"
    before = log.read_bytes()
    for number in range(4):
        log.write_bytes(before + b"tail %d" % number)
        assert run(place) == {"kept"}
    kept = {path.read_bytes() for path in place.glob("kron.aof.torn-*")}
    assert kept == {b"tail 0", b"tail 1", b"tail 2", b"tail 3"}


def test_a_start_refused_for_damage_in_the_middle_changes_nothing(place):
    """A record damaged in the middle: refused with file, byte and reason, again and again."""
    log = place / "kron.aof"
    content = bytearray(log.read_bytes())
    lines = content.split(b"\n")
    offset = len(lines[0]) + 1
    content[offset + 20] ^= 1
    log.write_bytes(content + b"torn")
    for _ in range(5):
        with pytest.raises(LogCorrupt, match=f"kron.aof: damaged at byte {offset}"):
            run(place)
        assert log.read_bytes() == content + b"torn"


def test_a_record_that_cannot_follow_is_refused_and_named(place):
    """Whole and with the right checksum, but not of this history."""
    log = place / "kron.aof"
    reader = LogReader(place)
    index = max(record.index for record in reader)
    payload = b'[{"v":1,"t":1},["RUN_STARTED","kept",999,1,1]]'
    with open(log, "ab") as file:
        file.write(encode_record(seed_of(reader.log_id), index + 1, payload))
    content = log.read_bytes()
    for _ in range(5):
        with pytest.raises(LogCorrupt, match=f"record {index + 1} cannot follow"):
            run(place)
        assert log.read_bytes() == content
