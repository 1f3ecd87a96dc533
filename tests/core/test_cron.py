"""The cron dialect: what it means, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from kron.core.cron import compile_cron
from kron.core.errors import CronError
from kron.core.pattern import DAY, NEVER, Pattern, times_of_day

VECTORS = json.loads(Path(__file__).with_name("time_vectors.json").read_text())
REJECTED = [vector["expr"] for vector in VECTORS["cron_reject"] if vector["expr"] is not None]
REJECTED += ["9" * 4000 + " * * * *", ",".join(["1"] * 20_000) + " * * * *"]  # "expr_gen"


def days(text: str, year: int, month: int) -> list[int]:
    return sorted(day.day for day in dates(compile_cron(text), year) if day.month == month)


def dates(pattern: Pattern, year: int) -> set[date]:
    january, mask = pattern.year(year)
    first = date(1970, 1, 1) + timedelta(january)
    assert first == date(year, 1, 1)
    return {first + timedelta(n) for n in range(mask.bit_length()) if mask >> n & 1}


@pytest.mark.parametrize("text", REJECTED, ids=lambda text: text[:20])
def test_rejected_vectors(text: str) -> None:
    with pytest.raises(CronError):
        compile_cron(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("61 * * * *", '"61 * * * *": minute 61 is outside 0-59.'),
        ("* 24 * * *", "hour 24 is outside 0-23"),
        ("60 * * * * *", "second 60 is outside 0-59"),
        ("0 0 32 * *", "day of month 32 is outside 1-31"),
        ("0 0 * * 8", "weekday 8 is outside 0-7"),
        ("R * * * *", 'minute "R" is not known; the range is 0-59'),
        ("@reboot", "not an alias"),
        ("@every", "every="),
        ("@every 5m", "every="),
        ("@DAILY", "lower case"),
        ("@", "not an alias"),
        ("* * * * * * *", "7 fields; cron has 5, or 6 with seconds first"),
        ("٣ * * * *", "only ASCII"),
        ("\x00 * * * *", "is not a value"),
        ("0 a- * * *", 'hour "A-" is not a value, range or step; the range is 0-23'),
        ("*/0 * * * *", "minute step 0 is outside 1-60"),
        ("*/61 * * * *", "minute step 61 is outside 1-60"),
        ("0 */25 * * *", "hour step 25 is outside 1-24"),
        ("0 0 */32 * *", "day of month step 32"),
        ("0 0 1 */13 *", "month step 13"),
        ("0 0 * * */8", "weekday step 8 is outside 1-7"),
        ("/5 * * * *", 'minute "/5"'),
        ("5//5 * * * *", 'minute "5//5"'),
        ("5/ * * * *", 'minute "5/"'),
        ("1-2-3 * * * *", 'minute "1-2-3"'),
        ("*-5 * * * *", 'minute "*-5"'),
        ("** * * * *", 'minute "**"'),
        ("1, * * * *", 'minute "" is not a value, range or step; the range is 0-59'),
        ("0 0 1, * *", 'day of month ""'),
        ("0 0 * * ,1", 'weekday ""'),
        ("0 0 31 2 *", "never fires: no date has day of month 31, month 2 and weekday *."),
        ("0 0 31 2,4,6,9,11 ?", "never fires"),
        ("0 0 30W 2 *", "never fires"),
        ("0 0 L-30 2 *", "never fires"),
        ("30-10 * * * *", "minute range 30-10 is reversed; the range is 0-59"),
        ("0 0 * DEC-JAN *", "month range DEC-JAN is reversed"),
        ("0 0 20-10 * *", "day of month range 20-10 is reversed"),
        ("0 0 * * L", "use 5L"),
        ("0 0 * * MON-L", "use 5L"),
        ("0 0 * * MON#6", "weekday # 6 is outside 1-5"),
        ("0 0 * * 8#1", "weekday 8"),
        ("0 0 * * MON#", 'weekday "MON#"'),
        ("0 0 * * 1#1/2", "1#1/2"),
        ("0 0 * * 1-5L", "1-5L"),
        ("0 0 * * LW", "LW"),
        ("0 0 0W * *", "day of month 0"),
        ("0 0 32W * *", "day of month 32"),
        ("0 0 W * *", 'day of month "W"'),
        ("0 0 L-0 * *", "L- 0 is outside 1-30"),
        ("0 0 L/2 * *", "L/2"),
        ("0 0 1-L * *", '"L"'),
        ("0 ? * * *", 'hour "?"'),
        ("0 0 ?,1 * *", '"?"'),
        ("0 0 ?/2 * *", "?/2"),
        ("0 0 1 ? *", 'month "?"'),
        ("0 0 * JANUARY *", "JANUARY"),
        ("0 0 * MON *", '"MON"'),
        ("0" * 257, "257 characters; the limit is 256"),
    ],
)
def test_a_refusal_says_where_and_why(text: str, problem: str) -> None:
    with pytest.raises(CronError) as caught:
        compile_cron(text)
    assert problem in str(caught.value)
    assert str(caught.value).startswith('"') and len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [None, 5, b"* * * * *", ["*"]])
def test_other_types_are_type_errors(text: Any) -> None:
    with pytest.raises(TypeError, match="cron must be a str"):
        compile_cron(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * FRI-MON", "0 0 * * 5,6,0,1"),
        ("0 0 * * 5-1", "0 0 * * 5,6,0,1"),
        ("0 0 * * FRI-MON/2", "0 0 * * 5,0"),
        ("0 0 * * 0-7", "0 0 * * 0-6"),
        ("0 0 * * SAT-SUN", "0 0 * * 6,0"),
        ("0 0 * * 7-2", "0 0 * * 0-2"),
        ("0 0 * * 1/2", "0 0 * * 1,3,5"),
        ("0 0 * * 7/2", "0 0 * * 0,2,4,6"),
        ("0 0 * * sunL", "0 0 * * 7L"),
        ("0 0 * jan-mar/2 ?", "0 0 * 1,3 *"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("5-5 * * * *", "5 * * * *"),
        ("00 07 01 * *", "0 7 1 * *"),
        ("10-12/5 * * * *", "10 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@annually", "0 0 1 1 *"),
        ("0 30 1 * * *", "30 1 * * *"),
    ],
)
def test_two_spellings_select_the_same(text: str, same: str) -> None:
    one, two = compile_cron(text), compile_cron(same)
    assert list(one.times) == list(two.times)
    for year in (2026, 2028):
        assert one.year(year) == two.year(year)


@pytest.mark.parametrize(
    ("text", "year", "month", "expected"),
    [
        ("0 0 L * *", 2028, 2, [29]),
        ("0 0 L-3 * *", 2026, 2, [25]),
        ("0 0 L-30 * *", 2026, 3, [1]),
        ("0 0 L-30 * *", 2026, 4, []),
        ("0 0 LW * *", 2026, 10, [30]),  # the 31st is a Saturday
        ("0 0 LW * *", 2026, 5, [29]),  # the 31st is a Sunday
        ("0 0 1W * *", 2026, 8, [3]),  # the 1st is a Saturday
        ("0 0 1W * *", 2026, 11, [2]),  # a Sunday
        ("0 0 31W * *", 2026, 5, [29]),
        ("0 0 15W,16 * *", 2026, 8, [14, 16]),
        ("0 0 L,15 * *", 2026, 8, [15, 31]),
        ("0 0 * * 5L", 2026, 10, [30]),
        ("0 0 * * MONL,1#1", 2026, 10, [5, 26]),
        ("0 0 * * FRI#5", 2026, 11, []),
        ("0 0 * * 0#2,3#4", 2026, 12, [13, 23]),
        ("0 0 13 * FRI", 2026, 2, [6, 13, 20, 27]),
        ("0 0 10 * FRI", 2026, 2, [6, 10, 13, 20, 27]),  # both restricted: either
        ("0 0 */10 * FRI", 2026, 5, [1]),  # a star: both
        ("0 0 1-31 * FRI", 2026, 2, list(range(1, 29))),  # not a star
        ("0 0 ? * FRI", 2026, 2, [6, 13, 20, 27]),
        ("0 0 L * *,MON", 2026, 2, [28]),
        ("0 0 * 3 *", 2026, 2, []),
    ],
)
def test_the_day_rule(text: str, year: int, month: int, expected: list[int]) -> None:
    assert days(text, year, month) == expected


def test_the_text_is_normalised() -> None:
    assert compile_cron("  0\t0 *  jan mon-fri ").text == "0 0 * JAN MON-FRI"
    assert compile_cron(" @daily ").text == "@daily"
    assert compile_cron("0 0 * jan *") is compile_cron("0  0 * JAN *")


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("30 2 * * *", True),
        ("0-59 2,3 * * *", True),
        ("0/5 0-23 * * *", True),
        ("*/5 2 * * *", False),
        ("30 */2 * * *", False),
        ("* 30 2 * * *", False),
        ("0 30 2 * * *", True),
        ("@daily", True),
        ("@hourly", False),
    ],
)
def test_fixed_means_no_star_in_the_time_fields(text: str, fixed: bool) -> None:
    assert compile_cron(text).is_fixed is fixed


def test_a_cron_of_every_second_is_small() -> None:
    times = compile_cron("* * * * * *").times
    assert len(times) == 86_400
    assert isinstance(times, range)


@settings(max_examples=60)
@given(*(st.sets(st.integers(0, top), min_size=1) for top in (23, 59, 59)))
def test_the_times_of_a_day_are_a_product(h: set[int], m: set[int], s: set[int]) -> None:
    times = times_of_day(*(sum(1 << value for value in each) for each in (h, m, s)))
    expected = sorted(
        hour * 3600 + minute * 60 + second for hour in h for minute in m for second in s
    )
    assert list(times) == expected
    assert (len(times), times[-1]) == (len(expected), expected[-1])
    with pytest.raises(IndexError):
        times[len(expected)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("* * * * *", tuple),
        ("*/2 * * * * *", range),
        ("0,30 * 0-12 * * *", range),
        ("*/2 * 1,3 * * *", Sequence),
        ("*/7 * * * * *", Sequence),
    ],
)
def test_long_times_of_a_day_are_not_listed(text: str, kind: type) -> None:
    times = compile_cron(text).times
    assert isinstance(times, kind)
    if kind is Sequence:
        assert not isinstance(times, tuple | range)
    assert list(times) == sorted(set(times))


FIELDS = {
    "second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12),
    "weekday": (0, 6),
}  # fmt: skip


@st.composite
def fields(draw: st.DrawFn, name: str) -> str:
    low, high = FIELDS[name]
    value = st.integers(low, high)
    kind = draw(st.sampled_from(["*", "*", "value", "range", "step", "list"]))
    if kind == "value":
        return str(draw(value))
    if kind == "range":
        first, last = sorted((draw(value), draw(value)))
        return f"{first}-{last}" if first < last else str(first)
    if kind == "step" and name not in ("day", "weekday"):  # croniter forgets the star of */2
        return f"*/{draw(st.integers(1, high - low))}"
    if kind == "list":
        return ",".join(map(str, draw(st.lists(value, min_size=1, max_size=4))))
    return "*"


PLAIN = st.tuples(*(fields(name) for name in FIELDS if name != "second")).map(" ".join)
SPECIAL = st.sampled_from(["L", "LW", "L-2", "1W", "15W", "31W", "L,15", "15W,16", "*"])
NAMED = st.sampled_from(["5L", "MON#2", "FRI#5", "1,3L", "*", "FRI-MON", "?"])
ANY = st.one_of(
    PLAIN,
    st.tuples(fields("second"), PLAIN).map(" ".join),
    st.tuples(fields("minute"), fields("hour"), SPECIAL, fields("month"), NAMED).map(" ".join),
)


def compiled(text: str) -> Pattern | None:
    try:
        return compile_cron(text)
    except CronError as exc:
        assert "never fires" in str(exc)
        return None


@settings(max_examples=150, deadline=None)
@given(PLAIN, st.integers(0, 4_000_000_000))
def test_croniter_agrees_in_utc(text: str, after: int) -> None:
    cron = compiled(text)
    if cron is None:
        return
    theirs = croniter(text, datetime.fromtimestamp(after, UTC), max_years_between_matches=100)
    reading = after
    for _ in range(4):
        reading = cron.first_from(reading + 1)
        assert reading == int(theirs.get_next(datetime).timestamp())


def brute_force_days(text: str, first: date, count: int) -> set[date]:
    last = first + timedelta(count - 1)
    years = range(first.year, last.year + 1)
    found = set().union(*(dates(compile_cron(text), year) for year in years))
    return {day for day in found if first <= day <= last}


@settings(max_examples=150, deadline=None)
@given(ANY, st.integers(0, 4_000_000_000), st.integers(1, 40 * DAY))
def test_first_last_and_count_see_one_set(text: str, start: int, length: int) -> None:
    cron = compiled(text)
    if cron is None:
        return
    end = start + length
    seen: list[int] = []
    reading = cron.first_from(start)
    while reading < end and len(seen) < 200:
        seen.append(reading)
        assert cron.last_until(reading) == reading
        reading = cron.first_from(reading + 1)
        assert cron.last_until(reading - 1) == seen[-1]
    assert cron.count(start, min(reading, end)) == len(seen)
    epoch = date(1970, 1, 1)
    first_day = epoch + timedelta(start // DAY)
    allowed = brute_force_days(text, first_day, length // DAY + 2)
    assert {epoch + timedelta(reading // DAY) for reading in seen} <= allowed


def test_readings_end_with_the_year_9999() -> None:
    cron = compile_cron("0 0 31 12 *")
    last = (date.max - date(1970, 1, 1)).days * DAY
    assert cron.first_from(last) == last
    assert cron.first_from(last + 1) == NEVER == cron.first_from(10**13)
    assert cron.last_until(10**13) == last
    assert cron.last_until(-(10**12)) == -NEVER
    assert cron.count(-(10**12), 10**13) == 9999


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*/-,#?LWRabMONFRIJ@ \t", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with suppress(CronError):
        assert compile_cron(text).first_from(0) < NEVER
