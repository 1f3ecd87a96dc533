"""Every transcript in `scenarios/`: one behaviour each, proved step by step, its ledger checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kron.testing.player import Player
from kron.testing.transcript import Mismatch, play
from tests.ledger import check

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    try:
        player = play(path.read_text())
    except Mismatch as exc:
        pytest.fail(f"{path}: {exc}", pytrace=False)
    assert not ledger_of(player)


def ledger_of(player: Player) -> list[str]:
    records = [json.loads(payload) for payload in player.log]
    orphans = {name for name in player.shadow.state.timers if name not in player.bound}
    threaded = {name for name, options in player.program.items() if options.get("is_threaded")}
    limits = player.limits
    end_us = player.end_us
    return check(records, end_us=end_us, orphans=orphans, limits=limits, threaded=threaded)


def test_a_transcript_can_fail() -> None:
    start = "at 0 schedule a every=10s -> TIMER_CREATED next=10\n"
    wrong = [
        "at 0 schedule a every=10s -> TIMER_CREATED next=11",
        "at 0 schedule a every=10s",
        "at 0 schedule a every=10s -> TIMER_CREATED, RUN_DUE 1",
        start + "at 20",
        start + "at 10 -> RUN_DUE 2, RUN_STARTED 2",
        start + "at 10 -> RUN_DUE 1 b, RUN_STARTED 1",
        start + "at 1 pause a -> TIMER_PAUSED, ANSWER False",
        start + "at 1 -> STATUS a paused",
        start + "at 1 sing a",
    ]
    for text in wrong:
        with pytest.raises(Mismatch, match="line "):
            play(text)
