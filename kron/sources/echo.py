"""What commands print is kept, and shown as it comes, each line behind the name of its timer."""

from __future__ import annotations

import logging
import sys
import threading
from typing import BinaryIO

from kron.runtime.output import Output, Outputs

logger = logging.getLogger("kron.up")

_LINE_BYTES = 16 * 1024
"""A longer line is shown in pieces."""


class Echo:
    """Outputs that are shown on `stdout` as well; any thread. It raises nothing that `outputs` does
    not: if nobody reads stdout any more, that is logged, and nothing further is shown."""

    def __init__(self, outputs: Outputs, stdout: BinaryIO | None = None) -> None:
        self._outputs = outputs
        self._stdout = stdout or sys.stdout.buffer
        self._lock = threading.Lock()
        self._is_open = True

    def prepare(self, now_s: float) -> None:
        """See Outputs."""
        self._outputs.prepare(now_s)

    def begin(self, timer: str, run_id: str, attempt: int, now_s: float) -> Output:
        """See Outputs."""
        return EchoedOutput(self, timer, self._outputs.begin(timer, run_id, attempt, now_s))

    def read(self, run_id: str, offset: int = 0) -> tuple[str, int]:
        """See Outputs."""
        return self._outputs.read(run_id, offset)

    def mark(self, run_id: str, text: str) -> None:
        """See Marks."""
        self._outputs.mark(run_id, text)

    def unmark(self, run_id: str) -> None:
        """See Marks."""
        self._outputs.unmark(run_id)

    def marks(self) -> dict[str, str]:
        """See Marks."""
        return self._outputs.marks()

    def show(self, lines: bytes) -> None:
        """Whole lines."""
        with self._lock:
            if not self._is_open:
                return
            try:
                self._stdout.write(lines)
                self._stdout.flush()
            except (OSError, ValueError) as exc:  # a closed pipe; a closed file
                self._is_open = False
                logger.warning("what commands print is not shown any more: %s", exc)


class EchoedOutput:
    """Where one attempt prints: one thread."""

    def __init__(self, echo: Echo, timer: str, kept: Output) -> None:
        self._echo = echo
        self._prefix = f"{timer} | ".encode()
        self._kept = kept
        self._rest = b""

    def write(self, chunk: bytes) -> None:
        """See Output."""
        self._kept.write(chunk)
        *lines, rest = (self._rest + chunk).split(b"\n")
        while len(rest) > _LINE_BYTES:
            lines.append(rest[:_LINE_BYTES])
            rest = rest[_LINE_BYTES:]
        self._rest = rest
        self._show(lines)

    def close(self) -> str:
        """See Output."""
        if self._rest:
            self._show([self._rest])
            self._rest = b""
        return self._kept.close()

    def _show(self, lines: list[bytes]) -> None:
        if lines:
            self._echo.show(b"".join(self._prefix + line + b"\n" for line in lines))
