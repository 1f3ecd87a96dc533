"""How an exception of a callback becomes a recorded failure, whatever it is."""

from __future__ import annotations

import logging
from traceback import TracebackException

from kron.core.model import Reason, Stop

logger = logging.getLogger("kron")

ERROR_BYTES = 8 * 1024
TRACEBACK_CHARACTERS = 64 * 1024
_LEVELS: dict[str, int] = {Stop.TIMEOUT: logging.ERROR, Stop.CRASHED: logging.INFO}


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


def report(timer: str, attempt: int, exc: BaseException) -> None:
    """The traceback, once, on the `kron` logger."""
    try:
        text = "".join(TracebackException.from_exception(exc).format())
    except BaseException as second:
        text = f"{describe(exc)} (its traceback cannot be printed: {type(second).__name__})"
    if len(text) > TRACEBACK_CHARACTERS:
        text = f"{text[:TRACEBACK_CHARACTERS]}... ({len(text)} characters)"
    logger.error(
        "timer %s: attempt %d failed\n%s",
        timer,
        attempt,
        text.rstrip(),
        extra={"kron_timer": timer, "kron_attempt": attempt},
    )


def report_failed(timer: str, attempt: int, reason: str, error: str) -> None:
    """An attempt that failed without a word of its own: its time was up, or its process died."""
    level = _LEVELS.get(reason)
    if level is not None:
        extra = {"kron_timer": timer, "kron_attempt": attempt}
        logger.log(level, "timer %s: attempt %d failed: %s", timer, attempt, error, extra=extra)


def report_dead(timer: str, attempt: int) -> None:
    """No attempt is left of a run."""
    extra = {"kron_timer": timer, "kron_attempt": attempt}
    logger.error("timer %s: the run is given up after attempt %d", timer, attempt, extra=extra)


def report_past(timer: str, reason: str) -> None:
    """A one-shot that was scheduled for a moment long past."""
    if reason == Reason.PAST:
        logger.warning(
            "timer %s: its moment had passed when it was scheduled; it does not run",
            timer,
            extra={"kron_timer": timer},
        )
