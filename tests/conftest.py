"""What every test relies on: no KRON_* of the developer's shell, no time limits, and a scheduler
whose log is judged."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

import kron.core.state
from kron.scheduler import Scheduler
from tests.witness import Witness, judged

pytest_plugins = "pytester"  # for tests/testing; only this conftest may ask for it

for name in [name for name in os.environ if name.startswith("KRON_")]:
    del os.environ[name]

# Tests count work, they do not time; a slow machine is no failure.
settings.register_profile("kron", deadline=None)
settings.load_profile("kron")


@pytest.fixture
def place(tmp_path):
    """A data directory that is not there yet."""
    return tmp_path / "kron"


@pytest.fixture
def scheduler(place):
    """A started one; its log is judged in the end."""
    scheduler = Scheduler()
    scheduler.start(place)
    yield scheduler
    scheduler.shutdown(0.2)
    assert judged(place) == []


@pytest.fixture
def witness(tmp_path):
    """What runs leave behind, outside of Kron; whoever still waits for it goes on in the end."""
    witness = Witness(tmp_path)
    yield witness
    witness.open()


@pytest.fixture
def small_ring(monkeypatch):
    """A ring of 20 rows, so that it is over soon."""
    confirm = kron.core.state.State.confirm

    def confirm_and_cut(self, *arguments):
        confirm(self, *arguments)
        if len(self.ring) > 20:
            self.ring_floor = self.ring[-21][0]
            del self.ring[:-20]
            self._ring_mark = len(self.ring)

    monkeypatch.setattr(kron.core.state.State, "confirm", confirm_and_cut)
