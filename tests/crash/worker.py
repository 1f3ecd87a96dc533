"""A program to be killed: it schedules and compacts without rest, and keeps a record outside.

    worker.py DATA_DIR RECORD [KEEP_HISTORY]

It is told on stdin what to do. `life NUMBER SEED UNTIL` forks a child that lives one life and is
to be killed; `hold NUMBER` one that makes no calls of its own, waits until every one-shot is over,
and leaves in order. Each says `starting PID` on stdout when it is about to call `start`, and with
UNTIL `compacting` also `compacting PID` when it begins to compact. `reap` answers with its exit
code. (This process has loaded everything and has no threads, so a life costs nothing but itself.)

RECORD gets one line of JSON for each thing that happened, by one `os.write` on an O_APPEND
descriptor, so it survives the SIGKILL of the child: `ask` before a call and `ack` after it, `ran`
when a callback begins, `found` the directory before a start, `began` from what it begins, `list`
what it found, `compacting` and `compacted` around each compaction.
"""

import asyncio
import json
import logging
import os
import random
import sys
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta

import kron.server.door  # noqa: F401  # loaded once, by the mother
from kron import Scheduler, current_run
from kron.core.errors import UnknownTimer
from kron.runtime import compaction, recovery

DATA_DIR, RECORD, KEEP_HISTORY = [*sys.argv[1:], "90d"][:3]
CHURNED = 4
"""Names a churning thread has for itself."""

compaction.GROWN_BYTES = 12_000
compaction.SNAPSHOTS = 0

scheduler = Scheduler()
record_fd = os.open(RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
boot = 0
"""Which life this is."""


def note(what, **fields):
    os.write(record_fd, json.dumps({"what": what, "boot": boot, **fields}).encode() + b"\n")


def ran():
    context = current_run()
    kept = ("timer_id", "run_id", "attempt", "max_attempts", "scheduled_at")
    note("ran", **{name: context[name] for name in kept})


# -- callbacks ------------------------------------------------------------------------------------


def quick():
    ran()


def slow():
    ran()
    time.sleep(0.03)


async def slow_async():
    ran()
    await asyncio.sleep(0.03)


async def failing():
    ran()
    raise ValueError("on purpose")


def failing_at_first():
    ran()
    if current_run()["attempt"] < 3:
        raise ValueError("at first")


BEATS = {
    "delay-sync": (quick, {"every": "20ms"}),
    "skip-async": (slow_async, {"every": "25ms", "overlap": "skip"}),
    "allow-sync": (slow, {"every": "20ms", "overlap": "allow"}),
    "allow-async": (slow_async, {"every": "50ms", "overlap": "allow", "max_attempts": 5}),
    "failing": (failing, {"every": "40ms", "retry_delay": "15ms", "max_attempts": 2}),
    "recovering": (
        failing_at_first,
        {"every": "30ms", "overlap": "skip", "retry_delay": "10ms", "max_attempts": 4},
    ),
    "cron": (quick, {"cron": "* * * * * *"}),
    "cron-slow": (slow, {"cron": "*/2 * * * * *", "overlap": "skip"}),
}


def shot_options(options):
    """The options of a one-shot as they stand in the record."""
    options = dict(options)
    if "at" in options:
        options["at"] = datetime.fromisoformat(options["at"])
    return options


# -- calls ----------------------------------------------------------------------------------------


class Caller:
    """Makes calls, each with a line before and after it."""

    def __init__(self, own, seed):
        self.own = own
        self.random = random.Random(seed)
        self.count = 0

    def call(self, verb, name, do, **fields):
        self.count += 1
        call = f"{boot}-{self.own}-{self.count}"
        note("ask", call=call, verb=verb, name=name, **fields)
        try:
            do()
        except UnknownTimer:
            note("ack", call=call, unknown=True)
        else:
            note("ack", call=call, unknown=False)

    def churn_for_ever(self):
        while True:
            self.churn()

    def churn(self):
        name = f"churn-{self.own}-{self.random.randrange(CHURNED)}"
        verbs = ["schedule", "schedule", "pause", "resume", "remove", "trigger", "cancel", "shot"]
        verb = self.random.choice(verbs)
        if verb == "schedule":
            self.schedule(name)
        elif verb == "shot":
            self.shot(f"shot-{boot}-{self.own}-{self.count}")
        else:
            self.call(verb, name, lambda: getattr(scheduler, verb)(name))

    def schedule(self, name):
        version = f"{boot}-{self.own}-{self.count}"
        options = {
            "every": self.random.choice(["20ms", "35ms", "1h"]),
            "overlap": self.random.choice(["delay", "skip", "allow"]),
            "retry_delay": "10ms",
            "description": version,
        }
        fn = self.random.choice([quick, slow, slow_async, failing])
        self.call(
            "schedule", name, lambda: scheduler.schedule(name, fn, **options), version=version
        )

    def shot(self, name):
        wait_s = self.random.choice([0.0, 0.05, 0.3, 0.8])
        if self.random.random() < 0.5:
            options = {"after": wait_s}
        else:
            options = {"at": (datetime.now(UTC) + timedelta(seconds=wait_s)).isoformat()}
        fn = self.random.choice(["quick", "slow_async", "failing_at_first"])
        options |= {"retry_delay": "10ms", "description": fn, "max_attempts": 30}
        self.call(
            "shot",
            name,
            lambda: scheduler.schedule(name, globals()[fn], **shot_options(options)),
            options=options,
        )


# -- compactions ----------------------------------------------------------------------------------

awaited = []
"""Something, if the next compaction is to be announced on stdout."""
begin, compact = recovery.begin, compaction.Compaction.compact


def noted_begin(kept):
    """From which snapshot a start begins, of those that are there."""
    beginning = begin(kept)
    snapshots = [file.index for file in kept.snapshots()]
    index = beginning.machine.state.index
    note("began", record=index, snapshots=snapshots, problems=beginning.problems)
    return beginning


async def noted_compact(self):
    note("compacting")
    if awaited and awaited.pop():
        print("compacting", os.getpid(), flush=True)
    report = await compact(self)
    note("compacted", record=report["record"], removed=report["removed"])
    return report


recovery.begin, compaction.Compaction.compact = noted_begin, noted_compact


def compact_for_ever(chance):
    host = scheduler._control.host
    while True:
        time.sleep(chance.uniform(0, 0.1))
        asyncio.run_coroutine_threadsafe(host.compaction.compact(), host.loop).result()


# -- the program ----------------------------------------------------------------------------------


def shots_asked():
    """The one-shots of earlier lives: a real program has them in its code, or in its database."""
    with open(RECORD) as lines:
        calls = [json.loads(line) for line in lines]
    return {call["name"]: call["options"] for call in calls if call.get("verb") == "shot"}


def start():
    for name, (fn, options) in BEATS.items():
        scheduler.schedule(name, fn, **options)
    for name, options in shots_asked().items():
        scheduler.schedule(name, globals()[options["description"]], **shot_options(options))
    note("start")
    note("found", names=sorted(os.listdir(DATA_DIR)) if os.path.exists(DATA_DIR) else [])
    print("starting", os.getpid(), flush=True)
    scheduler.start(DATA_DIR, keep_history=KEEP_HISTORY)
    rows = scheduler.list()
    note("list", rows={row["id"]: [row["state"], row["description"]] for row in rows})


def life(seed, until):
    """Until it is killed."""
    start()
    awaited.extend([until] if until == "compacting" else [])
    callers = [Caller(own, f"{seed}-{own}") for own in range(2)]
    threads = [threading.Thread(target=each.churn_for_ever, daemon=True) for each in callers]
    chance = random.Random(f"{seed}-compact")
    threads.append(threading.Thread(target=compact_for_ever, args=(chance,), daemon=True))
    for thread in threads:
        thread.start()
    threads[0].join()


def hold():
    """Until every one-shot is over."""
    start()
    while any(not row["finished"] for row in scheduler.list() if row["id"].startswith("shot-")):
        time.sleep(0.02)
    report = scheduler.shutdown()
    assert report["stopped"] and not report["abandoned"], report
    note("done")


def child(verb, number, *seed):
    global boot
    boot = int(number)
    code = 1
    try:
        {"life": life, "hold": hold}[verb](*seed)
        code = 0
    except BaseException:
        traceback.print_exc()
        print("failed", os.getpid(), flush=True)  # for who still waits for "starting"
    finally:
        os._exit(code)


def main():
    logging.disable()  # failures are on purpose here
    pid = 0
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "reap":
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(verb, *words)


main()
