"""What people see: 80 columns, no torn timestamps, nothing a terminal would act on."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from kron.cli import words

from .conftest import LONG_NAME, Kron

COMMANDS = [
    ["job", "list"],
    ["job", "status", "bad"],
    ["job", "status", LONG_NAME],
    ["job", "history", "bad"],
    ["log", "tail"],
    ["doctor"],
]
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d|[A-Z][a-z]{2} \d\d \d\d:\d\d"
)


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("args", COMMANDS)
def test_output_fits(cli: Kron, args: list[str], columns: int) -> None:
    lines = cli(*args, columns=columns).stdout.splitlines()
    assert max(len(line) for line in lines) <= columns


@pytest.mark.parametrize("args", [*COMMANDS, ["job", "history", "retrying"]])
def test_nothing_dangerous_reaches_the_terminal(cli: Kron, args: list[str]) -> None:
    for output in (cli(*args, columns=200).stdout, cli(*args, "--json").stdout):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", output)


def test_the_error_is_shown_escaped_and_in_full(cli: Kron) -> None:
    text = " ".join(cli("job", "status", "bad", columns=200).stdout.split())
    assert r"no \x1b[31mred\x1b[0m \x9b1m news" in text
    assert text.count("and more") == 30


def test_json_is_the_same_text_in_spite_of_escapes(cli: Kron) -> None:
    assert "no \x1b[31mred\x1b[0m \x9b1m news" in cli.json("job", "status", "bad")["last_status"]


def test_the_list_at_80_columns(cli: Kron) -> None:
    head, *lines = cli("job", "list").stdout.splitlines()
    assert head.split() == "TIMER STATE NEXT RUN (UTC) LAST SCHEDULE".split()
    by_name = {line.split()[0]: line for line in lines}
    assert "08:00" in by_name["bad"]
    assert re.search(r"DEAD +daily 08:00 ", by_name["bad"])
    assert "every 5 minutes" in by_name["paused"]
    long = next(line for name, line in by_name.items() if name.startswith("a-very"))
    assert re.search(r"^a-very-\S*… +scheduled +2037-01-01  in 10 y +- +once on 2037-01-01", long)
    for line in lines:
        assert TIMESTAMP.search(line) or "2037-01-01" in line or "-" in line


def test_the_list_at_200_columns_has_whole_names_and_times(cli: Kron) -> None:
    text = cli("job", "list", columns=220).stdout
    assert LONG_NAME in text
    assert "once at 2037-01-01 08:00:00" in text


def test_history_has_a_line_a_row(cli: Kron) -> None:
    head, *lines = cli("job", "history", "bad").stdout.splitlines()
    assert head.split() == ["SCHEDULED", "(UTC)", "STATUS", "TRY", "TOOK", "DETAIL"]
    assert [line.split()[2] for line in lines] == ["DEAD", "FAILED"]
    assert all(TIMESTAMP.match(line) and line.rstrip().endswith("…") for line in lines)
    assert "run_" in cli("job", "history", "bad", columns=200).stdout


def test_missed_moments_are_a_range_with_reason_and_count() -> None:
    from rich.console import Console

    from kron.cli.tables import history_table

    row: Any = dict.fromkeys(["run_id", "attempt", "started_at", "duration_ms", "error"])
    row |= {
        "timer": "t",
        "status": "MISSED",
        "scheduled_at": "2016-01-01T08:00:00+00:00",
        "last_scheduled_at": "2016-01-05T08:00:00+00:00",
        "count": 1200,
        "reason": "down",
        "cause": "schedule",
    }
    screen = Console(width=80, record=True, file=StringIO())
    screen.print(history_table([row], UTC, is_wide=False))
    assert "down: 1,200 until 2016-01-05" in screen.export_text()
    screen = Console(width=200, record=True, file=StringIO())
    screen.print(history_table([row], UTC, is_wide=True))
    assert "down: 1,200 moments until 2016-01-05" in screen.export_text()


def test_an_empty_directory_has_no_timers(tmp_path: Any) -> None:
    import kron

    scheduler = kron.Scheduler()
    scheduler.start(tmp_path / "d")
    scheduler.shutdown()
    cli = Kron(tmp_path / "d")
    assert cli("job", "list").stdout == "(no timers registered)\n"
    assert cli.json("job", "list") == []


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("0 8 * * *", "daily 08:00"),
        ("30 2 * * 1-5", "Mon-Fri 02:30"),
        ("5 9 * * sat,7", "Sat,Sun 09:05"),
        ("0 0 1 * *", "monthly on day 1 00:00"),
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/7 * * * *", "cron */7 * * * *"),
        ("15 * * * *", "hourly at :15"),
        ("0 8 1 1 *", "cron 0 8 1 1 *"),
        ("0 8 1 * 1", "cron 0 8 1 * 1"),
        ("0 8,9 * * *", "cron 0 8,9 * * *"),
        ("0 8 * * 1#2", "cron 0 8 * * 1#2"),
        ("0 0 8 * * *", "cron 0 0 8 * * *"),
        ("0 8 L * *", "cron 0 8 L * *"),
    ],
)
def test_only_the_plainest_crons_have_words(expression: str, text: str) -> None:
    assert words.cron_words(expression) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "now"),
        (9, "in 9 s"),
        (-30, "30 s ago"),
        (600, "in 10 min"),
        (7200, "in 2 h"),
        (86400 * 9, "in 9 d"),
        (86400 * 3653, "in 10 y"),
    ],
)
def test_distances_in_words(seconds: float, text: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert words.distance((now + timedelta(seconds=seconds)).isoformat(), now) == text


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (None, "-"),
        (0.2, "<1 ms"),
        (21.4, "21 ms"),
        (3500, "3.5 s"),
        (125_000, "2 min 5 s"),
        (7_260_000, "2 h 1 min"),
    ],
)
def test_durations_in_words(duration_ms: float | None, text: str) -> None:
    assert words.took(duration_ms) == text
