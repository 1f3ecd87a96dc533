"""TOML with line numbers: the standard parser's document, and where each key of it stands.

`tomllib` tells no lines, so the text is looked through again for where statements begin, and the
headers and keys of these. That is all this reads: what a line means is decided by `tomllib`, also
for the keys of a line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from kron.core.errors import ScheduleError

Path: TypeAlias = tuple[str, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEYS = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_STATEMENT = re.compile(
    rf"[ \t]*(?:\[\[?[ \t]*(?P<header>{_KEYS})[ \t]*\]|(?P<entry>{_KEYS})[ \t]*=)"
)
_TOKEN = re.compile(
    r'"""(?:[^\\"]++|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']++|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
    r"|#[^\n]*+"
    r"|[\[\]{}\n]",
    re.DOTALL,
)
"""What a statement can be hidden in: strings and comments, and brackets over several lines."""
_NESTING = {"[": 1, "{": 1, "]": -1, "}": -1}
_LONG_NUMBER = re.compile(r"[0-9_]{1000,}")
_MOST_BYTES = 16 * 1024 * 1024
_DEEPEST = 8
"""Keys further down stand where the one around them stands."""


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
    """The document; the byte order mark of some editors is no part of it. Raises NoToml."""
    if len(data) > _MOST_BYTES:
        raise NoToml(1, f"the file has {len(data):,} bytes; at most {_MOST_BYTES:,} are read.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        # `exc.object` is what follows the mark.
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise NoToml(line, "this line is not UTF-8.") from exc
    try:
        values = tomllib.loads(text)
    except RecursionError as exc:
        raise NoToml(1, "no valid TOML: values are nested too deep.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise _no_toml(str(exc), text) from exc
    except ValueError as exc:  # Python makes no number of thousands of digits
        found = _LONG_NUMBER.search(text)
        line = _line_at(text, found.start() if found else 0)
        raise NoToml(line, "no valid TOML: a number of too many digits.") from exc
    return Document(values, _lines(text))


def _no_toml(why: str, text: str) -> NoToml:
    at = re.search(r" \(at line (\d+), column (\d+)\)$", why)
    if at is None:  # "(at end of document)"
        return NoToml(_line_at(text, len(text.rstrip())), f"no valid TOML: {why}.")
    return NoToml(int(at[1]), f"no valid TOML: {why[: at.start()]} (column {at[2]}).")


def _lines(text: str) -> dict[Path, int]:
    """By key, where it first stands."""
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, start in _statements(text):
        statement = _STATEMENT.match(text, start)
        if statement is None:  # an empty line, or a comment
            continue
        if statement["header"]:
            found = table = _keys(statement["header"])
        else:
            found = (*table, *_keys(statement["entry"]))[:_DEEPEST]
        for length in range(len(found), 0, -1):
            lines.setdefault(found[:length], number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Line and offset of each line that is no part of a value begun before it."""
    line, depth = 1, 0
    yield line, 0
    for token in _TOKEN.finditer(text):
        line += token[0].count("\n")
        depth += _NESTING.get(token[0], 0)
        if token[0] == "\n" and depth == 0:
            yield line, token.end()


def _keys(text: str) -> Path:
    """The first parts of a dotted key, as tomllib reads them."""
    inner: Any = tomllib.loads(f"{text} = 0")
    path: list[str] = []
    while isinstance(inner, dict) and len(path) < _DEEPEST:
        (key,) = inner
        path.append(key)
        inner = inner[key]
    return tuple(path)


def _line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
