"""Durations: every spelling, every refusal, and the way back."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kron.core.duration import LONGEST_US, format_duration, parse_duration
from kron.core.errors import ScheduleError


@pytest.mark.parametrize(
    ("value", "us"),
    [
        ("10s", 10_000_000),
        ("30m", 1_800_000_000),
        ("1h30m", 5_400_000_000),
        ("2d", 172_800_000_000),
        ("1w", 604_800_000_000),
        ("250ms", 250_000),
        ("1.5s", 1_500_000),
        ("1m5ms", 60_005_000),
        ("0.0015ms", 2),
        (10, 10_000_000),
        (0.25, 250_000),
        (0.1, 100_000),
        (timedelta(hours=1, microseconds=7), 3_600_000_007),
        ("36525d", LONGEST_US),
    ],
)
def test_durations_are_read_in_microseconds(value: Any, us: int) -> None:
    assert parse_duration(value, argument="every") == us


@pytest.mark.parametrize(
    "value",
    ["", " ", "10", "s", "10x", "10S", "10us", "-5s", "+5s", "1m1h", "1s1s", "1h 30m", "10s\n",
     ".5s", "1.s", "1e3s", "1_0s", "٣s", "inf", "nan", "9" * 5000 + "s", "36526d",
     "0s", 0, 0.0, -0.0, 1e-9, -1, -0.5, float("nan"), float("inf"), float("-inf"), True, False,
     2**64, 10**6000, 1e300, timedelta(0), timedelta(seconds=-1), timedelta.max],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_refusal_names_argument_and_remedy(value: Any) -> None:
    with pytest.raises(ScheduleError, match=r"^every=.*Use \"10s\"") as caught:
        parse_duration(value, argument="every")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [None, [], b"10s", 1j, object()])
def test_other_types_are_type_errors(value: Any) -> None:
    with pytest.raises(TypeError, match="after"):
        parse_duration(value, argument="after")


@pytest.mark.parametrize("value", [0, 0.0, "0s", "0h", timedelta(0)])
def test_zero_is_allowed_where_asked_for(value: Any) -> None:
    assert parse_duration(value, argument="after", allow_zero=True) == 0


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0s"),
        (1, "0.001ms"),
        (250_000, "250ms"),
        (1_500_000, "1.5s"),
        (60_000_000, "1m"),
        (5_400_000_000, "1h30m"),
        (604_800_000_000, "7d"),
        (86_401_000_000, "1d1s"),
        (-90_000_000, "-1m30s"),
    ],
)
def test_durations_have_one_spelling(us: int, text: str) -> None:
    assert format_duration(us) == text


@settings(deadline=None)
@given(st.integers(0, LONGEST_US))
def test_a_formatted_duration_is_read_back(us: int) -> None:
    assert parse_duration(format_duration(us), argument="every", allow_zero=True) == us


@settings(deadline=None)
@given(st.text("0123456789.wdhms -e٣", max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(ScheduleError):
        assert 0 < parse_duration(text, argument="every") <= LONGEST_US
