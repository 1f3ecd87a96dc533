"""TOML with line numbers: the standard parser's document, and where each key of it stands.

`tomllib` tells no lines, so the text is looked through again for headers and keys. That is all this
reads: what a line means is decided by `tomllib`, also for the keys of a line.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple, TypeAlias

from kron.core.errors import ScheduleError

Path: TypeAlias = tuple[str, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEYS = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*({_KEYS})[ \t]*\]")
_ENTRY = re.compile(rf"[ \t]*({_KEYS})[ \t]*=")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'|#[^\n]*",
    re.DOTALL,
)
_MOST_BYTES = 16 * 1024 * 1024


class Document(NamedTuple):
    """A parsed file, and the line (from 1) where each key first stands."""

    values: dict[str, Any]
    lines: dict[Path, int]

    def line_of(self, *path: str) -> int:
        """Where the key stands, or the nearest table around it; 1 for the document."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


class NoToml(ScheduleError):
    """A text that is no TOML, and the line where that shows."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def read_toml(data: bytes) -> Document:
    """Raises NoToml."""
    if len(data) > _MOST_BYTES:
        raise NoToml(1, f"the file has {len(data):,} bytes; at most {_MOST_BYTES:,} are read")
    try:
        text = data.decode()
        values = tomllib.loads(text)
    except UnicodeDecodeError as exc:
        raise NoToml(data.count(b"\n", 0, exc.start) + 1, "this line is not UTF-8") from exc
    except RecursionError as exc:
        raise NoToml(1, "is nested too deep") from exc
    except tomllib.TOMLDecodeError as exc:
        raise _no_toml(str(exc), text) from exc
    return Document(values, _lines(text.replace("\r\n", "\n")))


def _no_toml(why: str, text: str) -> NoToml:
    at = re.search(r" \(at line (\d+), column (\d+)\)$", why)
    if at is None:  # "(at end of document)"
        return NoToml(text.count("\n") + 1, f"no valid TOML: {why}")
    return NoToml(int(at[1]), f"no valid TOML: {why[: at.start()]} (column {at[2]})")


def _lines(text: str) -> dict[Path, int]:
    """By key, where it first stands. Strings over several lines and comments are blanked first, so
    nothing in them is taken for a key."""
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(_STRING.sub(_blank, text).split("\n"), 1):
        if header := _HEADER.match(line):
            table = _keys(header[1])
            found = table
        elif entry := _ENTRY.match(line):
            found = (*table, *_keys(entry[1]))
        else:
            continue
        for length in range(len(found), 0, -1):
            lines.setdefault(found[:length], number)
    return lines


def _blank(found: re.Match[str]) -> str:
    """A string on one line stays: it may be a key."""
    text = found[0]
    is_kept = text[0] != "#" and not text.startswith(('"""', "'''"))
    return text if is_kept else "\n" * text.count("\n")


def _keys(text: str) -> Path:
    """The parts of a dotted key, as tomllib reads them."""
    inner: Any = tomllib.loads(f"{text} = 0")
    path: list[str] = []
    while isinstance(inner, dict):
        (key,) = inner
        path.append(key)
        inner = inner[key]
    return tuple(path)
