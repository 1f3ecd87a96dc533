"""What the CLI prints: JSON documents and tables on stdout, notes and errors on stderr."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from dataclasses import dataclass
from datetime import tzinfo
from io import TextIOWrapper
from typing import TYPE_CHECKING

from .words import clean, safe_json, zone_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

DATA_DIR = ".kron"
WIDE = 110
"""From this many columns on, tables show whole timestamps and run ids."""
PIPED_COLUMNS = 200
STDOUT = "stdout"
_ESCAPES = "kron.escapes"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class Stdout(TextIOWrapper):
    """Stdout. Its errors name it, by which they can be told from those of other files."""

    def write(self, text: str, /) -> int:
        """See TextIO."""
        try:
            return super().write(text)
        except OSError as exc:
            exc.filename = STDOUT
            raise

    def flush(self) -> None:
        """See TextIO."""
        try:
            super().flush()
        except OSError as exc:
            exc.filename = STDOUT
            raise


def take_stdout() -> None:
    """Make stdout a Stdout that escapes what its encoding cannot say, as stderr does."""
    before = sys.stdout
    if not isinstance(before, TextIOWrapper):  # there may be none
        return
    before.flush()
    codecs.register_error(_ESCAPES, _escape)
    sys.stdout = Stdout(
        before.buffer,
        encoding=before.encoding,
        errors=_ESCAPES,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def drop_stdout() -> None:
    """What is still to be printed goes nowhere: Python would try it again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _escape(exc: UnicodeError) -> tuple[str, int]:
    """As "backslashreplace" has it, but never \\xfc, which is no escape in TOML."""
    assert isinstance(exc, UnicodeEncodeError)
    codes = [ord(each) for each in exc.object[exc.start : exc.end]]
    return "".join(f"\\u{it:04x}" if it < 1 << 16 else f"\\U{it:08x}" for it in codes), exc.end


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

    print(_sayable(orjson.dumps(value, option=orjson.OPT_INDENT_2)))


def show_line(value: object) -> None:
    """One JSON document on one line, at once."""
    import orjson

    print(_sayable(orjson.dumps(value)), flush=True)


def _sayable(document: bytes) -> str:
    """JSON that a terminal does not act on, in ASCII if stdout cannot say all of it."""
    text = safe_json(document.decode())
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return text


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
