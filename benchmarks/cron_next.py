"""The next moment of a cron expression: how many a second, beside croniter, in UTC.

Each expression is walked from moment to moment from a fixed instant, both ways see the same walk,
and what they find has to be the same. Both have compiled the expression before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from croniter import croniter  # type: ignore[import-untyped]
from probe import report

from kron.core.moments import cron_moments

MIX = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "15,45 9-17 * * MON-FRI",
    "30 2 * * *",
    "0 9 * * 1-5",
    "0 0 1 * *",
    "0 0 1 1 *",
    "0 12 29 2 *",
    "7-59/13 8-10 * 1,7 *",
]
STEPS = 400
ROUNDS = 5
BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())

Walk = Callable[[str], list[int]]


def by_kron(text: str) -> list[int]:
    """The moments in seconds."""
    next_after = cron_moments(text).next_after
    moment: int | None = BEGIN * 1_000_000
    found = []
    for _ in range(STEPS):
        assert moment is not None
        moment = next_after(moment)
        assert moment is not None
        found.append(moment // 1_000_000)
    return found


def by_croniter(text: str) -> list[int]:
    """The moments in seconds."""
    get_next = croniter(text, BEGIN).get_next
    return [int(get_next(float)) for _ in range(STEPS)]


def per_second(walk: Walk) -> tuple[int, dict[str, int]]:
    """Over the whole mix, and of each expression: the best of some rounds."""
    best = dict.fromkeys(MIX, float("inf"))
    for _ in range(ROUNDS):
        for text in MIX:
            began = time.perf_counter()
            walk(text)
            best[text] = min(best[text], time.perf_counter() - began)
    each = {text: round(STEPS / took) for text, took in best.items()}
    return round(len(MIX) * STEPS / sum(best.values())), each


def main() -> None:
    """Compare what they find, then how fast."""
    differ = [text for text in MIX if by_kron(text) != by_croniter(text)]
    kron, kron_each = per_second(by_kron)
    other, other_each = per_second(by_croniter)
    report(
        next_per_s=kron,
        croniter_next_per_s=other,
        times_croniter=round(kron / other, 1),
        differ=differ,
        each={text: [kron_each[text], other_each[text]] for text in MIX},
    )


if __name__ == "__main__":
    main()
