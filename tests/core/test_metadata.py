"""Which metadata a filter fits, and the words and numbers of the questions for many."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from kron.core.errors import ScheduleError
from kron.core.metadata import meets, read_conditions
from kron.core.row_query import read_row_query
from kron.core.timer_query import STATES, read_timer_query

NOW_US = 1_800_000_000_000_000
KNOWN = {
    "tenant_id": "acme",
    "org": {"team": "web", "lead": {"name": "Ada"}},
    "flag": True,
    "n": 1,
    "none": None,
    "tags": ["a", 1],
    "a.b": "dotted",
    "a": {"b": "nested", "c": 3},
}


def fits(**filters: Any) -> bool:
    return meets(KNOWN, read_conditions(filters))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tenant_id", "acme"),
        ("org.team", "web"),
        ("org.lead.name", "Ada"),
        ("org", {"lead": {"name": "Ada"}, "team": "web"}),
        ("flag", True),
        ("n", 1),
        ("n", 1.0),
        ("none", None),
        ("tags", ["a", 1]),
        ("tags", ("a", 1)),
        ("a.b", "dotted"),
        ("a.c", 3),
    ],
)
def test_a_value_at_a_path_fits(path: str, value: Any) -> None:
    assert fits(**{path: value})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tenant_id", "ACME"),
        ("tenant_id", None),
        ("tenant", "acme"),
        ("nothing", None),  # what is not there is not None
        ("org.team.name", "web"),
        ("org.nobody", None),
        ("org", {"team": "web"}),
        ("flag", 1),
        ("flag", "true"),
        ("n", True),
        ("n", "1"),
        ("tags", ["a", True]),
        ("tags", ["a"]),
        ("tags.0", "a"),
        ("a.b", "nested"),
    ],
)
def test_another_one_does_not(path: str, value: Any) -> None:
    assert not fits(**{path: value})


def test_all_conditions_have_to_be_met_and_none_is_no_filter() -> None:
    assert fits(tenant_id="acme", n=1)
    assert not fits(tenant_id="acme", n=2)
    assert read_conditions({}) == read_conditions(None) == ()
    assert not meets(None, read_conditions({"tenant_id": "acme"}))


@pytest.mark.parametrize(
    ("metadata", "kind", "words"),
    [
        ("acme", TypeError, "a mapping of paths"),
        ([("tenant_id", "acme")], TypeError, "a mapping of paths"),
        ({1: "acme"}, TypeError, "must be strings"),
        ({"tenant_id": object()}, TypeError, r"metadata\['tenant_id'\] is a object"),
        ({"n": float("nan")}, TypeError, "no JSON number"),
        ({"": "acme"}, ScheduleError, "must name something"),
    ],
)
def test_what_is_no_filter_is_refused(metadata: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        read_timer_query({"metadata": metadata})
    with pytest.raises(kind, match=words):
        read_row_query(None, {"metadata": metadata}, NOW_US)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"tenant_id": "acme"}, TypeError, "no keyword 'tenant_id'"),
        ({"metdata": {}}, TypeError, "Did you mean metadata?"),
        ({"state": "asleep"}, ScheduleError, "state='asleep' must be one of: scheduled, running"),
        ({"state": "runing"}, ScheduleError, "Did you mean running?"),
        ({"state": ["paused", 3]}, TypeError, "state must be a string or several, not int"),
        ({"state": 3}, TypeError, "state must be a string or several, not int"),
        ({"limit": -1}, ScheduleError, "limit=-1 must be a whole number from 0 on"),
        ({"limit": True}, TypeError, "limit must be a whole number, not True"),
        ({"limit": "9"}, TypeError, "limit must be a whole number"),
        ({"offset": -1}, ScheduleError, "offset=-1"),
        ({"offset": None}, TypeError, "offset must be a whole number"),
        ({"match": "("}, ScheduleError, "is not a regular expression"),
        ({"match": 3}, TypeError, "match must be a string"),
    ],
)
def test_a_filter_of_list_is_read_strictly(options: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words.replace("?", r"\?")):
        read_timer_query(options)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"status": "OK"}, TypeError, r"no keyword 'status'. Did you mean state\?"),
        ({"state": "scheduled"}, ScheduleError, "must be one of: OK, FAILED, DEAD"),
        ({"limit": None}, TypeError, "limit must be a whole number"),
        ({"since": "yesterday"}, ScheduleError, "since='yesterday' is not an ISO 8601"),
        ({"since": "2026-01-01T00:00:00"}, ScheduleError, "has no time zone"),
        ({"until": object()}, TypeError, "until must be an aware datetime"),
        ({"since": "1h", "until": "2h"}, ScheduleError, "until='2h' lies before since='1h'"),
        ({"since": -3}, ScheduleError, "since=-3 is negative"),
    ],
)
def test_a_filter_of_history_is_read_strictly(
    options: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read_row_query(None, options, NOW_US)


def test_more_than_there_can_be_is_all() -> None:
    query = read_timer_query({"limit": 1 << 70, "offset": 1 << 65})
    assert query.reach is not None and query.reach <= sys.maxsize
    assert read_row_query(None, {"limit": 1 << 70, "offset": 3}, NOW_US).reach <= sys.maxsize


def test_words_are_read_in_any_case_one_or_several() -> None:
    assert read_timer_query({"state": "Running"}).states == {"running"}
    assert read_timer_query({"state": STATES}).states == set(STATES)
    assert read_timer_query({"state": []}).states == set()  # none of them: no rows
    assert read_timer_query({"state": None}).states is None
    words = {"state": ("ok", "Skipped", "succeeded")}
    assert read_row_query(None, words, NOW_US).sieve.statuses == {"OK", "SKIPPED_OVERLAP"}
