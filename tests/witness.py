"""What runs say of themselves in a file: who began, who ended, who was at work beside another.

One line a word, each by one write at the end of the file, so their order is the order of events
whatever process or thread they are from. Whoever is at work holds a lock on a file beside it; a
command's children hold it too, and the system takes it away when the last of them is gone.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import kron
from tests.ledger import check, read_log
from tests.waiting import eventually

LONG_S = 60.0
"""Nothing takes so long, on a machine under load either."""

KINDS = ("command", "process", "thread", "task")
"""Everything a run may be; all but a thread can be stopped."""

COMMAND = """
exec 9>>{lock}
flock -n 9 || echo together $KRON_TIMER $KRON_RUN_ID $KRON_ATTEMPT $$ >>{trace}
trap 'echo stopped $KRON_TIMER $KRON_RUN_ID $KRON_ATTEMPT $$ >>{trace}; exit 143' TERM
echo begin $KRON_TIMER $KRON_RUN_ID $KRON_ATTEMPT $$ >>{trace}
{body}
echo end $KRON_TIMER $KRON_RUN_ID $KRON_ATTEMPT $$ >>{trace}
"""


class Line(NamedTuple):
    """One word of a run: begin, end, stopped, or together (another one was at work)."""

    word: str
    timer: str
    run_id: str
    attempt: int
    pid: int


class Witness:
    """The file, and what may write to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.trace, self.gate = place / "trace", place / "gate"

    def lines(self, *words: str) -> list[Line]:
        """What has been said so far; all, or these words."""
        rows = self.trace.read_text().split("\n")[:-1] if self.trace.exists() else []
        lines = [Line(*row.split()[:3], *map(int, row.split()[3:])) for row in rows]
        return [line for line in lines if not words or line.word in words]

    def began(self, timer: str | None = None) -> list[Line]:
        """The attempts that have begun; of all timers, or of one."""
        return [line for line in self.lines("begin") if timer in (None, line.timer)]

    def until_began(self, timer: str, count: int = 1) -> Line:
        """The attempt of a timer that was the `count`th to begin, when it has."""
        return eventually(lambda: self.began(timer)[count - 1 : count], LONG_S)[0]

    def command(self, body: str, **options: object) -> kron.Command:
        """A command of a shell that says what it does around `body`."""
        text = COMMAND.format(lock=self.place / "lock", trace=self.trace, body=body)
        return kron.command(text, shell=True, **options)

    def waiting(self, kind: str) -> tuple[object, dict[str, object]]:
        """`fn` of that kind that works until the gate is open, and options for `schedule`."""
        if kind == "command":
            # One word a loop, so that the trap has its turn soon.
            return self.command(f"until test -e {self.gate}; do sleep 0.02; done"), {}
        if kind == "process":
            return "tests.witness:wait", {"args": [str(self.place)], "executor": "process"}
        fn = "tests.witness:wait" if kind == "thread" else "tests.witness:wait_async"
        return fn, {"args": [str(self.place)]}

    def open(self) -> None:
        """Whoever waits may go on."""
        self.gate.touch()

    def close(self) -> None:
        """Whoever comes now waits."""
        self.gate.unlink()


@contextmanager
def at_work(place: str) -> Iterator[None]:
    """This run is at work, as the witness shall see it."""
    lock = os.open(f"{place}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(place, "together")
        say(place, "begin")
        try:
            yield
        except BaseException:
            say(place, "stopped")
            raise
        say(place, "end")
    finally:
        os.close(lock)


def say(place: str, word: str) -> None:
    """One line in the file."""
    run = kron.current_run()
    assert run is not None
    line = f"{word} {run['timer_id']} {run['run_id']} {run['attempt']} {os.getpid()}\n"
    trace = os.open(f"{place}/trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(trace, line.encode())
    finally:
        os.close(trace)


def wait(place: str) -> None:
    """Work until the gate is open."""
    with at_work(place):
        while not os.path.exists(f"{place}/gate"):
            time.sleep(0.01)


async def wait_async(place: str) -> None:
    """The same on the loop."""
    with at_work(place):
        while not os.path.exists(f"{place}/gate"):
            await asyncio.sleep(0.01)


def work(place: str, seconds: float) -> None:
    """Work for a while."""
    with at_work(place):
        time.sleep(seconds)


# -- what a scheduler says ---------------------------------------------------------------------


def rows(scheduler: kron.Scheduler, name: str) -> list[tuple[str, str | None, int | None]]:
    """What became of a timer's attempts, the oldest first: status, reason, attempt."""
    found = reversed(scheduler.history(name))
    return [(row["status"], row["reason"], row["attempt"]) for row in found]


def until_ended(
    scheduler: kron.Scheduler, name: str, count: int = 1
) -> list[tuple[str, str | None, int | None]]:
    """The rows of a timer, when there are so many."""
    eventually(lambda: len(scheduler.history(name)) >= count, LONG_S)
    return rows(scheduler, name)


def until_idle(scheduler: kron.Scheduler) -> None:
    """Until no run is open."""
    eventually(lambda: not any(timer["open_runs"] for timer in scheduler.list()), LONG_S)


def judged(place: Path) -> list[str]:
    """What the independent judge finds wrong with a log."""
    return check(read_log(place), end_us=time.time_ns() // 1000)
