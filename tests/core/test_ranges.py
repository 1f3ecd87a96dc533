"""Ranges of instants do what a set of them would do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kron.core.ranges import RANGES, Ranges, end_of, united, without

INSTANTS = st.integers(0, 40)
CHANGES = st.lists(st.tuples(st.booleans(), INSTANTS, st.integers(-1, 6)), max_size=30)


def instants(ranges: Ranges) -> set[int]:
    return {
        each
        for first, last in zip(ranges[::2], ranges[1::2], strict=True)
        for each in range(first, last + 1)
    }


@settings(max_examples=300, deadline=None)
@given(CHANGES)
def test_they_are_a_set(changes: list[tuple[bool, int, int]]) -> None:
    ranges, expected = (), set[int]()
    for is_more, first, length in changes:
        if is_more:
            ranges = united(ranges, first, first + length)
            expected |= set(range(first, first + length + 1))
        else:
            ranges = without(ranges, first)
            expected -= {first}
        assert instants(ranges) == expected
        assert all(first <= last for first, last in zip(ranges[::2], ranges[1::2], strict=True))
        gaps = zip(ranges[1::2], ranges[2::2], strict=False)
        assert all(last + 1 < first for last, first in gaps)  # what adjoins is one


@settings(max_examples=300, deadline=None)
@given(CHANGES, INSTANTS)
def test_an_instant_is_in_at_most_one(changes: list[tuple[bool, int, int]], one: int) -> None:
    ranges: Ranges = ()
    for _, first, length in changes:
        ranges = united(ranges, first, first + length)
    end = end_of(ranges, one)
    assert (end is not None) == (one in instants(ranges))
    if end is not None:
        assert end in ranges[1::2]
        assert set(range(one, end + 1)) <= instants(ranges)


def test_of_too_many_the_two_oldest_become_one() -> None:
    ranges: Ranges = ()
    for each in range(RANGES + 1):
        ranges = united(ranges, 10 * each, 10 * each + 3)
    assert len(ranges) == 2 * RANGES
    assert ranges[:4] == (0, 13, 20, 23)
    assert end_of(ranges, 7) == 13
