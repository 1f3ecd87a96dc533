"""Hooks and a subscriber: a program that is told what has become of its runs.

You see what the hooks say of a run that succeeds, of one that fails twice and is given up, and of
a moment that was missed. Below it is the log from its beginning, as a subscriber gets it.

    python examples/hooks.py [DATA_DIR]
"""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime, timedelta

import kron
from kron import events


async def alert(outcome):
    """The scheduler's: for every timer, behind the timer's own."""
    team = outcome["metadata"].get("team", "nobody")
    print(f"to {team}: {outcome['timer']} was given up: {outcome['error']}")
    given_up.set()


def thank(outcome):
    print(f"{outcome['timer']} took {outcome['duration_ms']:.0f} ms")


def log_attempts(outcome):
    print(f"{outcome['timer']} had {outcome['attempt']} attempts")


def apologize(outcome):
    print(f"{outcome['timer']} did not run, reason: {outcome['reason']}")


def copy_files():
    pass


def fetch():
    raise ConnectionError("the other side is away")


given_up = asyncio.Event()
scheduler = kron.Scheduler(on_failure=alert)


async def follow(lines):
    async for event in scheduler.subscribe(after=0):
        match event:
            case events.RunFailed(timer=timer, attempt=attempt, error=error):
                lines.append(f"{event.type} {timer}, attempt {attempt}: {error}")
            case events.RunSucceeded() | events.RunDead() | events.RunMissed():
                lines.append(f"{event.type} {event.timer}")
            case _:
                lines.append(event.type)


async def main(data_dir):
    past = datetime.now(UTC) - timedelta(hours=1)
    scheduler.schedule("copy", copy_files, after=0, on_success=thank)
    scheduler.schedule(
        "fetch",
        fetch,
        after=0,
        max_attempts=2,
        retry_delay="200ms",
        on_failure=log_attempts,
        metadata={"team": "web"},
    )
    scheduler.schedule("greeting", print, at=past, on_missed=apologize)

    await scheduler.astart(data_dir)
    lines = []
    follower = asyncio.create_task(follow(lines))
    await given_up.wait()
    await scheduler.ashutdown()
    await follower  # it ends with the scheduler
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else scratch))
