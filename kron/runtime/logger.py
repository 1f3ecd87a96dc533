"""The logger `kron.runs`: what happens to timers and runs, each record with whom it is about."""

from __future__ import annotations

import logging
from contextlib import suppress
from traceback import print_exception

_logger = logging.getLogger("kron.runs")
is_heard = _logger.isEnabledFor


def tell(
    level: int,
    text: str,
    *args: object,
    timer: str | None = None,
    run: str | None = None,
    attempt: int | None = None,
    logger: logging.Logger = _logger,
) -> None:
    """Log it, with what is known of `timer`, `run` (as people see it) and `attempt` as `extra`.

    Raises nothing: a filter of the program's that does is shown on stderr, as logging itself does
    with a handler's failure. A run must not stay open for it.
    """
    about = {"timer": timer, "run": run, "attempt": attempt}
    extra = {name: value for name, value in about.items() if value is not None}
    try:
        logger.log(level, text, *args, extra=extra, stacklevel=2)
    except Exception as exc:
        with suppress(OSError, ValueError):  # stderr is gone
            print_exception(exc)
