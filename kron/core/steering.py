"""What pause, resume and backfill are asked for, checked and made into commands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import NamedTuple, TypeAlias, cast

from typing_extensions import TypedDict

from .backfill import check_concurrency, span_of
from .commands import Backfill as BackfillCommand
from .commands import Pause, PauseMany, Resume, ResumeMany
from .dst import zone
from .duration import parse_duration
from .errors import ScheduleError, brief
from .instants import parse_instant, text
from .keywords import check_keywords
from .model import Definition
from .state import State
from .terms import Duration
from .things import Timer

Instant: TypeAlias = datetime | str
Ago: TypeAlias = datetime | Duration
"""An instant, or a duration: that long ago."""

NOTE_CHARACTERS = 1_000
"""`reason` and `who` may be so long."""
PREVIEWED = 1_000
"""So many moments a dry run lists."""


class Backfill(TypedDict):
    """What a backfill is to run: the moments in `since <= t < until`.

    `moments` is how many will run, `done` how many had a run and are left out. With `dry_run`
    nothing was changed, and `scheduled_at` lists the first 1,000 that would run, oldest first.
    """

    timer: str
    since: str
    until: str
    moments: int
    done: int
    dry_run: bool
    scheduled_at: list[str]


class PauseOptions(TypedDict, total=False):
    """The keywords of `pause()`."""

    match: str | None
    for_: Duration | None
    until: Instant | None
    reason: str
    who: str


class ResumeOptions(TypedDict, total=False):
    """The keywords of `resume()`."""

    match: str | None
    who: str


class _Since(TypedDict):
    since: Ago


class BackfillOptions(_Since, total=False):
    """The keywords of `backfill()`; `since` is needed."""

    until: Ago | None
    concurrency: int
    force: bool
    dry_run: bool


class PauseAsked(NamedTuple):
    """Whom a pause concerns (one, or those that match, or all), for how long or until when (None
    twice: until it is resumed), and the words that go with it."""

    name: str | None
    match: str | None
    for_us: int | None
    until_us: int | None
    reason: str
    who: str

    @property
    def verb(self) -> str:
        """What errors call it."""
        return "pause"

    def one(self, name: str, cmd_id: str = "") -> Pause:
        """The command that pauses one timer."""
        return Pause(name, *self[2:], cmd_id)

    def many(self, names: Iterable[str], cmd_id: str = "") -> PauseMany:
        """The command that pauses these timers."""
        return PauseMany(tuple(names), *self[2:], cmd_id)


class ResumeAsked(NamedTuple):
    """Whom the end of a pause concerns, and who wants it."""

    name: str | None
    match: str | None
    who: str

    @property
    def verb(self) -> str:
        """What errors call it."""
        return "resume"

    def one(self, name: str, cmd_id: str = "") -> Resume:
        """The command that resumes one timer."""
        return Resume(name, self.who, cmd_id)

    def many(self, names: Iterable[str], cmd_id: str = "") -> ResumeMany:
        """The command that resumes these timers."""
        return ResumeMany(tuple(names), self.who, cmd_id)


def read_pause(name: str | None, options: PauseOptions, now_us: int) -> PauseAsked:
    """The arguments of `pause()`. Raises ScheduleError or TypeError, naming one."""
    check_keywords("pause", options, PauseOptions)
    match, for_, until = options.get("match"), options.get("for_"), options.get("until")
    _refuse_both("pause", name, match)
    if for_ is not None and until is not None:
        raise ScheduleError("pause() takes for_= or until=, not both.")
    for_us = None if for_ is None else parse_duration(for_, argument="for_")
    until_us = None if until is None else parse_instant(until, None, argument="until")
    if until_us is not None and until_us <= now_us:
        raise ScheduleError(f"until={brief(until)} lies in the past; nothing would be paused.")
    reason = _words(options.get("reason", ""), "reason")
    return PauseAsked(name, match, for_us, until_us, reason, _words(options.get("who", ""), "who"))


def read_resume(name: str | None, options: ResumeOptions) -> ResumeAsked:
    """The arguments of `resume()`. Raises ScheduleError or TypeError, naming one."""
    check_keywords("resume", options, ResumeOptions)
    match = options.get("match")
    _refuse_both("resume", name, match)
    return ResumeAsked(name, match, _words(options.get("who", ""), "who"))


def _refuse_both(verb: str, name: object, match: object) -> None:
    if name is not None and match is not None:
        raise ScheduleError(f"{verb}() takes a timer's name or match=, not both.")


def read_since(since: object, tz: tzinfo | None, now_us: int, *, argument: str) -> int:
    """Epoch microseconds of an instant in the past: an aware datetime, an ISO 8601 string (a naive
    one is read in `tz`, and refused without one), or a duration, which is that long before now.

    Raises ScheduleError, also if it lies in the future; TypeError.
    """
    at_us = read_ago(since, tz, now_us, argument=argument)
    if at_us > now_us:
        raise ScheduleError(f"{argument}={brief(since)} lies in the future.")
    return at_us


def read_ago(since: object, tz: tzinfo | None, now_us: int, *, argument: str) -> int:
    """As `read_since`, of an instant that may lie in the future."""
    is_ago = isinstance(since, timedelta | int | float)
    if is_ago or (isinstance(since, str) and since.endswith(("w", "d", "h", "m", "s"))):
        return now_us - parse_duration(cast(Duration, since), argument=argument)
    if isinstance(since, datetime):
        return parse_instant(since, tz, argument=argument)
    if isinstance(since, str):
        try:
            return parse_instant(since, tz, argument=argument)
        except ScheduleError as exc:
            raise ScheduleError(f"{exc} A duration such as '2h' means: that long ago.") from exc
    raise TypeError(
        f"{argument} must be an aware datetime, an ISO 8601 string or a duration, not"
        f" {type(since).__name__}."
    )


def read_backfill(name: str, options: BackfillOptions) -> BackfillAsked:
    """The arguments of `backfill()`, as far as they say something without the timer. Raises
    ScheduleError or TypeError, naming one."""
    check_keywords("backfill", options, BackfillOptions)
    count = options.get("concurrency", 1)
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"concurrency must be an int, not {type(count).__name__}.")
    if count < 1:
        raise ScheduleError(f"concurrency={brief(count)} must be a whole number from 1 on.")
    flags = {word: options.get(word, False) for word in ("force", "dry_run")}
    for word, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{word} must be True or False, not {type(flag).__name__}.")
    since, until = options["since"], options.get("until")
    return BackfillAsked(name, since, until, count, bool(flags["force"]), bool(flags["dry_run"]))


class BackfillAsked(NamedTuple):
    """A timer, and from when to when; what an instant means depends on the timer's zone."""

    name: str
    since: Ago
    until: Ago | None
    concurrency: int
    is_forced: bool
    is_dry_run: bool

    def command(self, definition: Definition, now_us: int, cmd_id: str = "") -> BackfillCommand:
        """What it says of a timer with that definition. Raises ScheduleError or TypeError, naming
        the argument."""
        tz = zone(definition.terms.timezone)
        since_us = read_since(self.since, tz, now_us, argument="since")
        until_us = now_us
        if self.until is not None:
            until_us = read_since(self.until, tz, now_us, argument="until")
        if until_us < since_us:
            raise ScheduleError(
                f"until={brief(self.until)} lies before since={brief(self.since)}; nothing would"
                " run."
            )
        asked = self.is_forced, self.concurrency, cmd_id
        return BackfillCommand(self.name, since_us, until_us, *asked)


def begun(command: BackfillCommand, answer: tuple[int, int]) -> Backfill:
    """The answer to a command as a dict."""
    moments, done = answer
    return {
        "timer": command.name,
        "since": str(text(command.since_us)),
        "until": str(text(command.until_us)),
        "moments": moments,
        "done": done,
        "dry_run": False,
        "scheduled_at": [],
    }


def previewed(state: State, timer: Timer, command: BackfillCommand) -> Backfill:
    """What a command would run, as a dict. Raises ScheduleError for what cannot be backfilled."""
    check_concurrency(timer, command.concurrency)
    since_us, until_us = command.since_us, command.until_us
    span = span_of(state, timer, since_us, until_us, is_forced=command.is_forced)
    moments = span.left()
    first = islice(span.moments(), PREVIEWED)
    return {
        **begun(command, (moments, span.total() - moments)),
        "dry_run": True,
        "scheduled_at": [str(text(state.to_wall(timer, each))) for each in first],
    }


def _words(value: object, argument: str) -> str:
    """Text for people, which the log can hold."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {type(value).__name__}.")
    if len(value) > NOTE_CHARACTERS:
        raise ScheduleError(
            f"{argument}= has {len(value)} characters; at most {NOTE_CHARACTERS} are kept."
        )
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise TypeError(f"{argument} holds half a surrogate pair, which is no text.") from exc
    return str.__str__(value)
