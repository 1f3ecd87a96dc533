"""Chronis' interface on a virtual clock, or in a directory of its own."""

from __future__ import annotations

import threading

import pytest

from kron.compat.chronis import PollingScheduler
from kron.testing import VirtualClock, on_clock


class Program:
    """A program of Chronis that goes by a virtual clock (2027-01-01, a Friday), and what it ran."""

    def __init__(self, polling, clock):
        self.jobs, self.clock, self.ran = polling, clock, []

    def note(self, *what):
        self.ran.append(what)

    def advance(self, duration):
        self.clock.drive(self.clock.advance(duration))

    def settle(self):
        self.clock.drive(self.clock.settle())


@pytest.fixture
def program():
    polling, clock = PollingScheduler(), VirtualClock()
    with on_clock(clock, polling.kron):
        yield Program(polling, clock)


@pytest.fixture
def polling(place):
    """One that is not started, in a directory."""
    polling = PollingScheduler(store=place)
    yield polling
    polling.stop(timeout_seconds=0.2)


@pytest.fixture
def gate():
    """What a job waits for; it opens in the end."""
    gate = threading.Event()
    yield gate
    gate.set()
