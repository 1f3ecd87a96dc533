"""Run ids: `run_` and a ULID that names the run in its log and sorts by time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kron.core.ids import run_id_number, run_id_text

LOG = "1a2b" + "0" * 28
RUNS = st.integers(0, 2**63 - 1)
TIMES = st.integers(0, 253_402_300_799_999_999)


@given(RUNS, TIMES)
def test_a_text_names_its_run(run: int, scheduled_us: int) -> None:
    text = run_id_text(run, scheduled_us, LOG)
    assert re.fullmatch(r"run_[0-7][0-9a-hjkmnp-tv-z]{25}", text)
    assert run_id_number(text, LOG) == run
    assert run_id_number("run_" + text[4:].upper(), LOG) == run


@given(RUNS, TIMES, RUNS, TIMES)
def test_texts_sort_by_time_and_then_by_run(a: int, a_us: int, b: int, b_us: int) -> None:
    texts = [run_id_text(a, a_us, LOG), run_id_text(b, b_us, LOG)]
    keys = [(a_us // 1000, a), (b_us // 1000, b)]
    assert (texts[0] < texts[1]) == (keys[0] < keys[1])


def test_a_text_of_another_log_names_nothing() -> None:
    assert run_id_number(run_id_text(7, 0, LOG), "ffff" + "0" * 28) is None


@pytest.mark.parametrize("text", ["", "run_", "7", "run_" + "u" * 26, "run_" + "0" * 25, "x" * 30])
def test_other_texts_name_nothing(text: str) -> None:
    assert run_id_number(text, LOG) is None
