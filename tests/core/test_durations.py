"""Thirty lengths of time in thirty letters."""

from __future__ import annotations

import random
import statistics

import pytest

from kron.core.durations import KEPT, noted, percentiles_ms


def letters_of(*took_us: int) -> str:
    letters = ""
    for each in took_us:
        letters = noted(letters, each)
    return letters


def test_without_an_attempt_there_is_no_percentile() -> None:
    assert percentiles_ms("", (0.5, 0.95)) == [None, None]


@pytest.mark.parametrize("ms", [0.001, 0.123, 1, 9.99, 10, 123, 1_000, 59_900, 86_400_000])
def test_a_length_is_right_to_a_thousandth(ms: float) -> None:
    (found,) = percentiles_ms(letters_of(round(ms * 1000)), (0.5,))
    assert found == pytest.approx(ms, rel=0.0051, abs=0.0005)  # three digits of it


def test_nothing_and_the_longest_are_kept_too() -> None:
    assert percentiles_ms(letters_of(0), (0.5,)) == [0.0]
    longest = letters_of((1 << 63) - 1)
    longest.encode()  # not among the surrogates
    assert percentiles_ms(longest, (1,)) == [pytest.approx(2**63 / 1000, rel=0.01)]


def test_the_rank_is_the_nearest() -> None:
    letters = letters_of(*(ms * 1000 for ms in range(1, 21)))
    assert percentiles_ms(letters, (0.5, 0.95, 0.0, 1.0)) == [10.0, 19.0, 1.0, 20.0]


def test_the_latest_thirty_count() -> None:
    letters = letters_of(*[9_000_000] * 100, *[1_000] * KEPT)
    assert len(letters) == KEPT
    assert percentiles_ms(letters, (0.5, 1)) == [1.0, 1.0]


def test_against_exact_percentiles() -> None:
    random_ = random.Random(5)
    for _ in range(100):
        took = [int(random_.lognormvariate(10, 3)) for _ in range(random_.randint(2, KEPT))]
        p50, p100 = percentiles_ms(letters_of(*took), (0.5, 1.0))
        assert p50 == pytest.approx(statistics.median_low(took) / 1000, rel=0.0056, abs=0.0006)
        assert p100 == pytest.approx(max(took) / 1000, rel=0.0056, abs=0.0006)
