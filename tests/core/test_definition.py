"""What `schedule()` accepts; bad input is told what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest

from kron.core.definition import DEFINITION_BYTES, check_name, define
from kron.core.errors import CronError, KronError, ScheduleError
from kron.core.model import Definition, Kind, Overlap


def made(**options: Any) -> Definition:
    return define(**options)[0]


def test_the_defaults() -> None:
    assert made(every="1m") == Definition(Kind.EVERY, 60_000_000)
    assert made(after=0).value == 0
    assert made(at="2027-01-01T01:00:00+01:00").value == 1_798_761_600_000_000
    assert made(at="2027-01-01T01:00:00", timezone="Europe/Berlin").value == 1_798_761_600_000_000
    assert made(cron="0 8 * * *").terms.overlap is Overlap.DELAY


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"every": "60s"}, {"every": timedelta(minutes=1)}),
        ({"every": 90}, {"every": "1m30s"}),
        ({"cron": "0  8 * * *"}, {"cron": "0 8 * * *"}),
        ({"every": 1, "kwargs": {}}, {"every": 1, "kwargs": None}),
        ({"every": 1, "args": [1]}, {"every": 1, "args": (1,)}),
        ({"every": 1, "timezone": "UTC"}, {"every": 1}),
        (
            {"at": datetime(2027, 1, 1, tzinfo=UTC)},
            {"at": datetime(2027, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))},
        ),
    ],
)
def test_two_spellings_are_one_definition(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert made(**one) == made(**other)


def test_the_name_of_the_callable_is_no_part_of_the_comparison() -> None:
    assert made(every=1, fn_name="f") == made(every=1, fn_name="g")


def test_what_is_kept_is_a_copy() -> None:
    kwargs = {"a": [1]}
    definition = made(every=1, kwargs=kwargs, metadata=MappingProxyType({"b": 2}))
    kwargs["a"].append(2)
    assert definition.terms.kwargs == {"a": [1]} and definition.terms.metadata == {"b": 2}


def test_a_definition_survives_json() -> None:
    definition = made(
        cron="0 8 * * *", args=[1], kwargs={"a": 1}, overlap="skip", description="d", fn_name="f"
    )
    assert Definition.from_json(definition.to_json()) == definition


EVERY = {"every": "1m"}
RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)

BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ScheduleError, "requires exactly one of cron, every, after, at"),
    ({"every": 1, "after": 1}, ScheduleError, "requires exactly one of cron, every, after, at"),
    ({"cron": "61 * * * *"}, CronError, r"minute.*61.*0-59"),
    ({"cron": "* * 31 2 *"}, CronError, "never"),
    ({"cron": "* * *"}, CronError, "fields"),
    ({"cron": 5}, TypeError, "cron must be a string or a kron.Cron, not int"),
    ({**EVERY, "timezone": "Europe/Berln"}, ScheduleError, r"Europe/Berln.*Europe/Berlin"),
    ({**EVERY, "timezone": 5}, TypeError, "timezone must be a str"),
    ({"at": datetime(2027, 1, 1)}, ScheduleError, "at=.*has no time zone.*timezone="),  # noqa: DTZ001
    ({"at": "2027-01-01T00:00:00"}, ScheduleError, "at='2027.*has no time zone"),
    ({"at": "tomorrow"}, ScheduleError, "at='tomorrow' is not an ISO 8601"),
    ({"at": 1_800_000_000}, TypeError, "at must be an aware datetime or an ISO 8601 string"),
    ({"every": 0}, ScheduleError, "every=0 must be longer than 0.*Use"),
    ({"every": -1}, ScheduleError, "every=-1 is negative"),
    ({"every": float("nan")}, ScheduleError, "every=nan is not finite"),
    ({"every": float("inf")}, ScheduleError, "every=inf is not finite"),
    ({"every": 2**64}, ScheduleError, "every=.*longer than 100 years"),
    ({"every": 10**5000}, ScheduleError, "every=.*longer than 100 years"),
    ({"every": "soon"}, ScheduleError, "every='soon' is not a duration.*Use"),
    ({"every": True}, ScheduleError, "every=True is not a duration"),
    ({"every": []}, TypeError, "every must be"),
    ({"after": "-1s"}, ScheduleError, "after='-1s'"),
    ({**EVERY, "retry_delay": -1}, ScheduleError, "retry_delay=-1 is negative"),
    ({**EVERY, "overlap": "stop"}, ScheduleError, "overlap must be one of: delay, skip, allow, r"),
    ({**EVERY, "timeout": 0}, ScheduleError, "timeout=0"),
    ({**EVERY, "timeout": "soon"}, ScheduleError, "timeout='soon'"),
    ({**EVERY, "weight": 0}, ScheduleError, "weight=0 is outside 1-1000000; it counts against max"),
    ({**EVERY, "weight": 1.5}, TypeError, "weight must be an int, not float"),
    ({**EVERY, "priority": 11}, ScheduleError, "priority=11 is outside 0-10; larger goes first"),
    ({**EVERY, "priority": True}, TypeError, "priority must be an int, not bool"),
    ({**EVERY, "key": ""}, ScheduleError, "key='' cannot be used: 1 to 128 printable characters"),
    ({**EVERY, "key": "a\nb"}, ScheduleError, "key='a.*nb' cannot be used"),
    ({**EVERY, "key": 7}, TypeError, "key must be a string, not int"),
    ({**EVERY, "key": "k", "key_limit": 0}, ScheduleError, "key_limit=0 is outside"),
    ({**EVERY, "key_limit": 2}, ScheduleError, "key_limit= says how many runs of one key="),
    ({**EVERY, "executor": "fork"}, ScheduleError, "executor must be one of: thread, process; not"),
    ({**EVERY, "overlap": None}, ScheduleError, "overlap must be one of"),
    ({**EVERY, "max_attempts": 0}, ScheduleError, "max_attempts=0 is outside.*1 means"),
    ({**EVERY, "max_attempts": -3}, ScheduleError, "max_attempts=-3"),
    ({**EVERY, "max_attempts": "3"}, TypeError, "max_attempts must be an int, not str"),
    ({**EVERY, "max_attempts": True}, TypeError, "max_attempts must be an int, not bool"),
    ({**EVERY, "kwargs": {"a": {1, 2}}}, TypeError, r"kwargs\['a'\] is a set.*functools.partial"),
    ({**EVERY, "kwargs": {"a": {"b": [0, b""]}}}, TypeError, r"kwargs\['a'\]\['b'\]\[1\] is a by"),
    ({**EVERY, "kwargs": {1: 2}}, TypeError, "kwargs has the key 1"),
    ({**EVERY, "kwargs": [1]}, TypeError, "kwargs must be a mapping, not list"),
    ({**EVERY, "args": "abc"}, TypeError, "args must be a list or tuple, not str"),
    ({**EVERY, "args": [float("nan")]}, TypeError, r"args\[0\] = nan is no JSON number"),
    ({**EVERY, "args": [2**64]}, TypeError, r"args\[0\] = .* does not fit in 64 bits"),
    ({**EVERY, "args": RECURSIVE}, TypeError, "nested deeper than 64"),
    ({**EVERY, "metadata": {"a": "\ud800"}}, TypeError, r"metadata\['a'\] holds half a surrogate"),
    ({**EVERY, "description": 5}, TypeError, "description must be a string, not int"),
    ({**EVERY, "args": ["x" * DEFINITION_BYTES]}, ScheduleError, "at most 262144.*Store the bulk"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD, ids=[case[2][:40] for case in BAD])
def test_bad_input_is_named(options: Mapping[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        define(**options)
    assert isinstance(caught.value, TypeError | ValueError)
    assert len(str(caught.value)) < 600


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="evry"):
        define(evry="1m")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["a", "9", "A-b_c.d:e@f", "x" * 128])
def test_a_good_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 129, "x" * 100_000, "a\n", "a\x00", "naïve", "-a", ".a", "a b", "a/b", "٣"]
)
def test_a_bad_name_is_shown_with_the_rule(name: str) -> None:
    with pytest.raises(
        ScheduleError, match=r"name=.* cannot be used: 1 to 128 characters"
    ) as caught:
        check_name(name)
    assert isinstance(caught.value, KronError) and len(str(caught.value)) < 400


def test_a_name_that_is_no_text() -> None:
    with pytest.raises(TypeError, match="name must be a string, not int"):
        check_name(5)
