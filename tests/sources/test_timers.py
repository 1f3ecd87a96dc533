"""`[tool.kron]`: every keyword of `schedule()` and `start()`, and every mistake in them at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from kron import Cron, command
from kron.core.definition import define
from kron.core.model import Definition
from kron.core.terms import ScheduleOptions
from kron.opening import StartOptions
from kron.runtime.hook_set import HookSet
from kron.runtime.registry import Registry
from kron.scheduler import Scheduler
from kron.sources.declared import Declared
from kron.sources.reading import read_files
from kron.sources.target import COMMAND_KEYS, TARGET_KEYS
from tests.sources.project import Project

JOBS = """
    def report(*args, **kwargs): ...
    async def mail(context): ...
    def two(a, b): ...
    def variables(): return {"TOKEN": "x"}
    async def no_variables(): ...
    def generator(): yield
    number = 3
"""


@pytest.fixture(autouse=True)
def _jobs(project: Project) -> None:
    project.write("jobs.py", JOBS)
    project.write("warns.py", "import warnings\nwarnings.warn('old')\ndef env(): return {}\n")


def definition_of(declared: Declared, name: str = "t") -> Definition:
    """As a scheduler has it, but without the mark of the file."""
    each = declared.by_name()[name].declaration
    return Registry().registration(name, each.fn, each.options, 0).definition


# -- what a timer may say -----------------------------------------------------------------------

BERLIN = 'timezone = "Europe/Berlin"'
SAME: list[tuple[str, dict[str, Any]]] = [
    ('cron = "*/5 * * * *"', {"cron": "*/5 * * * *"}),
    ("cron = { day_of_week = 'mon', hour = 9 }", {"cron": Cron(day_of_week="mon", hour=9)}),
    ('every = "90s"', {"every": "90s"}),
    ("every = 90", {"every": 90}),
    ("every = 0.5", {"every": 0.5}),
    ('every = "day"', {"every": "day"}),
    ('after = "5m"', {"after": "5m"}),
    ("at = 2037-01-01T09:00:00+01:00", {"at": "2037-01-01T09:00:00+01:00"}),
    ("at = 2037-01-01T09:00:00.25Z", {"at": datetime(2037, 1, 1, 9, 0, 0, 250_000, tzinfo=UTC)}),
    (
        "at = 2037-07-01 09:00:00-05:30",
        {"at": datetime(2037, 7, 1, 9, tzinfo=timezone(-timedelta(hours=5, minutes=30)))},
    ),
    ('at = "2037-01-01T09:00:00Z"', {"at": "2037-01-01T09:00:00Z"}),
    (
        f"at = 2037-07-01T09:00:00\n{BERLIN}",
        {"at": "2037-07-01T09:00", "timezone": "Europe/Berlin"},
    ),
    (f"at = 2037-07-01\n{BERLIN}", {"at": "2037-07-01", "timezone": "Europe/Berlin"}),
    (
        f'cron = "@daily"\nnot_before = 2037-07-01\nnot_after = 2038-07-01T12:00:00\n{BERLIN}',
        {
            "cron": "@daily",
            "not_before": "2037-07-01",
            "not_after": "2038-07-01T12:00",
            "timezone": "Europe/Berlin",
        },
    ),
    ('cron = "@daily"\ndst = "skip"', {"cron": "@daily", "dst": "skip"}),
    ('cron = "@daily"\njitter = "5m"', {"cron": "@daily", "jitter": "5m"}),
    (
        'cron = "@daily"\nexclude = ["sat-sun", 2026-12-24, [2027-01-01, 2027-01-06]]',
        {
            "cron": "@daily",
            "exclude": ["sat-sun", date(2026, 12, 24), (date(2027, 1, 1), date(2027, 1, 6))],
        },
    ),
    ('cron = "@daily"\nexclude = 2026-12-24', {"cron": "@daily", "exclude": date(2026, 12, 24)}),
    ('every = "1h"\nmissed = "all"\ngrace = "1d"', {"every": "1h", "missed": "all", "grace": "1d"}),
    ('every = "1h"\nargs = [1, "a", [2]]', {"every": "1h", "args": [1, "a", [2]]}),
    ('every = "1h"\nkwargs = { a = { b = 1 } }', {"every": "1h", "kwargs": {"a": {"b": 1}}}),
    ('every = "1h"\nmax_attempts = 1', {"every": "1h", "max_attempts": 1}),
    ('every = "1h"\nretry_delay = 0', {"every": "1h", "retry_delay": 0}),
    ('every = "1h"\noverlap = "restart"', {"every": "1h", "overlap": "restart"}),
    ('every = "1h"\ntimeout = "5m"', {"every": "1h", "timeout": "5m"}),
    ('every = "1h"\nweight = 2\npriority = 9', {"every": "1h", "weight": 2, "priority": 9}),
    ('every = "1h"\nkey = "db"\nkey_limit = 2', {"every": "1h", "key": "db", "key_limit": 2}),
    ('every = "1h"\nexecutor = "thread"', {"every": "1h", "executor": "thread"}),
    ('every = "1h"\nexecutor = "process"', {"every": "1h", "executor": "process"}),
    (
        'every = "1h"\nmetadata = { team = "data" }\ndescription = "Hourly."',
        {"every": "1h", "metadata": {"team": "data"}, "description": "Hourly."},
    ),
    *(
        (f'every = "1h"\n{hook} = "jobs:mail"', {"every": "1h", hook: "jobs:mail"})
        for hook in HookSet._fields
    ),
]


@pytest.mark.parametrize(("text", "options"), SAME, ids=[text for text, _ in SAME])
def test_a_keyword_says_what_it_says_in_a_program(
    project: Project, text: str, options: ScheduleOptions
) -> None:
    declared = project.declares(f'[tool.kron.timers.t]\nentrypoint = "jobs:report"\n{text}\n')
    assert declared.mistakes == []
    expected, _ = define(**options, fn_name="report", name="t")
    assert definition_of(declared) == expected


def test_every_keyword_of_schedule_was_tried() -> None:
    assert {key for _, options in SAME for key in options} == {*ScheduleOptions.__annotations__}


def test_a_kron_toml_says_it_without_tool_kron(project: Project) -> None:
    declared = project.declares(
        """
        max_concurrency = 2

        [timers.t]
        every = "1h"
        entrypoint = "jobs:mail"

        [timers.u.cron]
        hour = 9

        [timers.u]
        entrypoint = "jobs:report"

        [tool.kron.timers.v]
        at = 2037-01-01T00:00:00Z
        command = "true"

        [tool.scheduled.w]
        every = "day"
        entrypoint = "jobs:report"
        """,
        "kron.toml",
    )
    assert declared.mistakes == []
    assert {timer.name: str(timer.place) for timer in declared.timers} == {
        "t": "kron.toml:4",
        "u": "kron.toml:8",
        "v": "kron.toml:14",
        "scheduled:w": "kron.toml:18",
    }
    assert declared.settings == {"max_concurrency": 2}
    assert {timer.source for timer in declared.timers} == {"kron", "scheduled"}
    assert definition_of(declared, "u").kind == "fields"


def test_a_pyproject_says_nothing_outside_of_tool_kron(project: Project) -> None:
    declared = project.declares('[timers.t]\nevery = "nonsense"\n')
    assert (declared.timers, declared.mistakes) == ([], [])


# -- commands -----------------------------------------------------------------------------------

COMMANDS: list[tuple[str, Any]] = [
    ('command = "echo hello"', lambda at: command(["echo", "hello"], cwd=at)),
    ('command = ["echo", "a | b"]', lambda at: command(["echo", "a | b"], cwd=at)),
    (
        'command = "a | b > c"\nshell = true',
        lambda at: command("a | b > c", shell=True, cwd=at),
    ),
    ('command = "true"\nshell = false', lambda at: command("true", cwd=at)),
    ('command = "true"\nenv = { A = "1" }', lambda at: command("true", env={"A": "1"}, cwd=at)),
    (
        'command = "true"\nenv = "jobs:variables"',
        lambda at: command("true", env="jobs:variables", cwd=at),
    ),
    ('command = "true"\ninherit = "none"', lambda at: command("true", inherit="none", cwd=at)),
    ('command = "true"\nkill_after = "1m"', lambda at: command("true", kill_after="1m", cwd=at)),
    ('command = "true"\ncwd = "sub/dir"', lambda at: command("true", cwd=at / "sub/dir")),
    ('command = "true"\ncwd = "../up"', lambda at: command("true", cwd=at.parent / "up")),
    ('command = "true"\ncwd = "/tmp"', lambda at: command("true", cwd="/tmp")),
]


@pytest.mark.parametrize(("text", "expected"), COMMANDS, ids=[text for text, _ in COMMANDS])
def test_a_command_is_that_of_a_program_in_the_folder_of_the_file(
    project: Project, text: str, expected: Any
) -> None:
    declared = project.declares(f'[timers.t]\nevery = "1h"\n{text}\n', "kron.toml")
    assert declared.mistakes == []
    fn, wanted = declared.timers[0].declaration.fn, expected(project.folder)
    assert (fn.spec, fn.provider) == (wanted.spec, wanted.provider)
    assert fn.spec.hash == wanted.spec.hash


def test_every_keyword_of_command_was_tried() -> None:
    assert all(any(f"{key} = " in text for text, _ in COMMANDS) for key in COMMAND_KEYS)


def test_a_command_is_the_same_from_everywhere(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[timers.t]\nevery = "1h"\ncommand = "./backup.sh"\ncwd = "scripts"\n'
    here = project.declares(text, "kron.toml").timers[0].declaration.fn
    (project.folder / "sub").mkdir()
    monkeypatch.chdir("sub")
    for name in ("../kron.toml", str(project.folder / "kron.toml")):
        assert read_files([name]).timers[0].declaration.fn.spec == here.spec
    assert here.spec.cwd == str(project.folder / "scripts")


def test_a_script_beside_the_file_runs_wherever_kron_was_started(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = project.folder / "deploy" / "job.sh"
    project.write("deploy/job.sh", "#!/bin/sh\npwd > made.txt\n")
    script.chmod(0o755)
    declared = project.declares(
        '[timers.t]\nafter = "0s"\ncommand = "./job.sh"\nmax_attempts = 1\n', "deploy/kron.toml"
    )
    monkeypatch.chdir("/")
    scheduler = Scheduler()
    (timer,) = declared.timers
    scheduler.schedule("t", timer.declaration.fn, **timer.declaration.options)
    scheduler.start(project.folder / "data")
    try:
        while not (status := scheduler.status("t")) or not status["finished"]:
            pass
        assert status["last_status"] == "OK", status
    finally:
        scheduler.shutdown()
    assert (script.parent / "made.txt").read_text() == f"{script.parent}\n"


# -- settings -----------------------------------------------------------------------------------


def test_settings_are_those_of_start(project: Project) -> None:
    declared = project.declares(
        """
        [tool.kron]
        max_concurrency = 4
        fsync = "interval"
        fsync_interval = "2s"
        keep_history = "30d"
        keep_history_bytes = 1_000_000
        keep_finished = "1d"
        keep_output = "7d"
        on_success = "jobs:mail"
        on_failure = "jobs:mail"
        on_missed = "jobs:mail"
        """
    )
    assert declared.mistakes == []
    assert {*declared.settings, "since"} == {*StartOptions.__annotations__}
    assert str(declared.set_at["fsync"]) == "pyproject.toml:4"


def test_a_wrong_setting_names_its_line(project: Project) -> None:
    assert project.mistakes(
        """
        [tool.kron]
        max_concurency = 4
        max_concurrency = 0
        fsync = "often"
        fsync_interval = "soon"
        keep_history = []
        since = "1d"
        timer.x = 1
        """
    ) == [
        "pyproject.toml:3: unknown key 'max_concurency'; known are: timers, fsync, fsync_interval,"
        " keep_history, keep_history_bytes, keep_finished, keep_output, max_concurrency,"
        " on_success, on_failure, on_missed. Did you mean max_concurrency?",
        "pyproject.toml:4: max_concurrency=0 must be a whole number from 1 on, or None: no limit.",
        "pyproject.toml:5: fsync must be one of: always, interval, never; not 'often'.",
        'pyproject.toml:6: fsync_interval=\'soon\' is not a duration. Use "10s", "1h30m",'
        ' "250ms", seconds as a number, or a timedelta.',
        "pyproject.toml:7: keep_history must be a str, a number or a timedelta, not list",
        "pyproject.toml:8: unknown key 'since'; known are: timers, fsync, fsync_interval,"
        " keep_history, keep_history_bytes, keep_finished, keep_output, max_concurrency,"
        " on_success, on_failure, on_missed.",
        "pyproject.toml:9: unknown key 'timer'; known are: timers, fsync, fsync_interval,"
        " keep_history, keep_history_bytes, keep_finished, keep_output, max_concurrency,"
        " on_success, on_failure, on_missed. Did you mean timers?",
    ]


# -- mistakes -----------------------------------------------------------------------------------

WRONG = {
    'cron = "61 * * * *"': ':3: t: "61 * * * *": minute 61 is outside 0-59.',
    "cron = 5": ":3: t: cron must be a string or a kron.Cron, not int.",
    "cron = { hours = 9 }": ":3: t: cron has no field 'hours'; known are: year, month, day, week,"
    " day_of_week, hour, minute, second. Did you mean hour?",
    "cron = { hour = 25 }": ":3: t: Cron(hour=25): hour 25 is outside 0-23.",
    "cron = { hour = true }": ":3: t: hour must be an int or a str, not bool",
    'every = "daily"': ":3: t: every='daily' is not a duration.",
    "every = -1": ":3: t: every=-1 ",
    "every = 09:00:00": ":3: t: every must be a str, a number or a timedelta, not",
    "at = 09:00:00": ":3: t: at must be an aware datetime or an ISO 8601 string, not time.",
    "at = 2037-01-01T09:00:00": ":3: t: at='2037-01-01T09:00:00' has no time zone.",
    "at = 2037-01-01": ":3: t: at='2037-01-01' has no time zone.",
    'every = "1h"\ntimezone = "Europe/Nowhere"\nmissed = "once"': ":4: t: ",
    'every = "1h"\ntimezone = 3': ":4: t: timezone must be a string, not int.",
    'every = "1h"\nnot_before = 2037-01-01T09:00:00': ":4: t: not_before='2037-01-01T09:00:00' has",
    'cron = "@daily"\nexclude = ["someday"]': ":4: t: exclude",
    'cron = "@daily"\nexclude = [[2026-12-24, 2026-12-01]]': ":4: t: exclude: the range ",
    'every = "1h"\noverlap = "maybe"': ":4: t: overlap must be one of: delay, skip, ",
    'every = "1h"\nmax_attempts = "3"': ":4: t: max_attempts must be an int, not str.",
    'every = "1h"\nmax_atempts = 3': ":4: t: unknown key 'max_atempts'. Did you mean max_attempts?",
    'every = "1h"\nshel = true': ":4: t: unknown key 'shel'. Did you mean shell?",
    'every = "1h"\ncomand = "a"': ":4: t: unknown key 'comand'. Did you mean command?",
    'every = "1h"\nentripoint = "a:b"': ":4: t: unknown key 'entripoint'. Did you mean entrypoint?",
    'every = "1h"\nkill_afer = "1s"': ":4: t: unknown key 'kill_afer'. Did you mean kill_after?",
    'every = "1h"\nname = "u"': ":4: t: unknown key 'name'.",
    'every = "1h"\nargs = [2026-12-24]': ":4: t: args[0] is a date, which is no JSON value",
    'every = "1h"\nargs = "a"': ":4: t: args must be a list or tuple, not str.",
    'every = "1h"\nkwargs = [1]': ":4: t: kwargs must be a mapping, not list.",
    'every = "1h"\nkwargs = { x = nan }': ":4: t: kwargs['x'] = nan is no JSON number.",
    'every = "1h"\nkey_limit = 2': ":3: t: key_limit= says how many runs of one key=; give that",
    'every = "1h"\nafter = "1s"': ":3: t: schedule() requires exactly one of cron, every, aft",
    "": ":1: t: schedule() requires exactly one of cron, every, after, at.",
    'after = "1s"\nexclude = "sat"': ":3: t: not_before=, not_after= and exclude= are for cron=",
    'every = "1h"\njitter = "1h"': ":3: t: jitter= must be shorter than the time between",
    'every = "1h"\nshell = true': ":4: t: shell is said of a command, and this timer has none.",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_keyword_says_so_as_schedule_does(project: Project, text: str) -> None:
    (mistake,) = project.mistakes(f'[tool.kron.timers.t]\nentrypoint = "jobs:report"\n{text}\n')
    assert mistake.startswith("pyproject.toml" + WRONG[text])


TARGETS = {
    "": ':1: t: a timer needs entrypoint = "module:function", or a command.',
    'command = "a"\nentrypoint = "jobs:report"': ":3: t: a timer has either entrypoint or command",
    'entrypoint = "jobs"': ":3: t: entrypoint 'jobs' names no function. Write \"module:function\".",
    "entrypoint = 5": ":3: t: entrypoint must be a string, not 5.",
    'entrypoint = "jobs:number"': ":3: t: entrypoint 'jobs:number' is 3, which cannot be called.",
    'entrypoint = "nowhere:f"': ":3: t: entrypoint 'nowhere:f': nowhere cannot be imported: Mod",
    'entrypoint = "jobs:two"': ":2: t: two(a, b) does not fit: Kron calls it with nothing or one",
    'entrypoint = "jobs:generator"': ":2: t: generator is a generator function; calling it would",
    "command = 5": ":3: t: command must be a list of strings or a string, not int.",
    "command = []": ":3: t: command=[] names no program.",
    'command = ""': ":3: t: command='' names no program.",
    'command = ["a", 1]': ":3: t: command[1] must be a str, not int.",
    'command = "a \'b"': ':3: t: command="a \'b" cannot be split into words: No closing quotation.',
    'command = "a && b"': ":3: t: command has '&&', which is a mere word without a shell; say shell"
    " = true, or write a list.",
    'command = ["a"]\nshell = true': ":3: t: command must be one string with shell=True, not list.",
    'command = "a"\nshell = "no"': ":4: t: shell must be true or false, not 'no'.",
    'command = "a"\ncwd = ""': ':4: t: cwd="" names no directory.',
    'command = "a"\ncwd = 1': ":4: t: cwd must be a str, not int.",
    'command = "a"\nenv = { A = 1 }': ":4: t: env['A'] must be a str, not int.",
    'command = "a"\nenv = { KRON_TIMER = "x" }': ":4: t: env has the name 'KRON_TIMER', which Kron",
    'command = "a"\nenv = "jobs:nothing"': ":4: t: 'jobs:nothing': jobs has no nothing.",
    'command = "a"\nenv = "jobs:no_variables"': ":4: t: env='jobs:no_variables' is a coroutine",
    'command = "a"\nenv = 1': ":4: t: env must be a mapping of str to str, a function",
    'command = "a"\ninherit = "some"': ":4: t: inherit must be one of: all, safe, none; not 'some'",
    'command = "a"\nkill_after = -1': ":4: t: kill_after=-1 ",
    'command = "a"\nargs = [1]': ":2: t: a: a command takes no args= and kwargs=. Put them into",
    'command = "a"\nexecutor = "process"': ":2: t: a: a command is a process already; leave",
}


@pytest.mark.parametrize("text", TARGETS)
def test_a_wrong_target_says_so(project: Project, text: str) -> None:
    (mistake,) = project.mistakes(f'[tool.kron.timers.t]\nevery = "1h"\n{text}\n')
    assert mistake.startswith("pyproject.toml" + TARGETS[text])


def test_all_mistakes_of_all_timers_are_told_at_once(project: Project) -> None:
    found = project.mistakes(
        """
        fsync = "often"

        [timers."no name"]
        cron = "61 * * * *"
        overlap = "maybe"
        timezone = "Europe/Nowhere"
        not_before = 2037-01-01T09:00:00
        command = "a | b"
        cwd = 1
        env = { A = 1 }

        [timers.fine]
        every = "day"
        command = "true"

        [timers.other]
        every = "dayly"
        entrypoint = "jobs:nothing"
        retries = 3

        [tool.kron.timers]
        third = 3
        ""."x" = 3
        """,
        "kron.toml",
    )
    assert [mistake.split(": ")[:2] for mistake in found] == [
        ["kron.toml:2", "fsync must be one of"],
        ["kron.toml:4", "no name"],
        ["kron.toml:5", "no name"],
        ["kron.toml:6", "no name"],
        ["kron.toml:7", "no name"],
        ["kron.toml:9", "no name"],
        ["kron.toml:10", "no name"],
        ["kron.toml:11", "no name"],
        ["kron.toml:18", "other"],
        ["kron.toml:19", "other"],
        ["kron.toml:20", "other"],
        ["kron.toml:23", "third"],
        *[["kron.toml:24", '""']] * 3,
    ]
    assert "Europe/Nowhere" in found[4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool]\nkron = 1", "pyproject.toml:2: [tool.kron] must be a table."),
        ("[tool.kron]\n\ntimers = 1", "pyproject.toml:3: timers must be a table."),
        ("[[tool.kron.timers]]", "pyproject.toml:1: timers must be a table."),
        ("[tool.kron.timers]\na = 1", "pyproject.toml:2: a: a timer is a table with cron, every,"),
        (f"[tool.kron.timers.{'a' * 129}]\nat=1", "pyproject.toml:1: aaa"),
    ],
)
def test_a_table_that_is_none_says_so(project: Project, text: str, said: str) -> None:
    assert project.mistakes(text)[0].startswith(said)


def test_warnings_of_a_module_are_no_mistakes(project: Project) -> None:
    text = '[timers.t]\nevery = "1h"\ncommand = "true"\nenv = "warns:env"\n'
    with pytest.warns(UserWarning, match="old"):
        assert project.mistakes(text, "kron.toml") == []


def test_a_weight_that_finds_no_room_is_a_mistake(project: Project) -> None:
    assert project.mistakes(
        """
        [tool.kron]
        max_concurrency = 2

        [tool.kron.timers.heavy]
        every = "1h"
        weight = 3
        entrypoint = "jobs:report"
        """
    ) == [
        "pyproject.toml:5: heavy: weight=3 of 'heavy' is above max_concurrency=2; no run of it"
        " could ever start. Give it a smaller weight, or raise max_concurrency."
    ]


# -- one name has one source --------------------------------------------------------------------


def test_a_name_of_two_tables_names_both_places(project: Project) -> None:
    text = '[{}.t]\nevery = "1h"\ncommand = "true"\n'
    assert project.mistakes(
        text.format("timers") + text.format("tool.kron.timers"), "kron.toml"
    ) == [
        "kron.toml:4: t: the name 't' is declared in kron.toml:1 already. One name has one source."
    ]
    scheduled = '[tool.scheduled.t]\nevery = "day"\nentrypoint = "jobs:report"\n'
    as_timer = '[tool.kron.timers."scheduled:t"]\nevery = "1h"\ncommand = "true"\n'
    assert project.mistakes(scheduled + as_timer) == [
        "pyproject.toml:4: scheduled:t: the name 'scheduled:t' is declared in pyproject.toml:1"
        " already. One name has one source."
    ]


# -- whatever stands there ----------------------------------------------------------------------

ODD = [
    "0",
    "-1",
    "true",
    "9" * 30,
    "1e400",
    "nan",
    "-inf",
    '""',
    '" "',
    '"\\u0000"',
    '"ß\\n"',
    "''",
]
ODD += [f'"{"x" * 300}"', "[]", "[[]]", "[1, 'a', [2.5]]", "{}", "{ a = 1 }", "{ '' = {} }", "[{}]"]
ODD += ["1979-05-27", "0001-01-01", "9999-12-31", "07:32:00", "1979-05-27T07:32:00", "[07:32:00]"]
ODD += ["9999-12-31T23:59:59.999999-23:59", "[1979-05-27T07:32:00Z]", '"a:b"', '"os:getcwd"', "'['"]
KEYS = [*ScheduleOptions.__annotations__, *TARGET_KEYS, "unknown", '""']


def test_no_value_of_any_key_is_more_than_a_mistake(project: Project) -> None:
    count = 0
    for key in KEYS:
        lines = []
        for value in ODD:
            for target in ('entrypoint = "jobs:report"', 'command = "true"'):
                given = {"every": '"1h"', target.split()[0]: target.split(" = ")[1], key: value}
                lines.append(f"[timers.t{count}]")
                lines += [f"{name} = {text}" for name, text in given.items()]
                count += 1
        declared = project.declares("\n".join(lines), "kron.toml")
        assert all(mistake.place.line > 0 for mistake in declared.mistakes)
        told = {mistake.what for mistake in declared.mistakes}
        taken = {timer.name for timer in declared.timers}
        assert len(told) + len(taken) == 2 * len(ODD) and not told & taken
    assert count == 2 * len(KEYS) * len(ODD)


def test_no_value_of_any_setting_is_more_than_a_mistake(project: Project) -> None:
    for value in ODD:
        keys = [*StartOptions.__annotations__, "timers", "unknown"]
        lines = [f"{key} = {value}" for key in keys]
        declared = project.declares("\n".join(["[tool.kron]", *lines]))
        assert all(2 <= mistake.place.line <= 14 for mistake in declared.mistakes)
        assert not declared.settings.keys() & {"since", "unknown"}


def test_a_table_that_nobody_reads_is_noted(project: Project) -> None:
    file = project.write(
        "pyproject.toml",
        '[tool.sheduled.a]\nevery = "day"\n[tool.ruff]\n[timers.b]\nevery = "1h"\n',
    )
    declared = read_files([str(file)])
    assert declared.mistakes == [] and [
        str(each).rpartition("/")[2] for each in declared.notes
    ] == [
        "pyproject.toml:1: [tool.sheduled] is not read. Did you mean scheduled?",
        "pyproject.toml:4: [timers] is not read; write [tool.kron.timers] here.",
    ]


def test_all_that_is_wrong_with_a_timer_is_told_whatever_else_is(project: Project) -> None:
    file = project.write(
        "pyproject.toml",
        "[tool.kron.timers.t]\n"
        'every = "1h"\ndescription = 5\nkwargs = { x = 1 }\nentrypoint = "jobs:mail"\n'
        '[tool.kron.timers.u]\nevery = "1h"\nentrypoint = "jobs:gone"\ncommand = 5\ncwd = 3\n',
    )
    told = [each.text for each in read_files([str(file)]).mistakes]
    for text in ("description", "x", "jobs has no gone", "command", "cwd", "either entrypoint"):
        assert any(text in each for each in told), (text, told)
