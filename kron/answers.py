"""What a scheduler answers: the verbs that read, each sync and async with one signature."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TypeAlias, Unpack

from kron.core.errors import NotStarted
from kron.core.row_query import HistoryOptions, RowQuery, read_row_query
from kron.core.row_views import HistoryRow
from kron.core.timer_query import ListOptions, read_timer_query
from kron.core.views import TimerStatus
from kron.core.why import Why
from kron.runtime.control import Control
from kron.runtime.enrolment import Enrolment
from kron.runtime.subscription import Subscription

Timers: TypeAlias = list[TimerStatus]
Rows: TypeAlias = list[HistoryRow]


class Answers:
    """The reading half of a `Scheduler`. All methods may be called from any thread; on the
    scheduler's own loop the sync ones answer at once, from the last durable state."""

    _control: Control
    _enrolment: Enrolment

    def status(self, name: str) -> TimerStatus | None:
        """One timer as a dict (see TimerStatus), or None if there is none of that name."""
        if self._control.host is not None:
            with suppress(NotStarted):  # it has just come to its end
                return self._control.ask(lambda reading: reading.status(name), "status")
        return self._enrolment.status(name)

    async def astatus(self, name: str) -> TimerStatus | None:
        """As `status`, from any running loop."""
        if self._control.host is not None:
            with suppress(NotStarted):
                return await self._control.aask(lambda reading: reading.status(name), "status")
        return self._enrolment.status(name)

    def list(self, **options: Unpack[ListOptions]) -> Timers:
        """The timers, by next run; those without one last.

        Of those in `state=` (a word of TimerStatus, or several), whose `metadata=` has all of these
        values ({"tenant_id": "acme", "org.team": "web"}; a dot goes into a nested dict), and in
        whose name, command line or command's hash `re.search` finds `match=`. `limit=` many (None:
        all) behind the first `offset=`.

        While many are read the scheduler goes on: each dict is right as of its own reading. Raises
        TypeError for an unknown filter or a value of the wrong type, ScheduleError for one that
        cannot be.
        """
        query = read_timer_query(options)
        if self._control.host is not None:
            with suppress(NotStarted):
                return self._control.ask_long(lambda reading: reading.list(query), "list")
        return self._enrolment.statuses(query)

    async def alist(self, **options: Unpack[ListOptions]) -> Timers:
        """As `list`, from any running loop, which is never held up for longer than a slice."""
        query = read_timer_query(options)
        if self._control.host is not None:
            with suppress(NotStarted):
                return await self._control.aask_long(lambda reading: reading.list(query), "list")
        return self._enrolment.statuses(query)

    def history(self, name: str | None = None, **options: Unpack[HistoryOptions]) -> Rows:
        """What became of the latest moments, newest first (see HistoryRow); of one timer or all.

        `state=` is a status of HistoryRow in any case, or several. `since=` and `until=` bound when
        it became so (`since <= at < until`): aware datetimes, ISO strings with a zone, or durations
        ("2h": that long ago). `metadata=` is that of the timers, as for `list`. `limit=100` rows
        behind the first `offset=`.

        Raises UnknownTimer for a name that neither exists nor has history, NotStarted, TypeError
        for an unknown filter, ScheduleError, StorageError.
        """
        query = self._row_query(name, options)
        if query.metadata:
            wanted = query.timers_wanted
            query = query.of(self._control.ask_long(lambda r: r.names(wanted), "history"))
        return self._control.ask(lambda reading: reading.history(query), "history").rows()

    async def ahistory(self, name: str | None = None, **options: Unpack[HistoryOptions]) -> Rows:
        """As `history`, from any running loop."""
        query = self._row_query(name, options)
        if query.metadata:
            wanted = query.timers_wanted
            query = query.of(await self._control.aask_long(lambda r: r.names(wanted), "history"))
        past = await self._control.aask(lambda reading: reading.history(query), "history")
        return await past.arows()

    def why(self, name: str, at: datetime | str | None = None) -> Why:
        """The story of the latest due moment at or before `at` (now), in words and as data (Why).

        `at` is an aware datetime or an ISO 8601 string; of a moment in the future it says whether
        the timer will run then, or when next. What was let go is not guessed. Raises UnknownTimer
        for a name that neither exists nor has history, ScheduleError, NotStarted.
        """
        return self._control.ask(lambda reading: reading.why(name, at), "why").tell()

    async def awhy(self, name: str, at: datetime | str | None = None) -> Why:
        """As `why`, from any running loop."""
        return await (await self._control.aask(lambda r: r.why(name, at), "why")).atell()

    def subscribe(self, after: int | None = None, *, buffer: int = 1000) -> Subscription:
        """The events of the log as they become durable: `async for event in subscribe()`, or in a
        thread `for event in subscribe()`. They are typed values (see `kron.events`).

        From this call on; with `after=` those behind the event of that `index`, also of earlier
        processes: 0 is the beginning of what is kept. Each comes once, in order, however slow the
        subscriber is: up to `buffer` events are held for it, what does not fit is read back from
        the log. What was let go meanwhile is told as EventsMissed.

        It ends with SchedulerStopped; of a scheduler that failed the iteration raises KronStopped.
        Leave it earlier with `break`, `close` or `async with`. There is no async twin: this waits
        for nothing. Raises NotStarted, TypeError, ScheduleError for an `after` beyond the end.
        """
        return self._control.feed("subscribe").subscribe(after, buffer)

    def _row_query(self, name: str | None, options: HistoryOptions) -> RowQuery:
        return read_row_query(name, options, self._enrolment.clock.now().wall_us)
