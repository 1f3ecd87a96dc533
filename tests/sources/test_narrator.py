"""A log line for each thing that happens to a run."""

import logging
import time

import pytest

from kron.core import events as ev
from kron.core.machine import Step
from kron.sources.narrator import SENTENCES, Narrator, took


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


AT = 1_795_311_720_000_000  # 2026-11-22 01:42 UTC
RUN = 4096


def step_of(*events):
    return Step(1, [*events], [], False)


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
        Narrator().see(step_of(event))
    assert caplog.messages == [line]


def test_what_goes_without_saying_is_left_out(caplog):
    with caplog.at_level(logging.INFO, "kron"):
        Narrator().see(step_of(ev.RunDue("t", AT, AT, None)))
    assert caplog.messages == []


def test_failures_are_counted_but_not_those_a_killed_process_has_left():
    narrator = Narrator()
    narrator.see(step_of(ev.RunFailed("t", RUN, 1, AT, AT, AT, 5, "no")))
    narrator.see(step_of(ev.RunFailed("t", RUN, 2, AT, AT, AT, 5, "gone", "crashed")))
    assert narrator.failures == 1


def test_the_attempt_that_a_shutdown_cuts_short_is_not_said_to_follow(caplog):
    failed = ev.RunFailed("t", RUN, 1, AT, AT, AT, 5, "", "shutdown")
    with caplog.at_level(logging.INFO, "kron"):
        Narrator().see(step_of(failed, ev.RunRetrying("t", RUN, 1, AT)))
    assert caplog.messages == ["t: cut short, and due again at the next start"]


def test_all_that_it_tells_of_has_a_timer():
    assert all("timer" in kind._fields for kind in SENTENCES)


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "<1ms"), (999, "<1ms"), (35_400, "35ms"), (1_250_000, "1.2s"), (3_661_500_000, "1h1m1s")],
)
def test_how_long_it_took(us, text):
    assert took(us) == text
