"""The end of a program that did not shut down: what was still to come, in a line for people."""

from __future__ import annotations

from .control import Control
from .program import in_words
from .reading import Reading


def leave(control: Control, timeout: float) -> str | None:
    """Shut down; the line, if one-shots were still to come."""
    host = control.host
    if host is None or host.over.done() or host.is_stranded():
        return None
    if host.engine is None or host.engine.is_over:
        return None
    coming = control.ask(Reading.next_one_shot, "list")
    control.stop(timeout)
    if coming is None:
        return None
    name, wait_s = coming
    return (
        f"kron: the program ended; next run {name} in {in_words(wait_s)};"
        " end with kron.wait() to stay"
    )
