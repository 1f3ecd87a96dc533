"""How an exception of a callback becomes a recorded failure, whatever it is."""

from __future__ import annotations

import logging
from traceback import TracebackException
from typing import TYPE_CHECKING, Protocol

from kron.core.ids import run_id_text
from kron.core.model import Reason, Stop

from .logger import tell

if TYPE_CHECKING:  # `child` has no use for them
    from kron.core.events import RunDead, RunFailed, RunMissed

ERROR_BYTES = 8 * 1024
TRACEBACK_CHARACTERS = 64 * 1024
_LEVELS: dict[str, int] = {Stop.TIMEOUT: logging.ERROR, Stop.CRASHED: logging.INFO}


class Attempt(Protocol):
    """Whose failure it is."""

    timer: str
    attempt: int

    @property
    def run_id(self) -> str:
        """The run as people see it."""


def describe(exc: BaseException) -> str:
    """`Type: message`, at most 8 KiB of UTF-8, for any exception, also an unprintable one."""
    try:
        message = str(exc)
    except BaseException as second:
        message = f"<str() of the exception raised {type(second).__name__}>"
    text = f"{type(exc).__name__}: {message[:ERROR_BYTES]}"
    # Half surrogates are no UTF-8; what is cut may end in half a character.
    encoded = text.encode("utf-8", "backslashreplace")
    return encoded[:ERROR_BYTES].decode("utf-8", "ignore")


def traceback_of(exc: BaseException) -> str:
    """The traceback as text, at most 64 Ki characters, for any exception."""
    try:
        text = "".join(TracebackException.from_exception(exc).format())
    except BaseException as second:
        text = f"{describe(exc)} (its traceback cannot be printed: {type(second).__name__})"
    if len(text) > TRACEBACK_CHARACTERS:
        text = f"{text[:TRACEBACK_CHARACTERS]}... ({len(text)} characters)"
    return text.rstrip()


def report(attempt: Attempt, exc: BaseException) -> None:
    """The traceback, once."""
    tell_failed(attempt, f"\n{traceback_of(exc)}")


def tell_failed(attempt: Attempt, how: str) -> None:
    """It has failed; `how` follows the words that say so."""
    timer, run, number = attempt.timer, attempt.run_id, attempt.attempt
    text = "timer %s: attempt %d failed%s"
    tell(logging.ERROR, text, timer, number, how, timer=timer, run=run, attempt=number)


def report_failed(event: RunFailed, log_id: str) -> None:
    """An attempt that failed without a word of its own: its time was up, or its process died."""
    level = _LEVELS.get(event.reason)
    if level is not None:
        timer, attempt = event.timer, event.attempt
        run = run_id_text(event.run, event.scheduled_us, log_id)
        text, about = "timer %s: attempt %d failed: %s", (timer, attempt, event.error)
        tell(level, text, *about, timer=timer, run=run, attempt=attempt)


def report_dead(event: RunDead, log_id: str) -> None:
    """No attempt is left of a run."""
    timer, attempt = event.timer, event.attempt
    run = run_id_text(event.run, event.scheduled_us, log_id)
    text = "timer %s: the run is given up after attempt %d"
    tell(logging.ERROR, text, timer, attempt, timer=timer, run=run, attempt=attempt)


def report_past(event: RunMissed) -> None:
    """A one-shot that was scheduled for a moment long past."""
    if event.reason == Reason.PAST:
        text = "timer %s: its moment had passed when it was scheduled; it does not run"
        tell(logging.WARNING, text, event.timer, timer=event.timer)
