"""Who follows the events sees those of the log, in order, each once; and nobody waits for them."""

import asyncio
import dataclasses
import gc
import random
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

import kron
from kron.core.announcing import Announcer
from kron.core.codec import decode
from kron.core.events import POSITIONS
from kron.events import EventsMissed, RunStarted, RunSucceeded, SchedulerStopped, TimerCreated
from kron.runtime import subscription as module
from kron.scheduler import Scheduler
from kron.storage.disk import Disk
from kron.storage.file import FileLog
from kron.storage.memory import MemoryLog
from kron.storage.reader import LogReader
from kron.testing import VirtualClock, VirtualScheduler
from tests.runtime.test_log_failure import FailingDisk

LAST = "last"


async def nothing():
    pass


def announced(records, log_id):
    """What a log has to be told as, from its beginning."""
    announcer, values = Announcer(log_id), []
    for index, payload in records:
        header, events = decode(payload, index)
        assert announcer.unknown(index, events) == []
        values += announcer.announce(index, events, header["t"])
    return values


def whole(place):
    """All events of a directory, as its files say."""
    reader = LogReader(place)
    return announced(reader.records_after(0), reader.log_id)


def until_last(values):
    """Those up to the timer that marks the end."""
    for n, value in enumerate(values):
        if isinstance(value, TimerCreated) and value.timer == LAST:
            return values[: n + 1]
    raise AssertionError("the last event has not come")


def is_last(event):
    return isinstance(event, TimerCreated) and event.timer == LAST


@pytest.fixture
async def scheduler(place):
    scheduler = Scheduler()
    await scheduler.astart(place, fsync="never")
    await scheduler.aschedule("job", nothing, every="1d", overlap="allow")
    yield scheduler
    await scheduler.ashutdown(0)


async def work(scheduler, count, name="job"):
    """So many runs, as fast as they go."""
    await asyncio.gather(*(scheduler.atrigger(name) for _ in range(count)))


async def follow(subscription, delay=None):
    """All until the last one, with pauses."""
    seen = []
    async for event in subscription:
        seen.append(event)
        if is_last(event):
            break
        if delay is not None:
            await delay()
    return seen


def follow_in_thread(subscription, delay=None):
    seen = []
    for event in subscription:
        seen.append(event)
        if is_last(event):
            break
        if delay is not None:
            delay()
    return seen


# -- replay --------------------------------------------------------------------------------------


async def test_a_log_is_told_from_its_beginning_over_restarts(place):
    for _ in range(3):
        scheduler = Scheduler()
        scheduler.schedule("job", nothing, every="1d", overlap="allow")
        await scheduler.astart(place)
        await work(scheduler, 20)
        await scheduler.ashutdown()
    scheduler = Scheduler()
    await scheduler.astart(place)
    following = asyncio.create_task(follow(scheduler.subscribe(after=0)))
    await scheduler.aschedule(LAST, nothing, every="1d")
    seen = await following
    assert seen == until_last(whole(place))
    assert len([event for event in seen if event.type == "SCHEDULER_STARTED"]) == 4
    for n in [*range(8), 100, len(seen) - 2]:
        behind = await follow(scheduler.subscribe(after=seen[n].index))
        assert behind == seen[n + 1 :]
    await scheduler.ashutdown()


async def test_it_begins_at_the_call_and_not_when_it_is_read(scheduler, place):
    await work(scheduler, 5)
    before = len(whole(place))
    subscription = scheduler.subscribe()
    await work(scheduler, 5)
    await scheduler.aschedule(LAST, nothing, every="1d")
    assert await follow(subscription) == until_last(whole(place))[before:]


async def test_the_index_of_a_subscription_is_where_the_next_one_goes_on(scheduler, place):
    await scheduler.aschedule(LAST, nothing, every="1d")
    seen, index = [], 0
    while not (seen and is_last(seen[-1])):
        subscription = scheduler.subscribe(after=index)
        async for event in subscription:
            seen.append(event)
            break
        index = subscription.index
        assert index == seen[-1].index
    assert seen == until_last(whole(place))


async def test_an_event_is_told_when_it_is_durable_and_not_before(place):
    gate, wanted = threading.Event(), threading.Event()

    class Slow(Disk):
        def fdatasync(self, fd):
            if wanted.is_set():
                assert gate.wait(30)
            super().fdatasync(fd)

    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, disk=Slow()))
    await scheduler.astart(place)
    following = asyncio.ensure_future(anext(scheduler.subscribe()))
    wanted.set()
    scheduling = asyncio.ensure_future(scheduler.aschedule("new", nothing, every="1d"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not following.done()
    gate.set()
    assert (await following).timer == "new"
    await scheduling
    await scheduler.ashutdown()


# -- exactly ---------------------------------------------------------------------------------------


def slow(seed):
    """A consumer's pauses: mostly none."""
    chance = random.Random(seed)

    async def pause():
        if chance.random() < 0.02:
            await asyncio.sleep(chance.choice([0, 0, 0.002]))

    return pause


def slow_in_thread(seed):
    chance, event = random.Random(seed), threading.Event()

    def pause():
        if chance.random() < 0.01:
            event.wait(chance.choice([0, 0.002]))

    return pause


async def test_slow_and_fast_subscribers_on_any_loop_see_every_event_once(scheduler, place):
    buffers = [1, 2, 17, 1000]
    with ThreadPoolExecutor(12) as threads:
        loop = asyncio.get_running_loop()
        following, seeds = [], iter(range(100))
        for after in (0, None):
            for buffer in buffers:
                here = scheduler.subscribe(after, buffer=buffer)
                elsewhere = scheduler.subscribe(after, buffer=buffer)
                following.append(asyncio.create_task(follow(here, slow(next(seeds)))))
                coroutine = follow(elsewhere, slow(next(seeds)))
                following.append(loop.run_in_executor(threads, asyncio.run, coroutine))
        for buffer in (1, 1000):
            subscription = scheduler.subscribe(0, buffer=buffer)
            pause = slow_in_thread(next(seeds))
            following.append(loop.run_in_executor(threads, follow_in_thread, subscription, pause))
        begin = len(whole(place))
        chance = random.Random(1)
        for _ in range(60):
            await work(scheduler, chance.choice([1, 2, 40]))
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        await scheduler.aschedule(LAST, nothing, every="1d")
        seen = await asyncio.gather(*following)
    expected = until_last(whole(place))
    assert len(expected) > 1500
    assert all(each == expected for each in [*seen[:8], *seen[16:]])
    assert all(each == expected[begin:] for each in seen[8:16])


async def test_a_log_that_is_compacted_meanwhile_is_told_without_a_gap(scheduler, place):
    with ThreadPoolExecutor(4) as threads:
        loop = asyncio.get_running_loop()
        here = [scheduler.subscribe(0, buffer=buffer) for buffer in (1, 5, 1000)]
        there = [scheduler.subscribe(0, buffer=buffer) for buffer in (1, 5, 1000)]
        following = [asyncio.create_task(follow(each, slow(n))) for n, each in enumerate(here)]
        following += [
            loop.run_in_executor(threads, asyncio.run, follow(each, slow(n)))
            for n, each in enumerate(there)
        ]
        for _ in range(12):
            await work(scheduler, 30)
            await scheduler._control.host.compaction.compact()
        await scheduler.aschedule(LAST, nothing, every="1d")
        seen = await asyncio.gather(*following)
    assert len(list(place.glob("kron.aof.*[0-9]"))) == 12
    expected = until_last(whole(place))
    assert all(each == expected for each in seen)


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_the_order_of_things_the_log_is_told_or_said_to_be_missing(seed):
    """Bursts, reads, new subscribers, compactions that let everything go: in any order."""
    chance = random.Random(seed)
    log = KeepingLog()
    scheduler = Scheduler(clock=VirtualClock(), open_log=lambda *_: log)
    await scheduler.astart(keep_history=0, keep_history_bytes=1)
    await scheduler.aschedule("job", nothing, every="1d", overlap="allow")
    following = []
    for _ in range(chance.randrange(20, 60)):
        match chance.choice("subscribe work work read read read compact".split()):
            case "subscribe":
                after = chance.choice([None, 0, chance.randrange((log.tip + 1) * POSITIONS)])
                subscription = scheduler.subscribe(after, buffer=chance.choice([1, 2, 9, 1000]))
                following.append((subscription, subscription.index, []))
            case "work":
                await work(scheduler, chance.choice([1, 2, 25]))
            case "read" if following:
                subscription, _, seen = chance.choice(following)
                for _ in range(chance.choice([1, 5, 50])):
                    if subscription.index // POSITIONS < log.tip:
                        seen.append(await anext(subscription))
            case "compact" if chance.random() < 0.5:
                await scheduler._control.host.compaction.compact()
            case _:
                pass
    await scheduler.aschedule(LAST, nothing, every="1d")
    for subscription, _, seen in following:
        if not (seen and is_last(seen[-1])):
            seen += await follow(subscription)
    await scheduler.ashutdown()
    expected = until_last(announced(log.written, log.log_id))
    for _, after, seen in following:
        assert_complete(seen, after, expected)


class KeepingLog(MemoryLog):
    """Lets records go, and remembers them."""

    def __init__(self):
        super().__init__()
        self.written = []

    async def append(self, index, payload):
        await super().append(index, payload)
        self.written.append(self.records[-1])


def assert_complete(seen, after, expected):
    """What is expected behind `after` was seen once, in order, or is said to be missing."""
    assert [event.index for event in seen] == sorted({event.index for event in seen})
    ranges = [(each.after, each.index) for each in seen if isinstance(each, EventsMissed)]
    assert ranges == sorted(ranges)
    told = [event for event in seen if not isinstance(event, EventsMissed)]
    wanted = [
        event
        for event in expected
        if event.index > after and not any(low < event.index <= high for low, high in ranges)
    ]
    for event, other in zip(told, wanted, strict=True):
        if isinstance(event, RunStarted) and event.run_id is None:  # its RUN_DUE was let go
            assert ranges
            other = dataclasses.replace(other, run_id=None)
        assert event == other


# -- nobody waits ----------------------------------------------------------------------------------


async def test_the_engine_does_not_wait_for_one_that_never_reads(scheduler, place):
    idle = scheduler.subscribe(buffer=100)
    begin = len(whole(place))
    for _ in range(10):
        await work(scheduler, 1000)
    assert idle._pushed - idle._popped <= 100 or len(idle._live) == 1
    assert len(idle._live) <= 100
    await scheduler.aschedule(LAST, nothing, every="1d")
    seen = await follow(idle)  # and yet nothing is lost
    assert len(seen) > 30_000
    assert seen == until_last(whole(place))[begin:]


async def test_a_subscriber_that_awaits_nothing_else_leaves_the_others_their_turns():
    async with VirtualScheduler() as scheduler:
        await scheduler.aschedule("job", nothing, every="1s", overlap="allow")
        await scheduler.aadvance("300s")
        await scheduler.aschedule(LAST, nothing, every="1d")
        turns = []

        async def other():
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        seen = await follow(scheduler.subscribe(after=0))
        task.cancel()
        assert len(turns) >= len(seen) // module.POLITE >= 3


# -- what is no more -------------------------------------------------------------------------------


async def test_what_was_let_go_is_told_as_missed(place):
    scheduler = Scheduler()
    await scheduler.astart(place, keep_history=0, keep_history_bytes=1)
    await scheduler.aschedule("job", nothing, every="1d", overlap="allow")
    behind = scheduler.subscribe(after=0, buffer=1)
    first = await anext(behind)
    for _ in range(3):
        await work(scheduler, 10)
        await scheduler._control.host.compaction.compact()
    base = scheduler._control.host.log.base
    assert base > 2
    await scheduler.aschedule(LAST, nothing, every="1d")
    gone = (base + 1) * POSITIONS - 1
    kept = until_last_of(LogReader(place))
    fresh = await follow(scheduler.subscribe(after=0))
    assert (fresh[0].after, fresh[0].index, fresh[0].reason) == (0, gone, "let_go")
    assert fresh[0].at.tzinfo is not None and fresh[0].type == "EVENTS_MISSED"
    assert [event.index for event in fresh[1:]] == kept
    seen = [first, *(await follow(behind))]
    (missed,) = (event for event in seen if isinstance(event, EventsMissed))
    before = seen[: seen.index(missed)]
    assert before == sorted(before, key=lambda event: event.index)
    assert (missed.after, missed.index) == (before[-1].index, gone)
    assert [event.index for event in seen[seen.index(missed) + 1 :]] == kept
    # Behind what is missed it goes on, as behind any event.
    again = await follow(scheduler.subscribe(after=missed.index))
    assert [event.index for event in again] == kept
    await scheduler.ashutdown()


def until_last_of(reader):
    """The indices of the events that are kept."""
    return [
        index * POSITIONS + position
        for index, payload in reader.records_after(reader.base)
        for position, _ in enumerate(decode(payload, index).events)
    ]


async def test_a_run_that_began_before_the_subscription_has_its_id(scheduler, place):
    await work(scheduler, 3)
    await scheduler.aschedule(LAST, nothing, every="1d")
    seen = await follow(scheduler.subscribe(after=0))
    starts = [n for n, event in enumerate(seen) if isinstance(event, RunStarted)]
    assert len({seen[n].run_id for n in starts}) == 3
    for n in starts:  # its RUN_DUE lies before, and it has ended long ago
        assert (await anext(scheduler.subscribe(after=seen[n].index - 1))) == seen[n]


async def test_a_run_whose_beginning_was_let_go_has_no_id(place):
    release = asyncio.Event()
    scheduler = Scheduler()
    await scheduler.astart(place, keep_history=0, keep_history_bytes=1)
    await scheduler.aschedule("long", release.wait, after=0, overlap="skip")
    while not (await scheduler.alist())[0]["open_runs"]:
        await asyncio.sleep(0.005)
    (run_id,) = (await scheduler.alist())[0]["open_runs"]
    for name in "ab":
        await scheduler.aschedule(name, nothing, every="1d")
        await scheduler._control.host.compaction.compact()
        await scheduler.aschedule(name, nothing, every="2d")
    assert scheduler._control.host.log.base
    tip = scheduler._control.host.log.tip
    assert await scheduler.atrigger("long") is None
    skipped = await anext(scheduler.subscribe(after=(tip + 1) * POSITIONS - 1))
    assert skipped.by_run_id == run_id  # it is open: the state knows
    release.set()
    assert (await anext(scheduler.subscribe(after=skipped.index))).run_id == run_id
    again = await anext(scheduler.subscribe(after=(tip + 1) * POSITIONS - 1))
    assert again.by_run_id is None and again.index == skipped.index
    await scheduler.ashutdown()


# -- the end ---------------------------------------------------------------------------------------


async def test_the_iteration_ends_behind_the_last_event(scheduler, place):
    subscription = scheduler.subscribe(after=0)
    following = asyncio.create_task(collect(subscription))
    in_thread = asyncio.create_task(asyncio.to_thread(list, scheduler.subscribe(after=0)))
    await work(scheduler, 10)
    unread = scheduler.subscribe()
    begin = unread.index
    await work(scheduler, 3)
    while scheduler.subscribe().index // POSITIONS > subscription.index // POSITIONS:
        await asyncio.sleep(0.005)
    await scheduler.ashutdown()
    seen = await following
    assert isinstance(seen[-1], SchedulerStopped)
    assert seen == whole(place)
    assert await in_thread == seen
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)
    unread = await asyncio.to_thread(list, unread)
    assert unread == [event for event in seen if event.index > begin]


async def collect(subscription):
    return [event async for event in subscription]


async def test_what_cannot_be_read_after_the_end_is_told_as_missed(scheduler, place):
    behind = scheduler.subscribe(after=0, buffer=1)
    await work(scheduler, 20)
    await scheduler.ashutdown()
    seen, expected = await collect(behind), whole(place)
    missed = [event for event in seen if isinstance(event, EventsMissed)]
    assert {event.reason for event in missed} == {"closed"}
    assert isinstance(seen[-1], SchedulerStopped) and seen[-1] == expected[-1]
    assert_complete(seen, 0, expected)
    # The next start can read it.
    again = Scheduler()
    await again.astart(place)
    subscription = again.subscribe(after=missed[0].after)
    rest = [await anext(subscription) for _ in range(len(expected) - 1)]
    assert rest == [event for event in expected if event.index > missed[0].after][: len(rest)]
    await again.ashutdown()


@pytest.mark.parametrize("call", ["write", "fdatasync"])
async def test_a_failure_is_raised_behind_what_was_durable(place, call):
    disk = FailingDisk(call)
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    await scheduler.astart(place)
    seen, elsewhere = [], []
    subscription = scheduler.subscribe(after=0)

    async def here():
        async for event in subscription:
            seen.append(event)

    def there(subscription):
        for event in subscription:
            elsewhere.append(event)

    following = asyncio.create_task(here())
    in_thread = asyncio.create_task(asyncio.to_thread(there, scheduler.subscribe(after=0)))
    await scheduler.aschedule("kept", nothing, every="1d")
    behind = scheduler.subscribe()
    disk.is_failing = True
    with pytest.raises(kron.KronStopped):
        await scheduler.aschedule("lost", nothing, every="1d")
    for each in (following, in_thread, anext(behind), anext(behind)):
        with pytest.raises(kron.KronStopped, match="No space left") as failure:
            await each
        assert isinstance(failure.value.__cause__, kron.LogFailed)
    assert [event.type for event in seen] == ["SCHEDULER_STARTED", "TIMER_CREATED"]
    assert elsewhere == seen
    with pytest.raises(kron.KronStopped):
        scheduler.subscribe()
    await scheduler.ashutdown()


def test_a_loop_that_was_closed_by_hand_leaves_nobody_waiting(place, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    scheduler, loop = Scheduler(), asyncio.new_event_loop()
    loop.run_until_complete(scheduler.astart(place))
    subscription = scheduler.subscribe(after=0)
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(follow_in_thread, subscription)
        while not scheduler._control.host.feed.waiting:
            pass
        loop.close()
        with pytest.raises(kron.KronStopped, match="event loop was closed"):
            following.result(30)
    host = scheduler._control.host
    scheduler.shutdown(0)
    host.engine.threads.stop()


# -- leaving ---------------------------------------------------------------------------------------


async def test_a_cancellation_loses_nothing(scheduler, place):
    subscription = scheduler.subscribe(after=0, buffer=2)
    chance, seen = random.Random(3), []
    await work(scheduler, 50)
    await scheduler.aschedule(LAST, nothing, every="1d")
    cancelled = 0
    while not (seen and is_last(seen[-1])):
        step = asyncio.ensure_future(anext(subscription))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.6:
            step.cancel()
        try:
            seen.append(await step)
        except asyncio.CancelledError:
            cancelled += 1
    assert seen == until_last(whole(place))
    step = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    step.cancel()  # while it waits
    await asyncio.wait({step})
    await scheduler.apause("job")
    assert (await anext(subscription)).type == "TIMER_PAUSED"
    assert cancelled


async def test_close_ends_the_iteration_of_whoever_waits(scheduler):
    feed = scheduler._control.host.feed
    for close in ("aclose", "close in a thread", "async with"):
        subscription = scheduler.subscribe()
        following = asyncio.create_task(collect(subscription))
        while not feed.waiting:
            await asyncio.sleep(0)
        if close == "aclose":
            await subscription.aclose()
        elif close == "async with":
            async with subscription:
                pass
        else:
            await asyncio.to_thread(subscription.close)
        assert await following == []
        subscription.close()
        assert await collect(subscription) == []
    with scheduler.subscribe(after=0) as subscription:
        assert (await anext(subscription)).type == "SCHEDULER_STARTED"
    assert await collect(subscription) == []
    assert not feed.waiting and not feed._followers


async def test_whom_nobody_holds_is_forgotten(scheduler):
    feed = scheduler._control.host.feed
    async for _ in scheduler.subscribe(after=0):
        break
    scheduler.subscribe()
    gc.collect()
    await scheduler.apause("job")
    assert feed._followers == ()
    # Who waits is held, also by nobody but its task.
    seen = []

    async def follow():
        async for event in scheduler.subscribe():
            seen.append(event.type)

    following = weakref.ref(asyncio.create_task(follow()))
    while not feed.waiting:
        await asyncio.sleep(0)
    gc.collect()
    assert following() is not None
    await scheduler.ashutdown()
    assert seen == ["SCHEDULER_STOPPED"]


async def test_a_loop_that_was_closed_while_it_waited_is_forgotten(scheduler):
    feed = scheduler._control.host.feed
    subscription = scheduler.subscribe()

    def wait_and_leave():
        loop = asyncio.new_event_loop()
        task = loop.create_task(collect(subscription))
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        loop.close()
        return task

    task = await asyncio.to_thread(wait_and_leave)
    assert feed.waiting == {subscription}
    await scheduler.apause("job")
    assert not feed.waiting
    task._log_destroy_pending = False


def test_what_comes_between_looking_and_waiting_is_noticed(place, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 1e6)
    scheduler = Scheduler()
    scheduler.start(place)
    subscription = scheduler.subscribe()
    wait = subscription._wait

    async def late():
        scheduler.schedule("job", nothing, every="1d")
        await wait()

    subscription._wait = late
    assert next(subscription).type == "TIMER_CREATED"
    scheduler.shutdown()


async def test_two_tasks_cannot_share_one(scheduler):
    subscription = scheduler.subscribe()
    following = asyncio.create_task(anext(subscription))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one for each"):
        await anext(subscription)
    await scheduler.apause("job")
    assert (await following).type == "TIMER_PAUSED"


# -- the call --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"after": -1}, kron.ScheduleError),
        ({"after": 10**9}, kron.ScheduleError),
        ({"after": True}, TypeError),
        ({"after": "0"}, TypeError),
        ({"after": 1.0}, TypeError),
        ({"buffer": 0}, kron.ScheduleError),
        ({"buffer": None}, TypeError),
    ],
)
async def test_an_argument_that_cannot_be_is_refused_at_the_call(scheduler, arguments, error):
    with pytest.raises(error, match=f"{next(iter(arguments))}"):
        scheduler.subscribe(**arguments)


async def test_the_end_of_the_log_is_the_last_place_to_begin_at(scheduler):
    end = (scheduler._control.host.log.tip + 1) * POSITIONS
    scheduler.subscribe(after=end - 1)
    with pytest.raises(kron.ScheduleError, match="beyond the end"):
        scheduler.subscribe(after=end)


async def test_it_needs_a_scheduler_that_runs(place):
    scheduler = Scheduler()
    with pytest.raises(kron.NotStarted, match="subscribe"):
        scheduler.subscribe()
    await scheduler.astart(place)
    await scheduler.ashutdown()
    with pytest.raises(kron.NotStarted):
        scheduler.subscribe()


async def test_a_loop_is_not_blocked(scheduler):
    with pytest.raises(kron.InsideEventLoop, match="async for"):
        next(scheduler.subscribe(after=0))


# -- a virtual clock -------------------------------------------------------------------------------


async def test_what_has_happened_by_the_time_all_is_at_rest_has_been_told():
    async with VirtualScheduler() as scheduler:
        seen = []

        async def watch():
            async for event in scheduler.subscribe(after=0):
                seen.append(event)

        task = asyncio.create_task(watch())
        await scheduler.aschedule("beat", nothing, every="10s")
        for minute in range(1, 4):
            await scheduler.aadvance("60s")
            done = [event for event in seen if isinstance(event, RunSucceeded)]
            assert len(done) == 6 * minute
        assert done[-1].at == scheduler.clock.datetime
        await scheduler.asettle()
        assert await scheduler.atrigger("beat") == await started(scheduler, seen)
    await task


async def started(scheduler, seen):
    await scheduler.asettle()
    return seen[-1].run_id


def test_a_script_follows_a_virtual_scheduler():
    with VirtualScheduler() as scheduler:
        scheduler.schedule("beat", nothing, every="10s")
        scheduler.advance("60s")
        subscription = scheduler.subscribe(after=0)
        scheduler.schedule(LAST, nothing, every="1d")
        seen = follow_in_thread(subscription)
        assert [event.type for event in seen].count("RUN_SUCCEEDED") == 6


def test_subscribing_is_possible_from_a_thread_while_it_starts(place):
    scheduler = Scheduler()
    scheduler.start(place)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        scheduler.schedule("job", nothing, every="1d", overlap="allow")
        with ThreadPoolExecutor(4) as threads:
            following = []
            for _ in range(40):  # each begins somewhere between two records
                scheduler._control.engine("trigger").submit(kron.core.commands.Trigger("job"))
                subscription = scheduler.subscribe(buffer=3)
                following.append((subscription.index, subscription))
            scheduler.schedule(LAST, nothing, every="1d")
            seen = [*threads.map(lambda each: follow_in_thread(each[1]), following)]
    finally:
        sys.setswitchinterval(switch)
    expected = until_last(whole(place))
    for (after, _), events in zip(following, seen, strict=True):
        assert events == [event for event in expected if event.index > after]
    scheduler.shutdown()
