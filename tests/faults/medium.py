"""What is on a medium: inodes, and the operations that a power cut may take away.

A file or directory is an inode: what is on the medium (`base`), and the operations since its last
sync (`ops`), which may be lost (see `crash.py`). A sync of a file makes its content durable, not
its name; that needs the sync of the directory.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Write(NamedTuple):
    offset: int
    content: bytes


class Cut(NamedTuple):
    size: int


class Link(NamedTuple):
    name: str
    ino: int


class Unlink(NamedTuple):
    name: str


class Rename(NamedTuple):
    old: str
    new: str
    ino: int


class Op(NamedTuple):
    """`fate`: "dirty" (the next sync takes it along), "cursed" (its sync failed: no later one
    does, as on Linux, where a failed page is clean afterwards), "durable" (behind a cursed one)."""

    what: Any
    fate: str = "dirty"


class Inode(NamedTuple):
    """`base` is bytes or a dict of names; `now` is what a living process sees."""

    mode: int
    base: Any
    ops: tuple[Op, ...]
    now: Any
    mtime_ns: int


class Boundary(NamedTuple):
    """After which call (the how manieth of all), and what is on the medium or on its way there."""

    call: str
    number: int
    inodes: dict[int, Inode]


def apply_file(content: bytearray, op: Write | Cut) -> None:
    """What this operation does to the bytes of a file."""
    if isinstance(op, Cut):
        del content[op.size :]
        content.extend(bytes(op.size - len(content)))
        return
    content.extend(bytes(max(0, op.offset - len(content))))
    content[op.offset : op.offset + len(op.content)] = op.content


def apply_names(names: dict[str, int], op: Link | Unlink | Rename) -> None:
    """What this operation does to a directory, even if one that it followed was lost."""
    if isinstance(op, Link):
        names[op.name] = op.ino
    elif isinstance(op, Unlink):
        names.pop(op.name, None)
    else:
        if names.get(op.old) == op.ino:
            del names[op.old]
        names[op.new] = op.ino
