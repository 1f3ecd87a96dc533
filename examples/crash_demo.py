"""What `make demo` shows: a program is killed in the middle of a run, and nothing is lost.

The program (`program`, below) has a beat every second, a report that takes two seconds, a reminder
and a paused timer. It is started, killed by SIGKILL while the report runs, left dead for a while,
and started again on the same data directory: the same code, as after any crash. You see what it
does while it does it, then the ledger (what ran, what was interrupted and run again, what was
missed and why), then `kron job list`. At last everything the program was told is durable is looked
up again; the exit code is 1 if anything is missing.

    python examples/crash_demo.py [DATA_DIR]
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from datetime import datetime, timedelta

import kron

SECOND = timedelta(seconds=1)


# -- the program that is killed ------------------------------------------------------------------


def program(data_dir):
    kron.schedule("beat", beat, every="1s", overlap="skip")
    kron.schedule("report", report, after="2.5s")
    kron.schedule("reminder", reminder, after="4.5s")
    kron.schedule("nightly", beat, cron="0 3 * * *")
    say("begins", pid=os.getpid())
    kron.start(data_dir)
    say("started", timers=["beat", "report", "reminder", "nightly"])  # from here on: on disk
    say("paused", timer="nightly", is_new=kron.pause("nightly"))
    for _ in sys.stdin:  # each line asks for the ledger; the end of the input is the end
        say("ledger", timers=kron.list(), rows=kron.history(limit=1000))
    kron.shutdown()


def beat(context):
    say("run", **context)


def reminder(context):
    say("run", **context)


def report(context):
    say("run", **context)
    time.sleep(2)
    say("done", **context)


def say(word, **more):
    """One line to whoever watches, in one write: it gets out even if the next thing is a kill."""
    line = json.dumps({"word": word, "at": time.time(), **more}) + "\n"
    os.write(sys.stdout.fileno(), line.encode())


# -- who starts it, kills it, and starts it again ------------------------------------------------


class Life:
    """One process of the program, and everything it has said."""

    origin_s = 0.0  # when the first one began

    def __init__(self, process):
        self.process = process
        self.heard = []
        self.is_shown = True
        self.listener = asyncio.create_task(self.listen())

    @classmethod
    async def begin(cls, data_dir):
        arguments = (__file__, "--program", data_dir)
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, **pipes, limit=1 << 24
        )
        return cls(process)

    async def listen(self):
        async for line in self.process.stdout:
            words = json.loads(line)
            Life.origin_s = Life.origin_s or words["at"]
            self.heard.append(words)
            if self.is_shown:
                tell(words)

    async def until(self, word, **more):
        """Return what it says with that word and these fields, as soon as it has."""
        wanted = {"word": word, **more}
        async with asyncio.timeout(15):
            while True:
                for words in self.heard:
                    if all(words.get(key) == value for key, value in wanted.items()):
                        return words
                await asyncio.sleep(0.01)

    def said(self, word):
        return [words for words in self.heard if words["word"] == word]

    async def ledger(self):
        """Its timers and its history; what it says from then on is not shown any more."""
        self.is_shown = False
        self.process.stdin.write(b"\n")
        return await self.until("ledger")

    async def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        note(time.time(), f"KILL -9 {self.process.pid}: nothing can be tidied up any more")
        await self.listener
        await self.process.wait()

    async def end(self):
        self.process.stdin.close()
        await self.listener
        await self.process.wait()


def note(at_s, text):
    print(f"{at_s - Life.origin_s:6.1f} s   {text}", flush=True)


def tell(words):
    match words:
        case {"word": "begins", "pid": pid, "at": at}:
            note(at, f"process {pid} begins")
        case {"word": "started", "timers": timers, "at": at}:
            note(at, f"started; on disk: {', '.join(timers)}")
        case {"word": "paused", "is_new": is_new, "timer": timer, "at": at}:
            note(at, f"{timer} is paused" if is_new else f"{timer} is still paused")
        case {"word": "run", "timer_id": "report", "attempt": attempt, "at": at}:
            note(at, f"report   attempt {attempt}, takes 2 s ...")
        case {"word": "run", "timer_id": timer, "at": at}:
            note(at, timer)
        case {"word": "done", "timer_id": timer, "at": at}:
            note(at, f"{timer}   is done")


async def demo(data_dir):
    print("A program, its timers, and a kill in the middle of a run.\n")
    first = await Life.begin(data_dir)
    await first.until("run", timer_id="report")
    await asyncio.sleep(0.8)
    await first.kill()
    await asyncio.sleep(3.2)
    second = await Life.begin(data_dir)
    await second.until("done", timer_id="report")
    await asyncio.sleep(0.2)
    runs = first.said("run") + second.said("run")  # those that began before the ledger is read
    ledger = await second.ledger()
    show_ledger(ledger["rows"])
    await show_job_list(data_dir)
    await second.end()
    return verdict(first, second, runs, ledger)


# -- the ledger ----------------------------------------------------------------------------------


def show_ledger(rows):
    print("\nThe ledger: every due moment ran, or says why not.\n")
    print("  due           timer      what became of it")
    for row in sorted(rows, key=lambda row: (row["scheduled_at"], row["at"])):
        due = f"{since_origin_s(row['scheduled_at']):.1f}"
        if row["count"] > 1:
            due += f" to {since_origin_s(row['last_scheduled_at']):.1f}"
        print(f"  {due + ' s':13} {row['timer']:10} {fate(row)}")


def fate(row):
    if row["status"] == "MISSED":
        return f"{row['count']} missed, reason: {row['reason']}"
    if row["reason"] == "crashed":
        return f"attempt {row['attempt']} was cut short by the kill"
    text = f"attempt {row['attempt']} ran" if row["attempt"] > 1 else "ran"
    late_s = since_origin_s(row["started_at"]) - since_origin_s(row["scheduled_at"])
    return text if late_s < 0.25 else f"{text}, {late_s:.1f} s late"


def since_origin_s(text):
    return datetime.fromisoformat(text).timestamp() - Life.origin_s


async def show_job_list(data_dir):
    print("\n$ kron job list\n", flush=True)
    command = (sys.executable, "-m", "kron", "--data-dir", data_dir, "job", "list")
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "COLUMNS": "80"})
    if await process.wait():
        sys.exit("kron job list failed")


# -- was anything lost? --------------------------------------------------------------------------


def verdict(first, second, runs, ledger):
    timers = first.said("started")[0]["timers"]
    lost = [*lost_calls(first, second, ledger, timers), *lost_runs(runs, ledger)]
    lost += lost_moments([row for row in ledger["rows"] if row["timer"] == "beat"])
    for text in lost:
        print("LOST:", text)
    if not lost:
        print(
            f"\nAcknowledged, before the kill and after it: {len(timers)} timers, 1 pause,"
            f" {len(runs)} attempts.\nAll of it is on disk. Nothing was lost."
        )
    return bool(lost)


def lost_calls(first, second, ledger, timers):
    known = {timer["id"] for timer in ledger["timers"]}
    yield from (f"the timer {name}" for name in timers if name not in known)
    if first.said("paused")[0]["is_new"] and second.said("paused")[0]["is_new"]:
        yield "the pause of nightly"


def lost_runs(runs, ledger):
    """Every attempt that began is in the history, or still open."""
    ended = {(row["run_id"], row["attempt"]) for row in ledger["rows"]}
    still_open = {run_id for timer in ledger["timers"] for run_id in timer["open_runs"]}
    for run in runs:
        if (run["run_id"], run["attempt"]) not in ended and run["run_id"] not in still_open:
            yield f"attempt {run['attempt']} of {run['timer_id']} ({run['run_id']})"


def lost_moments(rows):
    """The moments of the beat follow each other second by second, each in exactly one row."""
    spans = sorted((row["scheduled_at"], row["last_scheduled_at"], row["count"]) for row in rows)
    expected = datetime.fromisoformat(spans[0][0]) if spans else None
    if expected is None or expected.timestamp() > Life.origin_s + 1:
        yield "the first beat"
    for first, last, count in spans:
        begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last or first)
        if begin != expected or end - begin != (count - 1) * SECOND:
            yield f"the beats between {expected} and {end}"
        expected = end + SECOND


if __name__ == "__main__":
    if sys.argv[1:2] == ["--program"]:
        program(sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            sys.exit(asyncio.run(demo(sys.argv[1] if sys.argv[1:] else scratch)))
