"""huey on SQLite with fsync=True, and a consumer of four threads in the same process.

A task is one commit when it is scheduled, two when it falls due and one when it is taken, before it
runs; a run that returns None leaves no record. Its scheduler looks once a second (its shortest
interval) for what has fallen due, so lateness is half a second by design. Idle workers look every
10 ms here (its default goes up to 10 s). Runs are counted by the callback itself, in this process.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from datetime import datetime

from huey import SqliteHuey
from peer import Calls, Peer, main

logging.disable(logging.INFO)


class Huey(Peer):
    """One queue and its consumer."""

    runs_at_once = 2_000
    memory_jobs = 2_000

    def __init__(self, folder: str) -> None:
        self._huey = SqliteHuey(filename=f"{folder}/huey.db", fsync=True, utc=True)
        self._noop = self._huey.task(name="noop")(Calls.noop)
        self._note = self._huey.task(name="note")(Calls.note)
        self._consumer = self._huey.create_consumer(
            workers=4, periodic=False, initial_delay=0.01, max_delay=0.01
        )

    def start(self) -> None:
        """Its threads."""
        self._consumer.start()

    def register(self, number: int) -> None:
        """A task for the next month."""
        self._noop.schedule(delay=30 * 86_400)

    def register_once(self, number: int, due: datetime) -> None:
        """A task for a moment."""
        self._note.schedule((due.timestamp(),), eta=due)

    def stop(self) -> None:
        """Lets the threads come to their end."""
        self._consumer.stop(graceful=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Huey(place), sys.argv[1], place)
