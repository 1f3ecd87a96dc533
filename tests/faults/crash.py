"""What a power cut may leave on the medium: one random choice of it, as pessimistic as physics."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from random import Random
from typing import Any

from tests.faults.medium import Boundary, Cut, Inode, Op, Write, apply_file, apply_names
from tests.faults.memory_disk import MemoryDisk

GRAINS = (1, 512, 4096)


def survivor(boundary: Boundary, *, keep_history: bool = False) -> MemoryDisk:
    """The disk after kill -9 at this boundary: everything is there, not everything is synced."""
    disk = MemoryDisk(inodes=boundary.inodes, keep_history=keep_history)
    disk.kill()
    return disk


def image(boundary: Boundary, random: Random, *, keep_history: bool = False) -> MemoryDisk:
    """The disk after a power cut at this boundary. What is synced is there; of the rest, files and
    names, anything may be, in any order (but for what a sync between two operations forbids)."""
    inodes = {}
    for ino, inode in boundary.inodes.items():
        if inode.ops:
            now: Any = _names(inode, random) if stat.S_ISDIR(inode.mode) else _file(inode, random)
        else:
            now = inode.base
        inodes[ino] = inode._replace(base=now, ops=(), now=now)
    return MemoryDisk(inodes=inodes, keep_history=keep_history)


def digest(disk: MemoryDisk) -> bytes:
    """Equal for disks that look the same."""
    found = hashlib.blake2b(digest_size=16)
    for path, content in sorted(disk.files().items()):
        found.update(b"%d %s %d %s" % (len(path), path.encode(), len(content), content))
    return found.digest()


def is_certain(boundary: Boundary) -> bool:
    """Whether a power cut here has only one outcome."""
    return not any(inode.ops for inode in boundary.inodes.values())


def _names(inode: Inode, random: Random) -> dict[str, int]:
    """A journal that ends anywhere; or none, so that each operation may be lost by itself."""
    names = dict(inode.base)
    end = random.randint(0, len(inode.ops))
    has_journal = random.random() < 0.5
    for position, op in enumerate(inode.ops):
        kept = position < end if has_journal else random.random() < 0.6
        if kept or op.fate == "durable":
            apply_names(names, op.what)
    return names


def _file(inode: Inode, random: Random) -> bytes:
    way = random.choice((_in_order, _in_any_order, _by_sectors))
    return way(inode.base, inode.ops, random)


def _in_order(base: bytes, ops: tuple[Op, ...], random: Random) -> bytes:
    """The first ones are there, one is torn, the rest is lost."""
    content, torn = bytearray(base), random.randint(0, len(ops))
    for position, op in enumerate(ops):
        if position < torn or op.fate == "durable":
            apply_file(content, op.what)
        elif position == torn:
            _tear(content, op.what, random)
    return bytes(content)


def _in_any_order(base: bytes, ops: tuple[Op, ...], random: Random) -> bytes:
    """Each is there, torn, or lost, whatever became of the others."""
    content = bytearray(base)
    for op in ops:
        lot = random.random()
        if lot < 0.4 or op.fate == "durable":
            apply_file(content, op.what)
        elif lot < 0.7:
            _tear(content, op.what, random)
    return bytes(content)


def _by_sectors(base: bytes, ops: tuple[Op, ...], random: Random) -> bytes:
    """The sectors of the file as it is now, each there or not; those that are not are as they
    were, or zeros behind the old end."""
    content = bytearray(base)
    for op in ops:
        apply_file(content, op.what)
    if any(isinstance(op.what, Cut) or op.fate == "durable" for op in ops):
        return _in_any_order(base, ops, random)
    first = min(op.what.offset for op in ops)
    for start, stop in _lost(first, len(content), random):
        old = base[start:stop]
        content[start:stop] = old + bytes(stop - start - len(old))
    known = random.choice((len(content), random.randint(len(base), len(content))))  # as the size
    return bytes(content[:known])


def _tear(content: bytearray, op: Write | Cut, random: Random) -> None:
    """Of a write a part is there; a cut is never half done."""
    if isinstance(op, Cut):
        return
    whole, old = bytearray(content), bytes(content)
    apply_file(whole, op)
    stop = op.offset + len(op.content)
    if random.random() < 0.5:
        grain = random.choice(GRAINS)
        stop = min(stop, random.randint(op.offset, stop) // grain * grain)
        content[:] = whole[: max(stop, len(old))]
        if stop < len(old):
            content[max(stop, 0) :] = old[max(stop, 0) :]
        return
    for start, end in _lost(op.offset, stop, random):
        whole[start:end] = old[start:end] + bytes(end - start - len(old[start:end]))
    content[:] = whole


def _lost(first: int, end: int, random: Random) -> Iterable[tuple[int, int]]:
    """Which sectors between these bytes did not reach the medium."""
    grain = random.choice(GRAINS)
    share = random.choice((0.1, 0.5, 0.9, 1.0))
    if grain == 1:  # a few bytes or runs of them
        for _ in range(random.randint(1, 4)):
            start = random.randint(first, end)
            yield start, min(end, start + random.choice((1, 2, 10, 100)))
        return
    for sector in range(first // grain * grain, end, grain):
        if random.random() < share:
            yield max(first, sector), min(end, sector + grain)
