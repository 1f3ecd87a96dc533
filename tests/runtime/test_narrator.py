"""A log line for each thing that happens to a run."""

import logging
import time

import pytest

from kron.core import events as ev
from kron.core.machine import Step
from kron.core.state import State
from kron.runtime.narrator import SENTENCES, Narrator, took
from kron.testing import VirtualScheduler


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


AT = 1_795_311_720_000_000  # 2026-11-22 01:42 UTC
RUN = 4096
LOG = "0123456789abcdef"


def step_of(*events):
    return Step(1, [*events], [], False)


def narrator(**options):
    return Narrator(State(), LOG, **options)


def told(caplog):
    """What was said: level, sentence, run and attempt."""
    return [
        (r.levelname, r.getMessage(), getattr(r, "run", None), getattr(r, "attempt", None))
        for r in caplog.records
        if r.name == "kron.runs"
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ev.RunStarted("t", RUN, 1, AT), "t: started"),
        (ev.RunStarted("t", RUN, 3, AT), "t: started (attempt 3)"),
        (ev.RunSucceeded("t", RUN, 1, AT, AT, AT, 1_234_567), "t: done in 1.2s"),
        (ev.RunRetrying("t", RUN, 2, AT), "t: attempt 2 follows at 2026-11-22 01:42:00+0000"),
        (
            ev.RunDue("t", AT, AT + 90_000_000, None, "schedule", 2, "", "down"),
            "t: due: 2026-11-22 01:42:00+0000, 1m30s late (down), it stands for 2 more",
        ),
        (
            ev.RunDue("t", AT, AT, None, "manual"),
            "t: due: 2026-11-22 01:42:00+0000, manual run",
        ),
        (
            ev.RunSkippedOverlap("t", AT, AT, None, RUN),
            "t: skipped: 2026-11-22 01:42:00+0000, the run before it goes on",
        ),
        (ev.RunMissed("t", AT, AT, 1, "down", AT), "t: missed (down): 2026-11-22 01:42:00+0000"),
        (
            ev.RunMissed("t", AT, AT + 60_000_000, 2, "grace", AT),
            "t: missed (grace): 2026-11-22 01:42:00+0000 to 2026-11-22 01:43:00+0000, 2 moments",
        ),
        (
            ev.RunFailed("t", RUN, 1, AT, AT, AT, 5, "", "shutdown"),
            "t: cut short, and due again at the next start",
        ),
        (ev.TimerRemoved("t", AT), "t: removed; its history stays"),
        (ev.RunCancelled("t", RUN, 1, AT, AT, AT, "cancel"), "t: cancelled (cancel)"),
    ],
)
def test_it_says(event, line, caplog, utc):
    with caplog.at_level(logging.INFO, "kron"):
        narrator().see(step_of(event))
    assert caplog.messages == [line]


def test_what_goes_without_saying_is_left_out(caplog):
    with caplog.at_level(logging.INFO, "kron"):
        narrator().see(step_of(ev.RunDue("t", AT, AT, None)))
    assert caplog.messages == []


def test_the_attempt_that_a_shutdown_cuts_short_is_not_said_to_follow(caplog):
    failed = ev.RunFailed("t", RUN, 1, AT, AT, AT, 5, "", "shutdown")
    with caplog.at_level(logging.INFO, "kron"):
        narrator().see(step_of(failed, ev.RunRetrying("t", RUN, 1, AT)))
    assert caplog.messages == ["t: cut short, and due again at the next start"]


def test_without_a_listener_a_step_is_not_looked_at(caplog):
    class Untouchable:
        @property
        def events(self):
            raise AssertionError

    with caplog.at_level(logging.WARNING, "kron"):
        narrator().see(Untouchable())


@pytest.mark.parametrize(("is_foreground", "level"), [(False, "INFO"), (True, "WARNING")])
def test_what_does_not_run_is_a_warning_only_in_the_foreground(caplog, is_foreground, level):
    skipped = ev.RunSkippedOverlap("t", AT, AT, None, RUN)
    for least in (logging.INFO, logging.WARNING):
        caplog.clear()
        with caplog.at_level(least, "kron"):
            narrator(is_foreground=is_foreground).see(step_of(skipped))
        levels = [record.levelname for record in caplog.records]
        assert levels == [level] * (level == "WARNING" or least == logging.INFO)


def test_from_due_to_its_end_each_line_has_the_run(caplog):
    def fail():
        raise ValueError("no")

    with caplog.at_level(logging.DEBUG, "kron"), VirtualScheduler() as scheduler:
        scheduler.schedule("bad", fail, after="1m", retry_delay="10m")
        scheduler.advance("2m")
        assert scheduler.cancel("bad") == 1
        run = scheduler.history("bad")[0]["run_id"]
    lines = [(r.timer, r.run, r.attempt) for r in caplog.records if r.name == "kron.runs"]
    assert lines == [("bad", run, number) for number in (1, 1, 1, 2, 2)]
    texts = [line.split(" ")[1].rstrip(":\n") for _, line, _, _ in told(caplog)]
    assert texts == ["due", "started", "bad", "attempt", "cancelled"]


def test_a_moment_without_a_run_has_none(caplog):
    with caplog.at_level(logging.INFO, "kron"):
        narrator().see(step_of(ev.RunMissed("t", AT, AT, 1, "down", AT)))
    (record,) = caplog.records
    assert record.timer == "t" and not vars(record).keys() & {"run", "attempt"}


def test_an_embedded_program_hears_of_its_runs(caplog):
    def fail():
        raise ValueError("no")

    with caplog.at_level(logging.INFO, "kron"), VirtualScheduler() as scheduler:
        scheduler.schedule("bad", fail, after="1m", max_attempts=2, retry_delay="30s")
        scheduler.advance("5m")
        run = scheduler.history("bad")[0]["run_id"]
    lines = [
        (level, line.splitlines()[0], who, number) for level, line, who, number in told(caplog)
    ]
    assert lines[:3] == [
        ("INFO", "bad: started", run, 1),
        ("ERROR", "timer bad: attempt 1 failed", run, 1),
        ("INFO", lines[2][1], run, 2),
    ]
    assert lines[2][1].startswith("bad: attempt 2 follows at 20")
    assert lines[3:] == [
        ("INFO", "bad: started (attempt 2)", run, 2),
        ("ERROR", "timer bad: attempt 2 failed", run, 2),
        ("ERROR", "timer bad: the run is given up after attempt 2", run, 2),
    ]


def test_a_filter_that_raises_keeps_no_run_open(caplog, capsys):
    """`logging` shows what a handler raises, but lets through what a filter does."""

    def broken(record):
        raise KeyError("request_id")

    logger = logging.getLogger("kron.runs")
    logger.addFilter(broken)
    try:
        with caplog.at_level(logging.INFO, "kron"), VirtualScheduler() as scheduler:
            scheduler.schedule("bad", lambda: 1 / 0, after="1m", max_attempts=1)
            scheduler.advance("2m")
            assert scheduler.status("bad")["state"] == "dead"
    finally:
        logger.removeFilter(broken)
    assert "KeyError: 'request_id'" in capsys.readouterr().err


def test_all_that_it_tells_of_has_a_timer():
    assert all("timer" in kind._fields for kind in SENTENCES)


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "<1ms"), (999, "<1ms"), (35_400, "35ms"), (1_250_000, "1.2s"), (3_661_500_000, "1h1m1s")],
)
def test_how_long_it_took(us, text):
    assert took(us) == text
