"""The lazy heap: one entry touched per change, stale ones never fire, and it stays small."""

from __future__ import annotations

from random import Random

from kron.core.deadlines import Deadlines


class Owner:
    def __init__(self) -> None:
        self.deadline_us: int | None = None


def drain(deadlines: Deadlines, now: int) -> list[object]:
    found = []
    while (owner := deadlines.pop_due(now)) is not None:
        found.append(owner)
    return found


def test_owners_come_by_time_and_at_one_instant_in_the_order_armed() -> None:
    deadlines, (a, b, d) = Deadlines(), (Owner(), Owner(), Owner())
    deadlines.arm(a, 20)
    deadlines.arm(b, 10)
    deadlines.arm(d, 10)
    assert deadlines.next() == 10
    assert drain(deadlines, 15) == [b, d]
    assert deadlines.next() == 20 and len(deadlines) == 1
    assert drain(deadlines, 19) == [] and drain(deadlines, 20) == [a]
    assert deadlines.next() is None and len(deadlines) == 0


def test_a_changed_deadline_counts_and_the_old_one_does_not() -> None:
    deadlines, a = Deadlines(), Owner()
    for deadline in (10, 30, 20):
        deadlines.arm(a, deadline)
    assert deadlines.next() == 20 and len(deadlines) == 1
    assert drain(deadlines, 10) == []
    assert drain(deadlines, 99) == [a]


def test_a_disarmed_owner_never_fires() -> None:
    deadlines, a = Deadlines(), Owner()
    deadlines.arm(a, 10)
    deadlines.arm(a, None)
    assert deadlines.next() is None and len(deadlines) == 0 and drain(deadlines, 99) == []


def test_there_and_back_fires_once() -> None:
    deadlines, a = Deadlines(), Owner()
    for deadline in (10, 20, 10):
        deadlines.arm(a, deadline)
    assert drain(deadlines, 99) == [a]
    assert len(deadlines) == 0


def test_stale_entries_are_swept() -> None:
    deadlines, owners = Deadlines(), [Owner() for _ in range(10)]
    for turn in range(10_000):
        deadlines.arm(owners[turn % 10], turn)
    assert len(deadlines) == 10 and len(deadlines._heap) <= 2 * 10 + 65
    assert drain(deadlines, 99_999) == owners


def test_random_changes_agree_with_a_plain_dict() -> None:
    random, deadlines = Random(1), Deadlines()
    owners = [Owner() for _ in range(30)]
    wanted: dict[Owner, int] = {}
    now = 0
    for _ in range(20_000):
        owner = random.choice(owners)
        if random.random() < 0.3:
            now += random.randrange(5)
            due = {each for each, at in wanted.items() if at <= now}
            assert set(drain(deadlines, now)) == due
            wanted = {each: at for each, at in wanted.items() if each not in due}
        elif random.random() < 0.3:
            deadlines.arm(owner, None)
            wanted.pop(owner, None)
        else:
            wanted[owner] = now + random.randrange(1, 20)
            deadlines.arm(owner, wanted[owner])
        assert deadlines.next() == min(wanted.values(), default=None)
        assert len(deadlines) == len(wanted)


def test_a_crowd_at_one_instant_is_not_moved_by_somebody_earlier() -> None:
    deadlines, crowd, one = Deadlines(), [Owner() for _ in range(10_000)], Owner()
    for owner in crowd:
        deadlines.arm(owner, 1_000)
    there = deadlines._at[1_000]
    for moment in range(100):
        deadlines.arm(one, moment)
        assert deadlines.next() == moment
        assert drain(deadlines, moment) == [one]
        assert deadlines.next() == 1_000 and deadlines._at[1_000] is there
    assert drain(deadlines, 1_000) == crowd


def test_somebody_earlier_comes_first_while_an_instant_is_worked_off() -> None:
    deadlines, (a, b, d, e) = Deadlines(), (Owner() for _ in range(4))
    for owner in (a, b, d):
        deadlines.arm(owner, 20)
    assert deadlines.pop_due(20) is a
    deadlines.arm(e, 10)
    assert deadlines.next() == 10 and len(deadlines) == 3
    assert drain(deadlines, 20) == [e, b, d] and len(deadlines) == 0
