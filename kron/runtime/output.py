"""What the runtime asks of whoever keeps the output of runs (`kron/storage/output.py`)."""

from __future__ import annotations

from typing import Protocol


class Output(Protocol):
    """Where one attempt prints."""

    def write(self, chunk: bytes) -> None:
        """Add to it; raises nothing."""

    def close(self) -> str:
        """The end of it; "" or why not all of it was kept."""


class Marks(Protocol):
    """A few bytes a run that outlive a killed process."""

    def mark(self, run_id: str, text: str) -> None:
        """Leave a mark, in place of an earlier one. Raises OSError."""

    def unmark(self, run_id: str) -> None:
        """Take it away."""

    def marks(self) -> dict[str, str]:
        """All of them, by run id. Raises OSError."""


class Outputs(Marks, Protocol):
    """The outputs of all runs, and their marks; any thread."""

    def prepare(self, now_s: float) -> None:
        """Before anything else, once: make a place for them, and let go what is too old at the
        wall time `now_s`. Raises StorageError."""

    def begin(self, timer: str, run_id: str, attempt: int, now_s: float) -> Output:
        """What this attempt prints goes there, from the wall time `now_s` on."""

    def read(self, run_id: str, offset: int = 0) -> tuple[str, int]:
        """What a run printed from `offset` on, and the offset to read on from."""
