"""How an exception of a callback becomes a recorded failure, whatever it is."""

from __future__ import annotations

import logging
from traceback import TracebackException

logger = logging.getLogger("kron")

ERROR_BYTES = 8 * 1024
TRACEBACK_CHARACTERS = 64 * 1024


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
