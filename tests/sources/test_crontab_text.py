"""Timers as a crontab: cron runs what Kron runs, and the way back gives the same definitions."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kron.core.cadence import cadence_text
from kron.core.command import RESERVED, CommandSpec
from kron.core.definition import define
from kron.core.errors import KronError
from kron.core.fields import Cron
from kron.core.instants import from_us, to_us
from kron.core.model import Definition, Kind
from kron.core.things import Pause
from kron.core.timing import definition_moments
from kron.runtime.registry import Registry
from kron.sources.crontab.export import Exported, write_crontab, write_timers
from kron.sources.crontab.reader import read_crontab
from kron.sources.declared import Declared, check_twice
from tests.sources.cronie import load, split_debian

SERVERS = Path(__file__).with_name("servers.crontab")
AT = datetime.fromisoformat("2026-11-21T09:17:23Z")
AT_US = to_us(AT)
SPEC = CommandSpec(argv=("/bin/true",))


def timer(name="a", command=SPEC, pause=None, anchor_us=AT_US, **options):
    if not {"cron", "every", "at", "after"} & options.keys():
        options["cron"] = "0 9 * * *"
    definition, _ = define(name=name, command=command, **options)
    return Exported(name, definition, pause, anchor_us)


def text_of(*timers):
    return write_crontab(write_timers(timers), "1.2.3")


def read(text, timezone="Asia/Kathmandu"):
    declared = Declared(["crontab"])
    read_crontab(text.encode(), "crontab", declared, timezone=timezone)
    check_twice(declared)
    return declared


def definitions(text):
    declared = read(text)
    assert declared.mistakes == []
    found = {}
    for each in declared.timers:
        _, fn, options, origin = each.declaration
        found[each.name] = Registry().registration(each.name, fn, options, 0, origin).definition
    return found


def plain(definition):
    return replace(definition, terms=replace(definition.terms, source="", retry_until=""))


def block(*timers):
    """What stands below the head, without blank lines."""
    _, _, rest = text_of(*timers).partition("\n\n")
    return [line for line in rest.splitlines() if line]


def reasons(**options):
    (written,) = write_timers([timer(**options)])
    return written.reasons


# -- how it looks --------------------------------------------------------------------------------


def test_a_crontab_looks_so():
    backup = timer(
        "backup",
        CommandSpec(shell="pg_dump db > out%b", env=(("A", "x y"), ("B", "1")), cwd="/var/tmp"),
        cron="0 9 * * MON-FRI",
        timezone="Asia/Seoul",
        timeout="5m",
        max_attempts=1,
        overlap="skip",
        key="the db",
        description="Nightly.\n\nSee the wiki",
        metadata={"tenant": "acme", "größe": [1, None]},
    )
    probe = timer("probe", CommandSpec(argv=("/opt/probe", "50%", "it's")), cron="*/5 * * * *")
    assert text_of(probe, backup) == (
        "# Written by kron 1.2.3, for cronie and whatever else knows CRON_TZ.\n"
        '# Comments that begin with "kron" are for Kron, which reads all of this again:\n'
        "# kron crontab import, kron up. Cron knows no overlap, no retries, no timeouts.\n"
        "\n"
        "CRON_TZ=Asia/Seoul\n"
        "\n"
        "# kron: name=backup overlap=skip key='the db' max_attempts=1 timeout=5m shell=true\n"
        '# kron-meta: {"tenant":"acme","gr\\u00f6\\u00dfe":[1,null]}\n'
        "# Nightly.\n"
        "#\n"
        "# See the wiki\n"
        "0 9 * * MON-FRI cd /var/tmp && A='x y' B=1 /bin/sh -c 'pg_dump db > out\\%b'\n"
        "\n"
        "CRON_TZ=UTC\n"
        "\n"
        "# kron: name=probe shell=false\n"
        "*/5 * * * * /opt/probe 50\\% 'it'\"'\"'s'\n"
    )


def test_a_zone_is_set_where_it_changes():
    zones = ["Asia/Seoul", "Asia/Seoul", "UTC", "UTC", "Europe/Berlin"]
    timers = [timer(f"t{n}", cron="@daily", timezone=zone) for n, zone in enumerate(zones)]
    settings = [line for line in block(*timers) if line.startswith("CRON_TZ")]
    assert settings == ["CRON_TZ=Asia/Seoul", "CRON_TZ=UTC", "CRON_TZ=Europe/Berlin"]


def test_a_cadence_is_its_slot_in_utc():
    lines = block(timer("clean-files", every="day", timezone="Asia/Seoul"))
    assert lines == [
        "CRON_TZ=UTC",
        "# kron: name=clean-files every=day timezone=Asia/Seoul shell=false",
        "12 15 * * * /bin/true",
    ]
    assert reasons(name="clean-files", every="minute") == [
        '"12 * * * * *" has seconds, and cron knows minutes'
    ]
    other = Definition.of(Kind.CADENCE, cadence_text("day", "a"), {"command": SPEC})
    (written,) = write_timers([Exported("b", other)])
    assert "follows from another name" in written.reasons[0]


@pytest.mark.parametrize(
    ("cron", "line"),
    [
        ("0 0 9 * * MON", "0 9 * * MON"),
        ("0 9 ? * MON", "0 9 * * MON"),
        ("5/15 * * * *", "5-59/15 * * * *"),
        ("0 8/4 2/2 FEB/3 MON/2", "0 8-23/4 2-31/2 FEB-12/3 MON-6/2"),
        ("0 0 * * FRI-MON", "0 0 * * 5,6,0,1"),
        ("0 0 * * SAT-SUN,WED", "0 0 * * 6,0,WED"),
        ("0 0 * * FRI-TUE/2", "0 0 * * 5,0,2"),
        ("0 0 * * 5-7", "0 0 * * 5-7"),
        (Cron(hour=9, day_of_week="mon-fri"), "0 9 * * MON-FRI"),
        (Cron(minute="*/10"), "*/10 * * * *"),
        (Cron(month=1), "0 0 1 1 *"),
        (Cron(day=3), "0 0 3 * *"),
    ],
)
def test_what_cron_says_in_other_words_is_translated(cron, line):
    *_, marker, last = block(timer(cron=cron))
    assert last == f"{line} /bin/true"
    text = text_of(timer(cron=cron))
    assert plain(definitions(text)["a"]) == timer(cron=cron).definition
    if line != cron:
        assert "cron=" in marker
        wrong = read(text.replace(f"\n{line}", "\n1 1 1 1 1"))
        assert "Take cron= out of the comment, or correct the line" in str(wrong.mistakes[0])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"cron": "0 9 L * *"}, "cron does not know 'L' as a day of month"),
        ({"cron": "0 9 LW * *"}, "cron does not know 'LW' as a day of month"),
        ({"cron": "0 9 15W * *"}, "cron does not know '15W' as a day of month"),
        ({"cron": "0 9 L-3 * *"}, "cron does not know 'L-3' as a day of month"),
        ({"cron": "0 9 * * 5L"}, "cron does not know '5L' as a weekday"),
        ({"cron": "0 9 * * TUE#2"}, "cron does not know 'TUE#2' as a weekday"),
        ({"cron": "*/10 * * * * *"}, '"*/10 * * * * *" has seconds, and cron knows minutes'),
        ({"cron": Cron(year=2027)}, "cron knows neither years nor weeks of a year"),
        ({"cron": Cron(week=7)}, "cron knows neither years nor weeks of a year"),
        (
            {"cron": Cron(day=13, day_of_week="fri")},
            '"day=13 day_of_week=fri" is more than the five fields of cron can say',
        ),
        ({"every": "90s"}, "every=1m30s counts from the end of each run, and cron from nothing"),
        (
            {"every": "30m", "overlap": "skip"},
            "every=30m counts from when it was scheduled, and cron does not",
        ),
        ({"at": AT}, "at= is one moment, and a line of a crontab comes again and again"),
        ({"after": "5m"}, "after= is one moment, and a line of a crontab comes again and again"),
        ({"cron": "@daily", "jitter": "5m"}, "jitter=5m: cron knows no delays"),
        (
            {"cron": "@daily", "not_after": AT},
            "not_before= and not_after=: a line of a crontab is for ever",
        ),
        ({"cron": "@daily", "exclude": "sat"}, "exclude=: cron knows no days that are left out"),
        (
            {"cron": "30 2 * * *", "dst": "skip", "timezone": "Europe/Berlin"},
            'dst="skip": cron runs what a change of the clocks leaves out',
        ),
        ({"command": None}, "it calls a Python function (unnamed); cron starts programs"),
        (
            {"command": replace(SPEC, provider="app:secrets")},
            "its variables come from 'app:secrets', which cron cannot ask",
        ),
        (
            {"command": CommandSpec(shell="a\nb")},
            "a line of a crontab holds no line break, and the command does",
        ),
        (
            {"command": CommandSpec(shell="a\x1b[31m")},
            "a line of a crontab holds no control character, and the command does",
        ),
        (
            {"command": CommandSpec(shell="%" * 500)},
            "the command is 1000 bytes long, and cron keeps 998 of them",
        ),
        ({"command": replace(SPEC, cwd="here")}, "cwd='here' is relative to where Kron runs"),
        (
            {"command": CommandSpec(argv=("a=b",))},
            "a shell would not take 'a=b' for the name of a program",
        ),
        (
            {"command": replace(SPEC, env=(("-i", "x"),))},
            "env would take the variable '-i' for an option",
        ),
        (
            {"pause": Pause(AT_US, None, reason="on\nleave", who="ops")},
            "it is paused since 2026-11-21 09:17:23Z by 'ops' ('on\\nleave')",
        ),
    ],
)
def test_what_cron_cannot_say_is_commented_out(options, reason):
    assert reasons(**options) == [reason]
    text = text_of(timer(**options))
    assert f"\n# left out: {reason}\n" in text
    assert load(text) == []
    declared = read(text)
    assert (declared.timers, declared.mistakes) == ([], [])
    (note,) = declared.notes
    assert str(note).endswith(f": a: left out: {reason}")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (CommandSpec(argv=("/opt/poll", "50%", "a b")), "/opt/poll 50\\% 'a b'"),
        (
            CommandSpec(shell="a | b", env=(("A", "1"),), cwd="/srv"),
            "cd /srv && A=1 /bin/sh -c 'a | b'",
        ),
        (CommandSpec(shell="kron: name=b"), "kron: name=b"),
        (CommandSpec(argv=("x",), cwd="here"), "x"),
        (CommandSpec(shell="x\t" + "y" * 2000), "x\t" + "y" * 2000),
        (replace(SPEC, provider="app:secrets"), "/bin/true"),
        (CommandSpec(shell="a\nb"), None),
        (CommandSpec(argv=("a", "b\nc")), None),
        (CommandSpec(shell="a\x1b[31m\u202e"), None),
        (CommandSpec(shell="x" * 9000), None),
        (None, None),
    ],
)
@pytest.mark.parametrize("options", [{"after": "5m"}, {"every": "90s"}, {"cron": "0 9 L * *"}])
def test_what_has_no_line_keeps_its_command(options, command, line):
    text = text_of(timer(command=command, **options))
    assert text.splitlines()[-1] == f"# left out: its command is {line}" or line is None
    assert text.count("its command is") == (line is not None)
    assert load(text) == []
    declared = read(text)
    assert (declared.timers, declared.mistakes, len(declared.notes)) == ([], [], 1)
    assert "its command" not in str(declared.notes[0])


def test_a_line_that_is_commented_out_has_its_command_once():
    for options in ({"every": "30m"}, {"pause": Pause(AT_US)}):
        (written,) = write_timers([timer(**options)])
        assert (written.line.endswith(" /bin/true"), written.command) == (True, "")


def test_dst_is_no_matter_where_no_clock_changes():
    assert reasons(cron="30 2 * * *", dst="skip") == []
    assert reasons(cron="* * * * *", dst="skip", timezone="Europe/Berlin") == []


@pytest.mark.parametrize(
    ("every", "line"),
    [
        ("30m", "17-59/30 * * * *"),
        ("1m", "* * * * *"),
        ("1h", "17 * * * *"),
        ("6h", "17 3-23/6 * * *"),
        ("1d", "17 9 * * *"),
        ("7m", None),
        ("90m", None),
        ("90s", None),
        ("2d", None),
    ],
)
def test_an_interval_is_left_out_with_what_is_nearest(every, line):
    lines = block(timer(every=every, overlap="skip"))
    assert lines[-1] == (f"#{line} /bin/true" if line else lines[-1])
    assert line or lines[-1].startswith("# left out")
    if line:
        found = definitions(text_of(timer(every=every, overlap="skip")).replace(f"#{line}", line))
        assert found["a"].value == line


def test_a_paused_timer_comes_back_without_the_sign_in_front():
    text = text_of(timer(pause=Pause(AT_US), cron="@daily", weight=3))
    assert definitions(text) == {}
    found = definitions(text.replace("#@daily", "@daily"))
    assert plain(found["a"]) == timer(cron="@daily", weight=3).definition


def test_comments_never_grow_beyond_what_cronie_reads():
    many = [timer(f"t{n:03}", every="90s", description="x" * 500) for n in range(200)]
    assert len(load(text_of(*many, timer("z")))) == 1
    long = timer("long", metadata={"a": "x" * 20_000}, cron="@daily")
    assert len(load(text_of(long, *many, timer("z")))) == 1
    assert "its comments would be 20052 bytes" in write_timers([long])[0].reasons[0]


# -- cron runs it --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def show(tmp_path_factory):
    """A program that prints its directory, its variables A* and its arguments as JSON."""
    path = tmp_path_factory.mktemp("bin") / "show it"
    path.write_text(
        f"#!{sys.executable} -IS\nimport json, os, sys\n"
        'env = {name: value for name, value in os.environ.items() if name[0] == "A"}\n'
        "print(json.dumps([os.getcwd(), env, sys.argv[1:]]))\n"
    )
    path.chmod(0o755)
    return path


WORDS = ["a", "a b", "it's", '"', "%", "\\%", "\\\\%%", "$HOME", "*", "", "ä", "`x`", "#", ";", "~"]


def test_cron_starts_what_kron_starts(show, tmp_path):
    spec = CommandSpec(
        argv=(str(show), *WORDS),
        env=(("A", "%x y'\\%"), ("A-1", "$B"), ("AB", "")),
        cwd=str(show.parent),
    )
    (job,) = load(text_of(timer(command=spec)))
    assert json.loads(job.run(tmp_path)) == [str(show.parent), dict(spec.env), WORDS]


@pytest.mark.parametrize(
    ("spec", "printed"),
    [
        (CommandSpec(argv=("echo", r"a\tb")), "a\\tb\n"),
        (CommandSpec(argv=("env", "A=1", "printenv", "A")), "1\n"),
        (CommandSpec(argv=("printenv", "A"), env=(("A", "1"),)), "1\n"),
        (CommandSpec(argv=("test", "a", "=", "a")), ""),
        (CommandSpec(shell=" echo a%b"), "a%b\n"),
        (CommandSpec(shell="=x; echo $?", env=()), None),
        (CommandSpec(shell="*x() { :; }", env=()), None),
        (CommandSpec(shell="echo $A; (echo $A)", env=(("A", "x y"),)), "x y\nx y\n"),
        (CommandSpec(shell="A=1 /bin/sh -c 'echo $A'"), "1\n"),
        (CommandSpec(shell="cd / && /bin/sh -c pwd"), "/\n"),
        (CommandSpec(shell="cd / && pwd"), "/\n"),
        (CommandSpec(shell="pwd # here", cwd="/"), "/\n"),
        (CommandSpec(shell="false; pwd", cwd="/"), "/\n"),
        (CommandSpec(shell="/bin/sh -c 'echo a'", env=(("A", "1"),)), "a\n"),
        (CommandSpec(shell="-n"), None),
    ],
)
def test_a_command_is_the_same_in_cron_and_comes_back(spec, printed, tmp_path):
    text = text_of(timer(command=spec))
    assert definitions(text)["a"].terms.command == spec
    (job,) = load(text)
    if printed is not None:
        assert job.run(tmp_path).decode() == printed


def test_no_variable_goes_on_to_the_next_line(tmp_path):
    first = CommandSpec(shell="echo $A", env=(("A", "1"),))
    text = text_of(timer("a", first), timer("b", CommandSpec(shell="echo ${A-none}")))
    assert [job.run(tmp_path) for job in load(text)] == [b"1\n", b"none\n"]


# -- there and back ------------------------------------------------------------------------------

CRONS = [
    *("@daily", "@hourly", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"),
    *("* * * * *", "*/7 * * * *", "30 2 * * *", "0 9 * * MON-FRI", "15,45 8-18/2 1,15 * *"),
    *("0 0 13 * FRI", "0 0 */2 * MON", "0 0 29 2 *", "5 4 * JAN-MAR,DEC 7", "0-9 0 1-7 * *"),
    *("5/15 * * * *", "0 0 * * FRI-MON", "0 30 9 ? * SUN", "1 2 3 4 5", "*/15 0 * * 0-7"),
    *("0 9 L * *", "*/5 * * * * *", "0 9 * * 5#2"),
    *(Cron(hour=9, day_of_week="mon-fri"), Cron(minute=5), Cron(day=1, day_of_week="mon")),
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,20}", fullmatch=True)
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\x85")
TEXT = st.text(CHARACTERS, max_size=20) | st.text(st.sampled_from(" %\\'\"$=#-~*\t;&ab/"))
SHELLISH = st.lists(
    st.sampled_from(["cd / && ", "A=1 ", "/bin/sh -c ", "'x y'", "env ", "x", " ", "%", "\\", "-"])
).map("".join)
VARIABLE = st.from_regex(r"[A-Z_]{1,4}", fullmatch=True) | TEXT.map(lambda t: t.replace("=", ""))
ENV = st.dictionaries(VARIABLE.filter(bool).filter(lambda n: n not in RESERVED), TEXT, max_size=3)
CWD = st.just("") | TEXT.map(lambda text: f"/{text}")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e30, 1e30) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
DURATION = st.integers(1, 10**13).map(lambda us: f"{us / 1000}ms")
COMMENT = st.text("# -ab\n*'0@:\t\r\x0b", max_size=30) | TEXT
TERMS = st.fixed_dictionaries(
    {},
    optional={
        "timezone": st.sampled_from(ZONES),
        "dst": st.sampled_from(["once"] * 9 + ["skip"]),
        "missed": st.sampled_from(["once", "all", "skip"]),
        "grace": DURATION,
        "overlap": st.sampled_from(["delay", "skip", "allow", "restart"]),
        "max_attempts": st.integers(1, 1_000_000),
        "retry_delay": DURATION | st.just(0),
        "timeout": DURATION,
        "weight": st.integers(1, 1_000_000),
        "priority": st.integers(0, 10),
        "key": TEXT.filter(lambda text: text and text.isprintable()),
        "key_limit": st.integers(1, 9),
        "metadata": st.dictionaries(TEXT, JSON, max_size=3),
        "description": COMMENT,
        "exclude": st.sampled_from([None] * 9 + [["sat", "2027-01-01"]]),
        "jitter": st.sampled_from([None] * 9 + ["1s"]),
    },
)


@st.composite
def specs(draw):
    is_shell = draw(st.booleans())
    words = draw(st.lists(TEXT, min_size=1, max_size=4).filter(lambda words: words[0].strip()))
    return CommandSpec(
        argv=() if is_shell else tuple(words),
        shell=draw((TEXT | SHELLISH).filter(str.strip)) if is_shell else "",
        env=tuple(sorted(draw(ENV).items())),
        cwd=draw(CWD),
        inherit=draw(st.sampled_from(["all", "safe", "none"])),
        kill_after_us=draw(st.sampled_from([5_000_000, 0, 1_234_567])),
    )


@st.composite
def exporteds(draw, name=None):
    name = name or draw(NAMES)
    cron = st.sampled_from(CRONS).map(lambda cron: {"cron": cron})
    every = st.sampled_from(["minute", "hour", "day", "week", "month", "30m"])
    selector = draw(cron | every.map(lambda unit: {"every": unit}))
    try:
        definition, _ = define(**selector, **draw(TERMS), name=name, command=draw(specs()))
    except KronError:
        assume(False)
    return Exported(name, definition, None, AT_US)


@given(st.lists(exporteds(), max_size=3, unique_by=lambda each: each.name))
@settings(max_examples=120, deadline=None)
@example([timer(command=CommandSpec(argv=("x",), env=(("A", "#"),)), description="# kron: name=b")])
def test_what_can_be_said_comes_back_equal(timers):
    written = write_timers(timers)
    text = write_crontab(written, "1.2.3")
    said = {each.name for each in written if not each.reasons}
    found = definitions(text)
    expected = {each.name: each.definition for each in timers if each.name in said}
    assert {name: plain(definition) for name, definition in found.items()} == expected
    jobs = load(text)
    assert [job.command for job in jobs] == [split_debian(job.raw) for job in jobs]
    assert len(jobs) == len(said)
    assert len(read(text).notes) == len(timers) - len(said)
    again = [Exported(name, definition, None, AT_US) for name, definition in found.items()]
    assert [each.line for each in write_timers(again)] == [
        each.line for each in written if each.name in said
    ]


@given(st.sampled_from(CRONS), st.sampled_from(["hour", "day", "week", "month"]))
@settings(max_examples=60, deadline=None)
def test_cron_is_due_when_kron_is(cron, unit):
    exported = [timer("a", cron=cron), timer("b", every=unit)]
    written = {each.name: each for each in write_timers(exported) if not each.reasons}
    jobs = load(text_of(*exported))
    assert len(jobs) == len(written)
    for job, each in zip(jobs, (each for each in exported if each.name in written), strict=True):
        moments = definition_moments(each.definition, 0)
        theirs = job.next(AT.replace(tzinfo=None), 30)
        mine, at_us = [], AT_US
        for _ in theirs:
            at_us = moments.next_after(at_us)
            mine.append(from_us(at_us).replace(tzinfo=None))
        assert mine == theirs


def test_fifty_lines_of_real_servers_there_and_back():
    first = definitions(SERVERS.read_text("utf-8"))
    assert len(first) == 50
    text = text_of(*(Exported(name, each) for name, each in first.items()))
    assert definitions(text) == first
    assert [job.zone for job in load(text)].count("America/New_York") == 10


def test_cron_reads_the_fifty_lines_as_kron_does():
    """The shell gets the same texts; those with input are tried in test_crontab.py."""
    text = SERVERS.read_text("utf-8").replace("@reboot", "#")
    jobs = load(f"CRON_TZ=UTC\n{text}")
    texts = [each.terms.command for each in definitions(text).values()]
    kept = {each.shell or each.argv[-1] for each in texts}
    assert [job.stdin for job in jobs if job.command not in kept] == [
        "Hello all,\n\nsee you on Monday.\n",
        "1\n2\n50% of 3\n",
    ]


def test_json_in_comments_is_one_line():
    text = text_of(timer(description="a\x85b\u2028c", metadata={"a": "\n"}))
    assert json.loads(block(timer(metadata={"a": "\n"}))[2].partition(": ")[2]) == {"a": "\n"}
    assert definitions(text)["a"].terms.description == "a\x85b\u2028c"
    assert len(list(islice(text.splitlines(), 20))) == 10
