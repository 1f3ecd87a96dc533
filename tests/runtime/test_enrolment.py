"""Who says what is scheduled: the program, or files; and never both of one timer."""

import pytest

import kron
from kron.runtime.enrolment import Declaration
from kron.runtime.registry import Origin
from tests.witness import judged


def work() -> None: ...


def other() -> None: ...


def declaration(name="report", place="kron.toml:3", **options):
    return Declaration(name, work, options or {"every": "1h"}, Origin("kron", place))


def test_declarations_wait_for_a_start_and_are_told_apart_afterwards(place):
    scheduler = kron.Scheduler()
    enrolment = scheduler._enrolment
    assert enrolment.declare([declaration(), declaration("mail")]) == ["", ""]
    assert scheduler.status("report")["source"] == "kron"
    scheduler.start(place)
    new = declaration("new")
    assert enrolment.declare([declaration(), declaration("mail", every="2h"), new]) == [
        "unchanged",
        "updated",
        "created",
    ]
    scheduler.schedule("own", work, every="1h")
    assert enrolment.undeclare(["mail"]) == ["report", "new"]
    assert sorted(timer["id"] for timer in scheduler.list()) == ["mail", "own"]
    scheduler.schedule("report", other, every="1h")  # nobody else claims the name any more
    scheduler.shutdown(0)
    assert judged(place) == []


def test_what_files_declared_for_an_earlier_process_is_undeclared_too(place):
    first = kron.Scheduler()
    first._enrolment.declare([declaration(), declaration("gone")])
    first.schedule("own", work, every="1h")
    first.start(place)
    first.shutdown(0)
    second = kron.Scheduler()
    second._enrolment.declare([declaration()])
    second.start(place)
    assert second._enrolment.undeclare(["report"]) == ["gone"]
    assert sorted(timer["id"] for timer in second.list()) == ["own", "report"]
    second.shutdown(0)


@pytest.mark.parametrize("is_started", [False, True])
def test_one_name_has_one_source(place, is_started):
    scheduler = kron.Scheduler()
    if is_started:
        scheduler.start(place)
    scheduler._enrolment.declare([declaration()])
    with pytest.raises(kron.ScheduleError, match=r"kron\.toml:3.*test_enrolment\.py:\d+"):
        scheduler.schedule("report", work, every="1h")
    scheduler.schedule("own", work, every="1h")
    with pytest.raises(kron.ScheduleError, match=r"'own' is declared in crontab:9"):
        scheduler._enrolment.declare([declaration("fine"), declaration("own", "crontab:9")])
    assert scheduler.status("fine") is None  # nothing of it was taken
    scheduler.shutdown(0)


def test_a_timer_that_a_former_program_scheduled_is_taken_over_by_a_file(place):
    first = kron.Scheduler()
    first.schedule("report", work, every="1h")
    first.start(place)
    anchor = first.status("report")["next_run_at"]
    first.shutdown(0)
    second = kron.Scheduler()
    second._enrolment.declare([declaration()])
    second.start(place)
    status = second.status("report")
    assert (status["source"], status["next_run_at"]) == ("kron", anchor)
    second.shutdown(0)
    assert judged(place) == []


def test_one_that_somebody_else_removed_meanwhile_is_no_mistake(place):
    scheduler = kron.Scheduler()
    scheduler._enrolment.declare([declaration()])
    scheduler.start(place)
    scheduler.remove("report")
    assert scheduler._enrolment.undeclare([]) == []
    scheduler.shutdown(0)
