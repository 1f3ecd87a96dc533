"""What Chronis' cron fields mean, and which of them are refused at once."""

import time
from datetime import UTC, datetime

import pytest

import kron
from kron.compat.chronis import JobStatus, PollingScheduler

AFTER = datetime(2027, 1, 1, tzinfo=UTC)


def schedule_of(**fields):
    """The job as a `kron.Cron`."""
    job = PollingScheduler().create_cron_job(job_id="job", func=print, **fields)
    return kron.Cron.from_text(job.schedule.removeprefix("cron "))


def days(**fields):
    moments = kron.preview(cron=schedule_of(**fields), after=AFTER, n=4)
    return [f"{at:%a %d.%m. %H:%M:%S}" for at in moments]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (0, "mon"),
        (6, "sun"),
        ("0", "mon"),
        ("0-4", "mon-fri"),
        ("0,2", "mon,wed"),
        ("4-0", "fri-mon"),
        ("0-4/2,6", "mon-fri/2,sun"),
        ("*/2", "*/2"),
        ("MON-Wed", "mon-wed"),
        ("fri#2", "fri#2"),
    ],
)
def test_weekdays_by_number_count_from_monday(given, meant):
    assert schedule_of(day_of_week=given) == kron.Cron(day_of_week=meant)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("1st mon", {"day_of_week": "mon#1"}),
        ("2nd tue, 3RD  wed", {"day_of_week": "tue#2,wed#3"}),
        ("5th sun", {"day_of_week": "sun#5"}),
        ("last fri", {"day_of_week": "friL"}),
        ("last", {"day": "last"}),
        ("1,15", {"day": "1,15"}),
        (13, {"day": 13}),
    ],
)
def test_days_by_their_place_in_the_month(given, meant):
    assert schedule_of(day=given, hour=9) == kron.Cron(hour=9, **meant)


def test_finer_fields_are_at_their_least_and_coarser_ones_at_any_value():
    assert days(hour=9)[:2] == ["Fri 01.01. 09:00:00", "Sat 02.01. 09:00:00"]
    assert days(day="1st mon")[:2] == ["Mon 04.01. 00:00:00", "Mon 01.02. 00:00:00"]
    assert days(day="last fri", hour=18)[0] == "Fri 29.01. 18:00:00"
    assert days(minute="*/30")[1:3] == ["Fri 01.01. 01:00:00", "Fri 01.01. 01:30:00"]
    assert days(second=30)[0] == "Fri 01.01. 00:00:30"
    assert days(month="mar", day="last", hour=1)[:2] == [
        "Wed 31.03. 01:00:00",
        "Fri 31.03. 01:00:00",
    ]
    assert days(week=2, day_of_week="mon")[0] == "Mon 11.01. 00:00:00"
    assert days(year=2028, month=2, day=29) == ["Tue 29.02. 00:00:00"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "at least one of"),
        ({"hour": 25}, "hour 25"),
        ({"minute": 60}, "minute 60"),
        ({"minute": "*/0"}, "minute"),
        ({"month": 2, "day": 30}, "never fires"),
        ({"month": "febuary"}, "month"),
        ({"day_of_week": 7}, "0-6"),
        ({"day_of_week": "0-7"}, "0-6"),
        ({"day_of_week": -1}, "0-6"),
        ({"day_of_week": "someday"}, "day_of_week"),
        ({"day": "1st mon", "day_of_week": "mon"}, "leave day_of_week out"),
        ({"day": "1st mon,15"}, "two jobs"),
        ({"day": "6th mon"}, "day"),
        ({"day": "1st someday"}, "day_of_week"),
    ],
)
def test_what_never_fires_is_refused_at_once(fields, message):
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=message):
        schedule_of(**fields)
    assert time.perf_counter() - begin < 5  # its search takes half a minute of CPU elsewhere


@pytest.mark.parametrize("is_running", [False, True])
def test_fields_that_are_past_for_ever_are_warned_of(polling, caplog, is_running):
    if is_running:
        polling.start()
    polling.create_cron_job(print, job_id="ahead", year=2100, hour=9)
    assert caplog.text == ""
    job = polling.create_cron_job(print, job_id="past", year=2020, hour=9)
    assert (job.status, job.next_run_time) == (JobStatus.PENDING, None)
    (record,) = caplog.records
    assert record.name == "kron.compat.chronis"
    assert record.message == "job past: cron year=2020 hour=9 never matches again; it will not run"


def test_a_field_of_another_type_is_refused():
    for value in (True, 1.5, [0]):
        with pytest.raises(TypeError, match="day_of_week"):
            schedule_of(day_of_week=value)
        with pytest.raises(TypeError, match="day"):
            schedule_of(day=value)
