"""The lines of an open file, read from its end and found from its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kron.storage.disk import Disk
from kron.storage.lines import MAX_RECORD_BYTES

BLOCK_BYTES = 256 << 10
"""How much is read at once on the way back."""
FRONT_BYTES = 4096
"""How much is read at first of a line in the middle: nearly always the whole of it."""


class Lines:
    """What stands in bytes `start`..`end`: lines, and at most at the end something that is none.

    Lines come without their newlines. OSErrors pass through.
    """

    def __init__(self, disk: Disk, fd: int, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self._disk = disk
        self._fd = fd

    def at(self, offset: int) -> bytes:
        """The line that begins there; empty if it has no end, or one too far to be a record's."""
        for size_bytes in (FRONT_BYTES, MAX_RECORD_BYTES):
            front = self._pread(offset, min(self.end, offset + size_bytes))
            line, newline, _ = front.partition(b"\n")
            if newline:
                return line
        return b""

    def boundary(self, is_before: Callable[[bytes], bool]) -> int:
        """Where the first line begins for which `is_before` is false; it is true for all lines
        before that one and for none behind. A few lines are looked at, by halving."""
        low, high = self.start, self.end
        while low < high:
            begin = self._begin_of((low + high) // 2, low)
            line = self.at(begin)
            if is_before(line):
                low = begin + len(line) + 1
            else:
                high = begin
        return low

    def back(self, stop: int) -> Iterator[tuple[int, bytes]]:
        """The lines that end before byte `stop`, where one begins (or the end is), newest first,
        each with the byte it begins at."""
        for begin, block in self._blocks(stop):
            end = begin + len(block)
            for line in reversed(block.split(b"\n")):
                yield end - len(line), line
                end -= len(line) + 1

    def back_with(self, word: bytes, stop: int) -> Iterator[tuple[int, bytes]]:
        """Those of them that contain the word. Others are not looked at, however many."""
        for begin, block in self._blocks(stop):
            at = len(block)
            while (at := block.rfind(word, 0, at)) >= 0:
                first = block.rfind(b"\n", 0, at) + 1
                last = block.find(b"\n", at)
                yield begin + first, block[first : last if last >= 0 else len(block)]
                at = first

    def _blocks(self, stop: int) -> Iterator[tuple[int, bytes]]:
        """Whole lines at a time, without the last newline, and where the first of them begins."""
        position, rest = stop - 1, b""
        while position > self.start:
            begin = max(self.start, position - BLOCK_BYTES)
            block, position = self._pread(begin, position) + rest, begin
            first = 0 if begin == self.start else block.find(b"\n") + 1
            if first or begin == self.start:
                yield begin + first, block[first:]
                rest = block[: first - 1]
            elif len(block) <= MAX_RECORD_BYTES:
                rest = block
            else:  # nothing that long is a record: whoever gets it finds that out
                yield begin, block
                return

    def _begin_of(self, inside: int, low: int) -> int:
        """Where the line begins that byte `inside` belongs to; lines begin at `low`."""
        position = inside
        while position > low:
            begin = max(low, position - FRONT_BYTES)
            newline = self._pread(begin, position).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            position = begin
        return low

    def _pread(self, begin: int, end: int) -> bytes:
        return self._disk.pread(self._fd, end - begin, begin)
