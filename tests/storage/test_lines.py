"""A line is a record of one log at one place, or nothing."""

from __future__ import annotations

from zlib import crc32

import pytest

from kron.storage.lines import encode_record, find_records, parse_record, seed_of
from kron.storage.log import Record

SEED = seed_of("0" * 32)


def test_a_line_is_checksum_index_and_json() -> None:
    line = encode_record(SEED, 7, b'["x"]')
    assert line == b'%08x 7 ["x"]\n' % crc32(b"0" * 32 + b'7 ["x"]')
    assert parse_record(SEED, line[:-1]) == Record(7, b'["x"]')


@pytest.mark.parametrize("body", [b"07 [7]", b"7  [7]", b"7 7", b"-7 [7]", b" 7 [7]", b"7"])
def test_only_the_canonical_form_is_a_record(body: bytes) -> None:
    assert parse_record(SEED, b"%08x %b" % (crc32(body, SEED), body)) is None


def test_upper_case_and_another_log_are_not_a_record() -> None:
    lines = [encode_record(SEED, index, b"[1]")[:-1] for index in range(1, 9)]
    assert all(parse_record(SEED, line) for line in lines)
    assert not any(parse_record(seed_of("1" * 32), line) for line in lines)
    assert any(line[:8].upper() != line[:8] for line in lines)
    for line in lines:
        if line[:8].upper() != line[:8]:
            assert parse_record(SEED, line[:8].upper() + line[8:]) is None


def test_a_record_is_found_in_the_middle_of_a_line() -> None:
    line = encode_record(SEED, 3, b"[3]")
    for glue in (b"", b"x", b"abcdef", b"[1] ", b"00000000 1 "):
        found = find_records(SEED, b"??" + glue + line + b"rest", 0)
        assert list(found) == [(2 + len(glue), Record(3, b"[3]"))]
    assert list(find_records(SEED, line, 1)) == []
