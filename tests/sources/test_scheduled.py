"""`[tool.scheduled]`, sentence by sentence of the specification, and every way to get it wrong."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kron.core.cadence import UNITS, slot_of
from kron.core.definition import check_name
from kron.core.words import in_words
from kron.sources.declared import Place
from kron.sources.reading import read_files, read_jobs
from kron.sources.scheduled import Entrypoint, Job, name_of
from tests.sources.project import Project

ROOT = Path(__file__).parents[2]
JOBS = """
    import functools

    called = []

    def clean_files():
        called.append("clean_files")

    async def mail():
        called.append("mail")

    def takes_context(ctx="mine", *args, **kwargs):
        called.append((ctx, args, kwargs))

    def takes_context_too(context=None):
        called.append(context)

    def takes_all(*args):
        called.append(args)

    async def mail_context(ctx="mine"):
        called.append(ctx)

    class Sweeper:
        def __call__(self):
            called.append("swept")

        @staticmethod
        def now():
            called.append("now")

        @classmethod
        def soon(cls):
            called.append("soon")

        def method(self):
            called.append("method")

        class Inner:
            @staticmethod
            def deep():
                called.append("deep")

    class Async:
        async def __call__(self):
            called.append("async")

    sweep = Sweeper()
    bound = sweep.method
    awaited = Async()
    part = functools.partial(takes_context, "given")
    async_part = functools.partial(mail_context, "given")

    @functools.wraps(clean_files)
    def wrapped(*args, **kwargs):
        return clean_files(*args, **kwargs)

    def needs(path): ...
    def needs_keyword(*, path): ...
    def needs_two(ctx, path): ...
    def needs_context(ctx): ...
    def generator(): yield
    async def async_generator(): yield
    number = 3
"""


def table(id_: str, every: str = "day", entrypoint: str = "jobs:clean_files") -> str:
    return f'[tool.scheduled.{id_}]\nevery = "{every}"\nentrypoint = "{entrypoint}"\n'


# -- what is declared ---------------------------------------------------------------------------


def test_the_example_of_the_specification_is_a_timer(project: Project) -> None:
    project.write("app/jobs.py", 'def clean_files():\n    print("Running cleanup...")\n')
    declared = project.declares(
        """
        [tool.scheduled.clean-files]
        every = "day"
        entrypoint = "app.jobs:clean_files"
        """
    )
    assert declared.mistakes == []
    (timer,) = declared.timers
    assert (timer.id, timer.name, timer.source) == (
        "clean-files",
        "scheduled:clean-files",
        "scheduled",
    )
    assert str(timer.place) == "pyproject.toml:2"
    each = timer.declaration
    assert each.options == {"every": "day", "overlap": "skip", "retry_delay": "1m"}
    assert each.origin == ("scheduled", "pyproject.toml:2", "clean-files", "window")


FORMS = {
    "table": '[tool.scheduled.a]\nevery = "day"\nentrypoint = "jobs:clean_files"',
    "inline": '[tool.scheduled]\na = { every = "day", entrypoint = "jobs:clean_files" }',
    "dotted": 'tool.scheduled.a.every = "day"\ntool.scheduled.a.entrypoint = "jobs:clean_files"',
    "all inline": 'tool = {scheduled={a={every="day",entrypoint="jobs:clean_files"}}}',
    "literal": "[tool.scheduled.'a']\nevery = 'day'\nentrypoint = 'jobs:clean_files'",
    "escapes": '[tool.scheduled."\\u0061"]\nevery = "d\\u0061y"\nentrypoint = "jobs:clean_files"',
    "sub-table": '[tool]\nscheduled.a.every = "day"\nscheduled.a.entrypoint = "jobs:clean_files"',
    "multi-line": '[tool.scheduled.a]\nevery = """\nday"""\nentrypoint = "jobs:clean_files"',
    "windows": '\ufeff[tool.scheduled.a]\r\n\tevery\t=\t"day"\r\n\tentrypoint="jobs:clean_files"',
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_toml_says_the_same(project: Project, form: str) -> None:
    project.write("jobs.py", JOBS)
    declared = project.declares(FORMS[form].encode())
    assert declared.mistakes == []
    assert [(timer.id, timer.declaration.options["every"]) for timer in declared.timers] == [
        ("a", "day")
    ]


IDS = ["a", "A_b-c", "it's", 'say "so"', "two words", "übung", "日本", "a.b", "1", "-", "\\", "🦊"]
IDS += ["x" * 128, "ü" * 128, "😀" * 128, " ", "\u00a0", "\u202e", "a\u2028b", "\ue000", "[x]"]


@pytest.mark.parametrize("id_", IDS)
def test_an_id_is_taken_verbatim(project: Project, id_: str) -> None:
    project.write("jobs.py", JOBS)
    quoted = '"' + id_.replace("\\", "\\\\").replace('"', '\\"') + '"'
    declared = project.declares(table(quoted).encode())
    assert declared.mistakes == []
    (timer,) = declared.timers
    assert timer.id == timer.declaration.origin.slot_id == id_
    assert check_name(timer.name) == timer.name == name_of(id_)


@pytest.mark.parametrize(
    "id_", ["", "x" * 129, "a\\nb", "\\u0000", "\\u007f", "\\u0085", "\\u009f"]
)
def test_an_id_that_cannot_be_used_is_a_mistake(project: Project, id_: str) -> None:
    project.write("jobs.py", JOBS)
    (mistake,) = project.declares(table(f'"{id_}"').encode()).mistakes
    assert mistake.text == "an id has 1 to 128 characters, and no control characters."
    assert mistake.place.line == 1
    assert len(str(mistake)) < 300


# -- the name of the timer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("clean-files", "clean-files"),
        ("a.b:c@d_e-f", "a.b:c@d_e-f"),
        ("a b", "a_x20b"),
        ("é", "_xC3_xA9"),
        ('"', "_x22"),
        ("a_x20b", "a_x5Fx20b"),  # or it would be that of "a b"
        ("_x2d", "_x2d"),  # which no escape looks like
        ("_x2", "_x2"),
        ("__x2D", "__x5Fx2D"),
        ("x" * 118, "x" * 118),
        ("x" * 119, "x" * 106 + sha256(b"x" * 119).hexdigest()[:12]),
        ("ü" * 30, ("_xC3_xBC" * 30)[:106] + sha256("ü".encode() * 30).hexdigest()[:12]),
    ],
)
def test_the_name_is_the_id_with_other_characters_escaped(id_: str, name: str) -> None:
    assert name_of(id_) == f"scheduled:{name}"


def id_of(name: str) -> str:
    """The way back, for names that are not cut."""
    plain = name.removeprefix("scheduled:").encode()
    return re.sub(rb"_x([0-9A-F]{2})", lambda it: bytes.fromhex(it[1].decode()), plain).decode()


@given(st.text(st.one_of(st.sampled_from("_x2D0a-Ä"), st.characters(codec="utf-8")), max_size=12))
def test_a_name_tells_the_id(id_: str) -> None:
    name = name_of(id_)
    assert len(name) <= 128
    if len(name) < 128:
        assert id_of(name) == id_


def test_two_ids_of_one_name_are_told_of(project: Project) -> None:
    """Only a hash that was looked up for it can do that."""
    project.write("jobs.py", JOBS)
    long = "x" * 120
    other = "x" * 106 + sha256(long.encode()).hexdigest()[:12]
    (mistake,) = project.mistakes(table(long) + table(other))
    assert mistake.startswith(f"pyproject.toml:4: {other}: the name 'scheduled:xxx")
    assert mistake.endswith("is declared in pyproject.toml:1 already. One name has one source.")


# -- the slot -----------------------------------------------------------------------------------

GOLDEN = {
    "clean-files": ("12 s", "12", "15:12", "Sunday at 15:12", "21 at 15:12"),
    "cleanup": ("43 s", "43", "09:43", "Saturday at 09:43", "13 at 09:43"),
    "send_digest": ("36 s", "36", "09:36", "Sunday at 09:36", "14 at 09:36"),
    "a": ("10 s", "10", "16:10", "Monday at 16:10", "1 at 16:10"),
}
WORDS = {
    "minute": "every minute at :{}",
    "hour": "hourly at :{}",
    "day": "daily at {} UTC",
    "week": "weekly on {} UTC",
    "month": "monthly on day {} UTC",
}


@pytest.mark.parametrize("id_", GOLDEN)
def test_the_published_slots(id_: str) -> None:
    said = [
        in_words(Job(id_, every, Place(""), Entrypoint(id_, "a:b", Place(""))).definition())
        for every in WORDS
    ]
    assert said == [
        words.format(slot) for words, slot in zip(WORDS.values(), GOLDEN[id_], strict=True)
    ]


def test_the_slot_follows_from_the_id_as_it_is_written_not_from_the_name() -> None:
    for id_ in ("zwei Wörter", "a_x20b", "x" * 128):
        slot = int.from_bytes(sha256(id_.encode()).digest()[:8], "big") % 1440
        job = Job(id_, "day", Place(""), Entrypoint(id_, "a:b", Place("")))
        assert str(job.definition().value) == f"day {slot // 60:02}:{slot % 60:02}"


def test_the_slot_is_the_same_in_every_process() -> None:
    program = (
        "from kron.sources.declared import Place; from kron.sources.scheduled import Job, name_of\n"
        "for id_ in ('clean-files', 'zwei W\\xf6rter', 'x' * 128):\n"
        "    for every in ('minute', 'month'):\n"
        "        print(name_of(id_), Job(id_, every, Place(''), None).definition().value)"
    )
    seen = set()
    for seed, zone in (("0", "UTC"), ("1", "Asia/Kathmandu"), ("random", "America/New_York")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    (text,) = seen
    assert "clean-files month 21 15:12" in text


@pytest.mark.parametrize("form", ["job-{}", "{}", "tenant/{:06}/sync", "Büro {}", "clean_files_{}"])
def test_a_thousand_hourly_jobs_put_few_on_every_minute(form: str) -> None:
    """5 to 35, for 16.7 on the average: a binomial distribution, for these as for any ids."""
    load = Counter(slot_of("hour", form.format(number)) for number in range(1000))
    assert len(load) == 60
    assert 5 <= min(load.values()) <= max(load.values()) <= 35


# -- what is called -----------------------------------------------------------------------------

CALLS = {
    "clean_files": "clean_files",
    "mail": "mail",
    "takes_context": ("mine", (), {}),
    "takes_context_too": None,
    "takes_all": (),
    "mail_context": "mine",
    "sweep": "swept",
    "bound": "method",
    "awaited": "async",
    "part": ("given", (), {}),
    "async_part": "given",
    "wrapped": "clean_files",
    "Sweeper.now": "now",
    "Sweeper.soon": "soon",
    "Sweeper.Inner.deep": "deep",
    "called.clear": ...,
}


@pytest.mark.parametrize("name", CALLS)
def test_the_entrypoint_is_imported_and_called_without_arguments(
    project: Project, name: str
) -> None:
    project.write("jobs.py", JOBS)
    declared = project.declares(table("a", entrypoint=f"jobs:{name}"))
    assert declared.mistakes == []
    fn = declared.timers[0].declaration.fn
    asyncio.run(fn()) if inspect.iscoroutinefunction(fn) else fn()
    assert sys.modules["jobs"].called == ([] if CALLS[name] is ... else [CALLS[name]])


ENTRYPOINTS = {
    "jobs.clean_files": (
        'entrypoint=\'jobs.clean_files\' has no ":"; write "importable.module:function".'
    ),
    "": 'entrypoint=\'\' has no ":"; write "importable.module:function".',
    ":clean_files": "entrypoint ':clean_files' names no function. Write \"module:function\".",
    "jobs:": "entrypoint 'jobs:' names no function. Write \"module:function\".",
    ".jobs:f": "entrypoint '.jobs:f' names no function. Write \"module:function\".",
    "jobs:nothing": "entrypoint 'jobs:nothing': jobs has no nothing.",
    "jobs: clean_files": "entrypoint 'jobs: clean_files': jobs has no  clean_files.",
    "jobs:number": "entrypoint 'jobs:number' is 3, which cannot be called.",
    "nowhere:f": "entrypoint 'nowhere:f': nowhere cannot be imported: ModuleNotFoundError: No",
    "broken:f": "entrypoint 'broken:f': broken cannot be imported: SyntaxError: ",
    "exits:f": "entrypoint 'exits:f': exits cannot be imported: SystemExit: 0",
    "raises:f": "entrypoint 'raises:f': raises cannot be imported: ZeroDivisionError: division",
    "ring_a:f": "entrypoint 'ring_a:f': ring_a cannot be imported: ImportError: cannot import",
    "lazy:f": "entrypoint 'lazy:f': RuntimeError: not today",
    "lazy:g": "entrypoint 'lazy:g': SystemExit: 3",
    "jobs:needs": "entrypoint 'jobs:needs': it cannot be called without",
    "jobs:needs_keyword": "entrypoint 'jobs:needs_keyword': it cannot be called without",
    "jobs:needs_two": "entrypoint 'jobs:needs_two': it cannot be called without",
    "jobs:needs_context": "entrypoint 'jobs:needs_context': it cannot be called without",
    "jobs:Sweeper.method": "entrypoint 'jobs:Sweeper.method': it cannot be called without",
    "jobs:generator": "entrypoint 'jobs:generator': generator is a generator function; calling it",
    "jobs:async_generator": "entrypoint 'jobs:async_generator': async_generator is a generator",
}


def test_an_entrypoint_that_cannot_be_called_is_a_mistake(project: Project) -> None:
    project.write("jobs.py", JOBS)
    project.write("broken.py", "def f(:\n")
    project.write("exits.py", "import sys; sys.exit(0)\n")
    project.write("raises.py", "1 / 0\n")
    project.write("ring_a.py", "from ring_b import g\ndef f(): ...\n")
    project.write("ring_b.py", "from ring_a import f\ndef g(): ...\n")
    project.write(
        "lazy.py",
        """
        def __getattr__(name):
            raise RuntimeError("not today") if name == "f" else SystemExit(3)
        """,
    )
    text = "".join(table(f"j{number}", entrypoint=each) for number, each in enumerate(ENTRYPOINTS))
    declared = project.declares(text)
    assert declared.timers == []
    mistakes = {mistake.what: mistake for mistake in declared.mistakes}
    for number, (each, said) in enumerate(ENTRYPOINTS.items()):
        mistake = mistakes[f"j{number}"]
        assert mistake.text.startswith(said), each
        assert mistake.place == ("pyproject.toml", 3 * number + 3)


# -- all mistakes at once -----------------------------------------------------------------------


def test_all_mistakes_are_told_at_once_by_id_and_line(project: Project) -> None:
    project.write("jobs.py", JOBS)
    assert project.mistakes(
        """
        [tool.scheduled.daily]
        every = "daily"
        entrypoint = "jobs:clean_files"

        [tool.scheduled.no-entrypoint]
        every = "day"

        [tool.scheduled.extra]
        every = "day"
        entrypoint = "jobs:clean_files"
        timeout = "5s"

        [tool.scheduled."all wrong"]
        entrypont = "jobs:clean_files"
        every = 5

        [tool.scheduled.fine]
        every = "day"
        entrypoint = "jobs:clean_files"

        [tool.scheduled.gone]
        entrypoint = "jobs:gone"
        every = "Hour"
        """
    ) == [
        "pyproject.toml:3: daily: every='daily' is none of: minute, hour, day, week, month. Did you"
        " mean day?",
        "pyproject.toml:6: no-entrypoint: entrypoint is missing.",
        "pyproject.toml:12: extra: unknown key 'timeout'; a job has only every and entrypoint. More"
        " can be said under [tool.kron.timers].",
        "pyproject.toml:14: all wrong: entrypoint is missing.",
        "pyproject.toml:15: all wrong: unknown key 'entrypont'; a job has only every and"
        " entrypoint. Did you mean entrypoint? More can be said under [tool.kron.timers].",
        "pyproject.toml:16: all wrong: every must be a string, not 5.",
        "pyproject.toml:23: gone: entrypoint 'jobs:gone': jobs has no gone.",
        "pyproject.toml:24: gone: every='Hour' is none of: minute, hour, day, week, month. Did you"
        " mean hour?",
    ]


@pytest.mark.parametrize("every", ["1d", "", "DAY", " day", "days", "year", "60", "* * * * *"])
def test_there_are_five_cadences(project: Project, every: str) -> None:
    project.write("jobs.py", JOBS)
    (mistake,) = project.mistakes(table("a", every))
    assert f"every={every!r} is none of: minute, hour, day, week, month." in mistake


def test_the_five_cadences_are_taken(project: Project) -> None:
    project.write("jobs.py", JOBS)
    declared = project.declares("".join(table(every, every) for every in UNITS))
    assert declared.mistakes == []
    assert [timer.declaration.options["every"] for timer in declared.timers] == [*UNITS]


@pytest.mark.parametrize("value", ["5", "1.5", "true", '["day"]', "{ a = 1 }", "1979-05-27"])
@pytest.mark.parametrize("key", ["every", "entrypoint"])
def test_a_value_is_a_string(project: Project, key: str, value: str) -> None:
    project.write("jobs.py", JOBS)
    lines = {"every": '"day"', "entrypoint": '"jobs:clean_files"', key: value}
    text = "[tool.scheduled.a]\n" + "\n".join(f"{key} = {lines[key]}" for key in lines)
    (mistake,) = project.mistakes(text)
    assert f": a: {key} must be a string, not " in mistake


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool]\nscheduled = 3", ":2: [tool.scheduled] must be a table of jobs."),
        ("[[tool.scheduled]]", ":1: [tool.scheduled] must be a table of jobs."),
        ("[tool.scheduled]\na = 1", ":2: a: a job is a table: [tool.scheduled.<id>] with every"),
        ("[[tool.scheduled.a]]", ":1: a: a job is a table: [tool.scheduled.<id>] with every"),
        (
            "[tool.scheduled.a.b]\nevery = 1",
            ': a: an id with a dot stands in quotes: [tool.scheduled."a.b"].',
        ),
        (
            "[tool.scheduled.a.'\"']",
            ': a: an id with a dot stands in quotes: [tool.scheduled."a.\\""].',
        ),
        ("[tool.scheduled.a]\n[tool.scheduled.a]", ":2: no valid TOML: Cannot declare"),
        ("\n[tool.scheduled.a\n", ":2: no valid TOML: Expected ']'"),
    ],
)
def test_a_table_that_is_none_says_what_it_should_be(
    project: Project, text: str, said: str
) -> None:
    (mistake,) = project.mistakes(text)
    assert said in mistake


def test_no_table_and_an_empty_one_declare_nothing(project: Project) -> None:
    for text in ("", "[tool.scheduled]", "[tool]", "tool = 1", "[tool.other]\nscheduled = 1"):
        declared = project.declares(text)
        assert (declared.timers, declared.mistakes) == ([], [])


def test_every_job_is_looked_at_though_one_cannot_be_imported(project: Project) -> None:
    project.write("jobs.py", JOBS)
    declared = project.declares(table("a", entrypoint="nowhere:f") + table("b"))
    assert [timer.id for timer in declared.timers] == ["b"]
    assert [mistake.what for mistake in declared.mistakes] == ["a"]


def test_jobs_can_be_read_without_an_import(project: Project) -> None:
    project.write("exits.py", "raise SystemExit\n")
    file = project.write("pyproject.toml", table("a", entrypoint="exits:f") + table("b", "dayly"))
    jobs, mistakes, _ = read_jobs([file])
    assert [(job.id, job.every, job.entrypoint.text, str(job.place)) for job in jobs] == [
        ("a", "day", "exits:f", "pyproject.toml:1")
    ]
    assert [str(mistake.place) for mistake in mistakes] == ["pyproject.toml:5"]
    assert "exits" not in sys.modules


def test_an_id_of_two_files_names_both_places(project: Project) -> None:
    project.write("jobs.py", JOBS)
    files = [project.write(name, table("a")) for name in ("pyproject.toml", "kron.toml")]
    jobs, (mistake,), _ = read_jobs(files)
    assert str(mistake) == (
        "kron.toml:1: a: is declared in pyproject.toml:1 already. One id has one source."
    )
    assert [str(each) for each in read_files(files).mistakes] == [
        "kron.toml:1: a: the name 'scheduled:a' is declared in pyproject.toml:1 already. One name"
        " has one source."
    ]
    assert len(jobs) == 1
