"""Any text is answered in few steps, counted in calls: no time is measured here.

`benchmarks/cron_next.py` measures the same texts in milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kron.core.cron import compile_cron
from kron.core.errors import CronError
from kron.core.fields import compile_fields
from kron.core.moments import CronMoments
from kron.core.pattern import Pattern

SECOND = 1_000_000
INSTANTS = [0, 1_800_000_000, 200_000_000_000]
TO_COMPILE = 6_000
TO_FIND = 30_000
"""The rarest dates are searched for year by year."""

HARD = [
    "0 0 29 2 1#5",
    "0 0 30 2 *",
    "0 0 L-30 2 ?",
    "0 0 31 2,4,6,9,11 *",
    f"0 0 {','.join(f'{day}W' for day in range(1, 32))} * *",
    f"0 0 {','.join(['30W', '31W'] * 30)} 2 *",
    f"0 0 {','.join(f'L-{back}' for back in range(1, 31))} 2 *",
    f"0 0 * * {','.join(f'{day}#{nth}' for day in range(7) for nth in range(1, 6))}",
    f"{','.join(['*/7'] * 50)} 1-58 1-22 * * *",
    f"{','.join(['*'] * 120)} * * * *",
    f"{'9' * 240} * * * *",
    "0-" * 128,
    "," * 256,
    "9" * 4000 + " * * * *",
    ",".join(["1"] * 20_000),
]
HARD_FIELDS = [
    "month=2 day=30",
    "month=6 week=53",
    "month=12 day=28 week=1",
    "year=2001-9999/4 month=2 day=29",
    "year=1970-2003,2001-9999/4,9996 month=2 day=29 day_of_week=thu",
    "year=1970-9998,9999 month=1 day=3 week=53 day_of_week=sun",
    f"year={','.join(f'*/{step}' for step in range(2, 45))} month=2 day=29 day_of_week=mon",
    f"year={','.join(['*'] * 100)}",
    f"day={','.join(f'{day}w' for day in range(1, 32))}",
    f"second={','.join(['*/7'] * 60)}",
    "month=1 day=1 week=53 day_of_week=sat",
]


def steps(work: Callable[[], object]) -> int:
    """How many functions are called, those of C too: the same on every machine."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        with suppress(CronError):
            work()
    finally:
        sys.setprofile(None)
    return calls


def assert_bounded(compile_text: Callable[[str], Pattern], text: str) -> None:
    assert steps(lambda: compile_text(text)) < TO_COMPILE
    with suppress(CronError):
        for zone in ("UTC", "Africa/Casablanca"):
            for instant in INSTANTS:
                for question in ("next_after", "last_until"):
                    ask = getattr(CronMoments(compile_text(text), zone), question)
                    assert steps(lambda: ask(instant * SECOND)) < TO_FIND  # noqa: B023  # at once


@pytest.mark.parametrize("text", HARD, ids=lambda text: text[:20])
def test_no_expression_takes_many_steps(text: str) -> None:
    assert_bounded(compile_cron, text)


@pytest.mark.parametrize("text", HARD_FIELDS, ids=lambda text: text[:20])
def test_no_fields_take_many_steps(text: str) -> None:
    assert_bounded(compile_fields, text)


@settings(max_examples=100)
@given(st.text("0123456789*/-,#?LWRabMONFRIJ@ ", min_size=100, max_size=256))
def test_no_long_text_takes_many_steps(text: str) -> None:
    assert steps(lambda: compile_cron(text)) < TO_COMPILE


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["*", "*/2", "5", "1-5", "7-40/3", "59", "L", "?", "1#5", "15W"])),
    st.integers(0, 4),
)
def test_no_list_takes_many_steps(items: list[str], place: int) -> None:
    fields = ["0", "0", "*", "*", "*"]
    fields[place] = ",".join(items)[:240].rstrip("/-,#") or "*"
    assert_bounded(compile_cron, " ".join(fields))
