"""APScheduler 3, as its documentation starts it: a BackgroundScheduler with ten threads.

Two job stores: `memory` keeps nothing on disk; `sqlite` is its SQLAlchemyJobStore on a file, where
a job is one commit when it is added and one when it is taken out, after it was handed to a thread.
A run leaves no record, so runs are counted by the callback itself, in this process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from peer import Calls, Peer, main


class Apscheduler(Peer):
    """One scheduler on one store."""

    def __init__(self, folder: str, store: str) -> None:
        stores = {"memory": MemoryJobStore, "sqlite": SQLAlchemyJobStore}
        options = {"url": f"sqlite:///{folder}/jobs.db"} if store == "sqlite" else {}
        self._scheduler = BackgroundScheduler(
            jobstores={"default": stores[store](**options)},
            job_defaults={"misfire_grace_time": None},
            timezone="UTC",
        )
        self.runs_at_once = 5_000 if store == "memory" else 1_000
        self.memory_jobs = 10_000 if store == "memory" else 2_000

    def start(self) -> None:
        """Its thread."""
        self._scheduler.start()

    def register(self, number: int) -> None:
        """One job with nothing to do for a month."""
        self._scheduler.add_job(Calls.noop, "interval", days=30, id=f"job-{number}")

    def register_once(self, number: int, due: datetime) -> None:
        """One job for a moment."""
        args = (due.timestamp(),)
        self._scheduler.add_job(Calls.note, "date", run_date=due, args=args, id=f"once-{number}")

    def stop(self) -> None:
        """Without waiting for anything."""
        self._scheduler.shutdown(wait=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Apscheduler(place, sys.argv[2]), sys.argv[1], place)
        time.sleep(0.2)
