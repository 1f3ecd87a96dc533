"""What the CLI prints: JSON documents and tables on stdout, notes and errors on stderr."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING

from .words import clean, safe_json, zone_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

DATA_DIR = ".kron"
WIDE = 110
"""From this many columns on, tables show whole timestamps and run ids."""
PIPED_COLUMNS = 200


@dataclass(frozen=True, slots=True)
class Options:
    """The global options of one call."""

    data_dir: str
    is_json: bool = False
    is_utc: bool = False

    @property
    def zone(self) -> tzinfo | None:
        """UTC, or None for the local zone."""
        return zone_of(self.is_utc)


def show_json(value: object) -> None:
    """One JSON document, indented."""
    import orjson

    print(safe_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


def show_line(value: object) -> None:
    """One JSON document on one line, at once."""
    import orjson

    print(safe_json(orjson.dumps(value).decode()), flush=True)


def show(thing: RenderableType) -> None:
    """Anything that rich renders."""
    console().print(thing, soft_wrap=False)


def note(text: str) -> None:
    """A line for people, beside the output proper."""
    print(f"{clean(text)}\n", end="", file=sys.stderr)  # one write, beside other threads' logs


def fail(text: str) -> None:
    """An error as one line."""
    note(f"kron: {text}")


def console() -> Console:
    """Stdout. In a pipe, where nobody has said how wide it is, nothing is cut short for it."""
    from rich.console import Console

    is_free = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    return Console(width=PIPED_COLUMNS if is_free else None, highlight=False, emoji=False)
