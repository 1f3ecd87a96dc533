"""`kron next`: what an expression means, when it is due, what clock changes do to it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from kron.cli import compare as comparing
from kron.core.moments import cron_moments

from .conftest import Kron

VECTORS = json.loads((Path(__file__).parents[1] / "core/time_vectors.json").read_text())
BERLIN = ["--timezone", "Europe/Berlin"]
FALL, SPRING = ["--around", "2026-10-25"], ["--around", "2027-03-28"]


@pytest.fixture
def kron(tmp_path: Path) -> Kron:
    return Kron(tmp_path / "none")


def lines(kron: Kron, *args: str) -> list[str]:
    return [line.rstrip() for line in kron("next", *args).stdout.splitlines()]


def test_the_words_come_first(kron: Kron) -> None:
    assert lines(kron, "30 9 * * 1-5", *BERLIN)[0] == "at 09:30 on weekdays, Europe/Berlin"
    assert lines(kron, "@daily")[0] == "at 00:00 every day"
    assert lines(kron, "15m")[0] == "every 15 minutes, counted from the end of each run"
    assert lines(kron, "day", "--name", "clean-files")[0] == "daily at 15:12 UTC"


def test_nothing_is_created(kron: Kron) -> None:
    lines(kron, "0 9 * * *")
    assert not kron.directory.exists()


def test_a_fold_looks_so(kron: Kron) -> None:
    words, _, head, *rows, _, note = lines(kron, "30 2 * * *", *BERLIN, *FALL)
    assert words == "at 02:30 every day, Europe/Berlin"
    assert head.split() == ["LOCAL", "TIME", "OFFSET", "UTC", "NOTE"]
    ago = re.compile(r"  (in )?[0-9]+ [a-z]( [0-9]+ [a-z])?( ago)?(?=  |$)")
    assert [re.sub(r" {2,}", "  ", ago.sub("", row)) for row in rows] == [
        "Sat 2026-10-24 02:30  +02:00  2026-10-24 00:30",
        "Sun 2026-10-25 02:30  +02:00  2026-10-25 00:30  first of two",
        "Mon 2026-10-26 02:30  +01:00  2026-10-26 01:30",
    ]
    assert note == "02:30 happens twice on 2026-10-25: runs the first time"


def test_a_gap_looks_so(kron: Kron) -> None:
    text = "\n".join(lines(kron, "30 2 * * *", *BERLIN, *SPRING))
    assert re.search(
        r"Sun 2027-03-28 03:00  \+02:00  2027-03-28 01:00 .* instead of 02:30$", text, re.M
    )
    assert "\n02:30 does not exist on 2027-03-28: runs at 03:00" in text
    text = "\n".join(lines(kron, "30 2 * * *", *BERLIN, *SPRING, "--dst", "skip"))
    assert "Sun 2027-03-28" not in text
    assert "\n02:30 does not exist on 2027-03-28: left out" in text


def test_a_dense_timer_shows_what_is_about_the_change(kron: Kron) -> None:
    text = "\n".join(lines(kron, "*/30 * * * *", *BERLIN, *FALL))
    assert "... 49 earlier, from 2026-10-24 on; -n shows more" in text
    assert "... 87 later, until the end of 2026-10-26; -n shows more" in text
    assert (
        re.findall(r"(?:first|second) of two", text) == ["first of two"] * 2 + ["second of two"] * 2
    )
    assert "the hour from 02:00 on 2026-10-25 happens twice: the timer follows real time" in text
    whole = kron.json("next", "*/30 * * * *", *BERLIN, *FALL, "-n", "1000")
    assert (len(whole["moments"]), whole["earlier"], whole["later"]) == (3 * 48 + 2, 0, 0)


CHANGES = [
    (
        *("15 2 * * *", "Australia/Lord_Howe", "2026-10-04"),
        "02:15 does not exist on 2026-10-04: runs at 02:30",
    ),
    (
        *("0 12 * * *", "Pacific/Apia", "2011-12-30"),
        "12:00 does not exist on 2011-12-30: runs at 00:00 on 2011-12-31",
    ),
    (
        *("30 1,2 * * *", "Antarctica/Troll", "2026-03-29"),
        "01:30 and 02:30 do not exist on 2026-03-29: one run, at 03:00",
    ),
    (
        *("30 2 * * *", "Africa/Casablanca", "2026-02-15"),
        "02:30 happens twice on 2026-02-15: runs the first time",
    ),
    (
        *("0 0 * * *", "America/Havana", "2026-03-08"),
        "00:00 does not exist on 2026-03-08: runs at 01:00",
    ),
    (
        *("0 0 * * *", "America/Havana", "2026-11-01"),
        "00:00 happens twice on 2026-11-01: runs the first time",
    ),
]


@pytest.mark.parametrize(("expr", "tz", "day", "note"), CHANGES, ids=[row[3] for row in CHANGES])
def test_changes_of_the_clocks_around_the_world(
    kron: Kron, expr: str, tz: str, day: str, note: str
) -> None:
    document = kron.json("next", expr, "--timezone", tz, "--around", day)
    assert document["notes"] == [note]
    assert note in [moment["note"] for moment in document["moments"]]
    assert note in " ".join(lines(kron, expr, "--timezone", tz, "--around", day))


@pytest.mark.parametrize(
    ("day", "shown"),
    [
        ("2011-12-29", ["28T06:00", "29T06:00"]),
        ("2011-12-30", ["29T06:00", "31T00:00", "31T06:00"]),
        ("2011-12-31", ["31T00:00", "31T06:00", "01T06:00"]),
        ("2012-01-01", ["31T00:00", "31T06:00", "01T06:00", "02T06:00"]),
    ],
)
def test_days_around_a_day_that_did_not_exist(kron: Kron, day: str, shown: list[str]) -> None:
    document = kron.json("next", "0 6 * * *", "--timezone", "Pacific/Apia", "--around", day)
    assert [moment["at"][8:16] for moment in document["moments"]] == shown


def test_a_row_for_each_moment_after_a_time(kron: Kron) -> None:
    rows = lines(kron, "0 9 * * *", *BERLIN, "--after", "2030-01-01T09:00", "-n", "2")[3:]
    assert [row[:20] for row in rows] == ["Wed 2030-01-02 09:00", "Thu 2030-01-03 09:00"]
    rows = lines(kron, "1.5s", "--after", "2030-01-01T00:00:00Z", "-n", "2")[3:]
    assert [row[:27] for row in rows] == [
        "Tue 2030-01-01 00:00:01.500",
        "Tue 2030-01-01 00:00:03.000",
    ]


def test_utc_is_not_shown_twice(kron: Kron) -> None:
    assert lines(kron, "0 9 * * *")[2] == "UTC"


def test_distances_have_two_units() -> None:
    from kron.cli.forecast_text import _distance

    second = 1_000_000
    for seconds, text in [
        *[
            (0, "now"),
            (9, "in 9 s"),
            (12_000, "in 3 h 20 m"),
            (-3600, "1 h ago"),
            (86_400, "in 1 d"),
        ],
        *[
            (86_405, "in 1 d"),
            (99 * 86_400 + 3600, "in 99 d 1 h"),
            (100 * 86_400 + 3600, "in 100 d"),
        ],
        *[(3653 * 86_400, "in 10 y")],
    ]:
        assert _distance(seconds * second) == text


def test_nothing_due_is_said(kron: Kron) -> None:
    assert "(nothing is due)" in lines(kron, "0 0 1 1 *", "--around", "2026-06-06")


def test_json_is_exact(kron: Kron) -> None:
    document = kron.json("next", "30 2 * * *", *BERLIN, *FALL)
    assert document == {
        "expr": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "words": "at 02:30 every day, Europe/Berlin",
        "moments": [
            {"at": "2026-10-24T02:30:00+02:00", "utc": "2026-10-24T00:30:00+00:00", "note": None},
            {
                "at": "2026-10-25T02:30:00+02:00",
                "utc": "2026-10-25T00:30:00+00:00",
                "note": "02:30 happens twice on 2026-10-25: runs the first time",
            },
            {"at": "2026-10-26T02:30:00+01:00", "utc": "2026-10-26T01:30:00+00:00", "note": None},
        ],
        "earlier": 0,
        "later": 0,
        "notes": ["02:30 happens twice on 2026-10-25: runs the first time"],
        "compare": None,
    }


@pytest.mark.parametrize(
    "args",
    [
        ["0-59 2,3 * * *", *BERLIN, *SPRING, "--compare"],
        ["*/7 1-50 2 1-28 JAN-NOV MON-SAT", *BERLIN, "--compare", "--after", "2027-03-27T12:00"],
        ["0 0 LW,1,L-1,L-3 */3 *", "--timezone", "America/Argentina/Buenos_Aires", "-n", "40"],
        ["0 0 1-7 * */7", "--timezone", "Africa/Casablanca", "--compare"],
    ],
)
def test_it_fits_into_80_columns(kron: Kron, args: list[str]) -> None:
    output = kron("next", *args, columns=80).stdout
    assert max(len(line) for line in output.splitlines()) <= 80
    rows = [line for line in output.splitlines() if re.match(r"[SMTWF][a-z][a-z] \d{4}", line)]
    assert rows
    assert all("…" not in row for row in rows)


# -- croniter ----------------------------------------------------------------------------------


def test_croniter_fires_a_fixed_time_twice_in_a_fold(kron: Kron) -> None:
    opinion = kron.json("next", "30 2 * * *", *BERLIN, *FALL, "--compare")["compare"]
    assert not opinion["agrees"]
    assert {"date": "2026-10-25", "kron": [], "croniter": ["2026-10-25T02:30:00+01:00"]} in (
        opinion["differences"]
    )
    text = "\n".join(lines(kron, "30 2 * * *", *BERLIN, *FALL, "--compare"))
    assert "  2026-10-25  only croniter: 02:30 (second)" in text


def test_agreement_is_said(kron: Kron) -> None:
    text = "\n".join(lines(kron, "0 9 * * 1", "--compare", "--after", "2026-11-21T00:00"))
    agreed = r"croniter [0-9.]+ agrees: the same 52 moments from 2026-11-21 to 2027-11-22"
    assert re.search(agreed, text)


def test_what_croniter_reads_as_very_many_moments_is_cut_off(kron: Kron) -> None:
    args = ["59-59 22-22 * * *", "--compare", "--after", "2026-11-21T00:00"]
    opinion = kron.json("next", *args)["compare"]
    assert opinion["differences"]  # a range of one is a whole cycle there
    assert opinion["begin"] < opinion["end"] < "2027-11-21"


def test_a_year_of_seconds_is_compared_in_parts(kron: Kron) -> None:
    opinion = kron.json("next", "*/5 * * * * *", *BERLIN, *FALL, "--compare")["compare"]
    assert opinion["agrees"]
    assert not opinion["is_whole"]
    assert 500 < opinion["compared"] < 20_000


def test_a_refusal_of_croniter_has_its_reason(kron: Kron) -> None:
    opinion = kron.json("next", "0 0 L-3 * *", "--compare")["compare"]
    assert opinion["problem"]
    assert (opinion["agrees"], opinion["compared"], opinion["differences"]) == (False, 0, [])
    text = "\n".join(lines(kron, "0 0 L-3 * *", "--compare"))
    assert re.search(r"croniter [0-9.]+ refuses it: \S+", text)


def test_many_differences_are_cut_short_for_people_only(kron: Kron) -> None:
    args = ["0 0 1-7 * */7", "--compare", "--after", "2026-11-21T00:00"]
    found = kron.json("next", *args)["compare"]["differences"]
    assert len(found) > 100
    assert f"... and on {len(found) - 10} more" in lines(kron, *args)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([RuntimeError("too deep")], "too deep"),
        ([OverflowError()], "OverflowError"),
        ([datetime(2026, 1, 2, tzinfo=UTC)] * 2, "does not go on after 2026-01-02"),
    ],
)
def test_a_croniter_that_fails_or_stands_still_is_no_failure_of_ours(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any], problem: str
) -> None:
    class Broken:
        def __init__(self, *args: Any, **more: Any) -> None:
            self.answers = list(answers)

        def get_next(self, kind: type) -> datetime:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, datetime)
            return answer

    monkeypatch.setattr("croniter.croniter", Broken)
    begin = 1_767_225_600_000_000  # 2026-01-01
    found = comparing.compare(cron_moments("0 0 * * *"), "0 0 * * *", begin)
    assert found.problem.startswith(problem)
    assert not found.agrees


# -- wrong input -------------------------------------------------------------------------------


def refused(kron: Kron, *args: str, code: int = 1) -> str:
    result = kron("next", *args, code=code)
    assert result.stdout == ""
    if code == 1:
        assert result.stderr.startswith("kron: ")
        assert result.stderr.count("\n") == 1
    return " ".join(re.sub("[╭╮╰╯│─]", " ", result.stderr).split())


GENERATED = {
    "4,000-digit number": "9" * 4000 + " * * * *",
    "20,000-item list": ",".join(["1"] * 20_000) + " * * * *",
}


@pytest.mark.parametrize("row", VECTORS["cron_reject"], ids=lambda row: row["why"])
def test_a_refused_expression_is_one_line(kron: Kron, row: dict[str, Any]) -> None:
    expr = row["expr"] if row["expr"] is not None else GENERATED[row["why"].partition(":")[0]]
    for more in ([], ["--compare"], ["--json"]):
        assert len(refused(kron, expr, *more)) < 250


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["0 9 * * *", "-z", "Europe/Berlim"], 'Did you mean "Europe/Berlin"?'),
        (["0 9 * * *", "-z", ""], "is not a known time zone"),
        (["0 9 * * *", "--around", "2026-13-01"], "--around='2026-13-01' is not a date such as"),
        (["0 9 * * *", "--around", "2026-10-25T00:00"], "is not a date such as"),
        (["0 9 * * *", "--around", "9999-12-31"], "is not a date such as"),
        (["0 9 * * *", "--after", "soon"], "--after='soon' is not an ISO 8601 date"),
        (["0 9 * * *", "--dst", "twice"], "dst must be one of: once, skip"),
        (["soon"], "every='soon' is not a duration"),
        (["0s"], "must be longer than 0"),
        (["day"], "slot that follows from the timer's name"),
        (["day", "--name", "no name"], "cannot be used"),
        (["*"], "1 fields; cron has 5"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line(kron: Kron, args: list[str], text: str) -> None:
    assert text in refused(kron, *args)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["0 9 * * *", "-n", "0"], "greater than or equal to 1"),
        (["0 9 * * *", "-n", "1001"], "less than or equal to 1000"),
        (["0 9 * * *", "-n", "many"], "valid integer"),
        (["0 9 * * *", "--around", "2026-10-25", "--after", "2026-10-25"], "exclude each other"),
        (["15m", "--around", "2026-10-25"], "a duration counts from its start"),
        (["15m", "--compare"], "needs a cron expression"),
        (["day", "--name", "x", "--compare"], "needs a cron expression"),
        (["0 9 * * *", "--timezne", "UTC"], "--timezne"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_is_told(kron: Kron, args: list[str], text: str) -> None:
    assert text in refused(kron, *args, code=2)


@pytest.mark.parametrize("day", ["0001-01-03", "9999-12-29"])
@pytest.mark.parametrize("tz", ["UTC", "Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin"])
def test_the_ends_of_time_can_be_asked_about(kron: Kron, day: str, tz: str) -> None:
    document = kron.json("next", "0 12 * * *", "--around", day, "--timezone", tz)
    assert 1 <= len(document["moments"]) <= 3


def test_foreign_text_does_nothing_to_a_terminal(kron: Kron) -> None:
    assert "\x1b" not in refused(kron, "0 9 * * \x1b[31m")
    assert "\x1b" not in refused(kron, "0 9 * * *", "-z", "\x1b[31m")
    assert orjson.loads(kron("next", "0 9 * * *", "--json").stdout)["expr"] == "0 9 * * *"
