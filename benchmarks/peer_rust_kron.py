"""kron-scheduler 0.1.1, a Rust program with a Python binding that imports as `kron`.

One fdatasync for each event, so three for each run. Its runs are counted from outside, as ours
are: RUN_SUCCEEDED in its `kron.aof`, by a second process. Callbacks run in its own threads.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime

from peer import Calls, Peer, main

import kron


class RustKron(Peer):
    """The one engine of the process."""

    runs_at_once = 5_000
    memory_jobs = 10_000
    counts = '"RUN_SUCCEEDED"'

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start(self) -> None:
        """On a directory of its own."""
        kron.start(self._folder)

    def register(self, number: int) -> None:
        """One timer with nothing to do for a month."""
        kron.schedule(f"timer-{number}", fn=Calls.noop, every="30d")

    def register_once(self, number: int, due: datetime) -> None:
        """One timer for a moment."""
        moment = due.timestamp()
        kron.schedule(f"once-{number}", fn=lambda: Calls.note(moment), at=due.isoformat())

    def stop(self) -> None:
        """Waits for what runs."""
        kron.shutdown(30.0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(RustKron(place), sys.argv[1], place)
