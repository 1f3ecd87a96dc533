"""A crontab as timers: what each kind of line becomes, and what is said of lines that are none."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kron.core.command import CommandSpec
from kron.runtime.registry import Registry
from kron.sources.crontab.lines import ALIASES
from kron.sources.crontab.reader import read_crontab
from kron.sources.crontab.toml import write_toml
from kron.sources.declared import Declared, check_twice
from kron.sources.reading import read_files

SERVERS = Path(__file__).with_name("servers.crontab")


def read(text, timezone="UTC"):
    declared = Declared(["crontab"])
    content = text if isinstance(text, bytes) else text.encode()
    read_crontab(content, "crontab", declared, timezone=timezone)
    check_twice(declared)
    return declared


def timers(text, **options):
    declared = read(text, **options)
    assert declared.mistakes == []
    return declared.timers


def one(text, **options):
    (timer,) = timers(text, **options)
    return timer.declaration


def mistakes(text):
    declared = read(text)
    return [str(mistake) for mistake in declared.mistakes]


def spec(text):
    return one(text).fn.spec


def options(text):
    return one(text).options


def definition(timer):
    each = timer.declaration
    return Registry().registration(each.name, each.fn, each.options, 0).definition


def output(text, tmp_path):
    """What the one command of a crontab prints, started as Kron starts it."""
    found = spec(text)
    argv = [*found.argv] or ["/bin/sh", "-c", found.shell]
    env = {"PATH": "/usr/bin:/bin", **dict(found.env)}
    done = subprocess.run(
        argv, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


# -- a line --------------------------------------------------------------------------------------


def test_a_line_behaves_as_cron_has_it():
    each = one("30 2 * * mon-fri\t  /usr/bin/backup --all\n", timezone="Europe/Berlin")
    assert each.fn.spec == CommandSpec(shell="/usr/bin/backup --all")
    assert each.name == f"cron-{each.fn.spec.hash}"
    assert (each.origin.source, each.origin.place) == ("crontab", "crontab:1")
    assert each.options == {
        "cron": "30 2 * * mon-fri",
        "timezone": "Europe/Berlin",
        "overlap": "allow",
        "max_attempts": 1,
        "missed": "skip",
    }


def test_the_same_command_twice_is_two_timers():
    hash_ = CommandSpec(shell="x").hash
    names = [timer.name for timer in timers("@daily x\n@hourly x\n@daily y\n0 1 * * * x\n")]
    assert names[:2] == [f"cron-{hash_}", f"cron-{hash_}-2"]
    assert names[3] == f"cron-{hash_}-3"


def test_a_line_leaves_a_name_to_the_comment_that_gives_it():
    hash_ = CommandSpec(shell="x").hash
    text = f"@daily x\n# kron: name=cron-{hash_} shell=true\n@hourly x\n"
    assert [timer.name for timer in timers(text)] == [f"cron-{hash_}-2", f"cron-{hash_}"]


def test_without_a_zone_lines_are_in_that_of_the_machine(monkeypatch):
    monkeypatch.setattr("tzlocal.get_localzone_name", lambda: "Asia/Seoul")
    assert one("@daily x\n", timezone="").options["timezone"] == "Asia/Seoul"
    monkeypatch.setattr("tzlocal.get_localzone_name", lambda: "Mars/Olympus")
    assert "--timezone" in str(read("@daily x\n", timezone="").mistakes[0])
    assert one("CRON_TZ=Asia/Tokyo\n@daily x\n", timezone="").options["timezone"] == "Asia/Tokyo"


def test_cron_tz_is_the_zone_and_tz_is_a_variable():
    text = "@daily a\nCRON_TZ=Asia/Tokyo\nTZ=Asia/Seoul\n@daily b\nCRON_TZ=\n@daily c\n"
    a, b, c = (timer.declaration for timer in timers(text))
    assert [each.options["timezone"] for each in (a, b, c)] == ["UTC", "Asia/Tokyo", "UTC"]
    assert (a.fn.spec.env, b.fn.spec.env) == ((), (("TZ", "Asia/Seoul"),))


def test_comments_directly_above_are_the_description():
    assert "description" not in options("# of the file\n\n@daily x\n")
    assert "description" not in options("# of the setting\nA=b\n@daily x\n")
    assert "description" not in options("# m h  dom mon dow   command\n@daily x\n")
    text = "# ------\n## Backup \n#\n# of the  base\n#0 3 * * * old\n# ------\n@daily x\n"
    assert options(text)["description"] == "Backup\n\nof the  base"


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ("A=b", {"A": "b"}),
        ("  A = b c  ", {"A": "b c"}),
        ("A='b c ' ", {"A": "b c "}),
        ('"A"="it\'s"', {"A": "it's"}),
        ("A=", {"A": ""}),
        ("A=''", {"A": ""}),
        ("PATH=$HOME/bin:$PATH", {"PATH": "$HOME/bin:$PATH"}),
        ("A=b'c d' # no comment", {"A": "b'c d' # no comment"}),
        ("A==b", {"A": "=b"}),
    ],
)
def test_settings_have_the_quotes_of_cron(line, env):
    assert dict(spec(f"{line}\n@daily x\n").env) == env


def test_settings_hold_for_the_lines_after_them():
    found = timers("@daily a\nA=1\n@daily b\nA=2\nB=3\n@daily c\n")
    envs = [dict(timer.declaration.fn.spec.env) for timer in found]
    assert envs == [{}, {"A": "1"}, {"A": "2", "B": "3"}]


def test_home_is_where_a_command_starts():
    assert spec("HOME=/srv/app\n@daily ./x\n").cwd == "/srv/app"


def test_another_shell_gets_the_text_as_one_word():
    found = spec("SHELL=/bin/bash\n@daily a && b\n")
    assert found.argv == ("/bin/bash", "-c", "a && b")
    assert spec("SHELL=/bin/sh\n@daily a && b\n").shell == "a && b"


def test_what_cron_alone_knows_is_noted():
    declared = read("MAILTO=root\nRANDOM_DELAY=30\nLOGNAME=me\n@reboot start\n-@daily x\n")
    assert [note.place.line for note in declared.notes] == [1, 2, 3, 4]
    assert "kron job logs" in str(declared.notes[0])
    assert "jitter=" in str(declared.notes[1])
    assert str(declared.notes[3]).startswith("crontab:4: @reboot is left out")
    (timer,) = declared.timers
    assert (timer.declaration.fn.spec.env, timer.place.line) == ((), 5)


def test_the_minus_and_the_option_of_cronie_are_no_part_of_the_command():
    assert spec("-* * * * * x\n").shell == "x"
    assert spec("@daily -n x -n\n").shell == "x -n"


# -- the percent sign ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (r"date -u -d @0 +\%F", "1970-01-01\n"),
        (r"printf '\%s|' '\%'", "%|"),
        ("cat%a%b", "a\nb\n"),
        ("cat%a%b%", "a\nb\n"),
        ("cat%%a%%b", "\na\n\nb\n"),
        (r"cat%50\% \n 'x' \\", "50% \\n 'x' \\\\\n"),
        ("cat%", ""),
        ("cat%  two  blanks ", "  two  blanks \n"),
        ("echo a; cat; echo b # done%in", "a\nin\nb\n"),
        ("read a; read b; echo $b $a%1%2%3", "2 1\n"),
        ("exit 0%ignored", ""),
    ],
)
@pytest.mark.parametrize("shell", ["", "SHELL=/bin/bash\n"])
def test_a_percent_sign_begins_the_input(command, printed, shell, tmp_path):
    assert output(f"{shell}@daily {command}\n", tmp_path) == printed


def test_a_percent_sign_that_somebody_forgot_to_escape_is_noted():
    for command in ("date +%F", "printf '%s' x", "cat%a", r"date +\%F", "echo 'a"):
        declared = read(f"@daily {command}\n")
        assert declared.mistakes == []
        is_cut = command in ("date +%F", "printf '%s' x")
        assert [each.text[:14] for each in declared.notes] == ["an unescaped %"] * is_cut


# -- what is wrong -------------------------------------------------------------------------------


def test_all_mistakes_come_together():
    text = (
        "61 * * * * a\nfoo\n0 9 * * *\n@fortnightly x\n@daily\nCRON_TZ=Mars/Olympus\n0 0 * * * b\n"
        "KRON_TIMER=x\n@daily y\n0 0 31 2 * z\n*/5 * * * * * seconds\n"
    )
    found = mistakes(text)
    assert [line.partition(": ")[0] for line in found] == [
        f"crontab:{number}" for number in (1, 2, 3, 4, 5, 6, 8, 10, 11)
    ]
    said = dict(line.split(": ", 1) for line in found)
    assert said["crontab:1"] == '"61 * * * *": minute 61 is outside 0-59'
    assert "five time fields and a command" in said["crontab:2"]
    assert "no command behind" in said["crontab:3"]
    assert said["crontab:4"] == (
        "'@fortnightly' is no name that cron knows; use @hourly, @daily, @midnight, @weekly,"
        " @monthly, @yearly, @annually, or five time fields"
    )
    assert "no command behind" in said["crontab:5"]
    assert "Mars/Olympus" in said["crontab:6"]
    assert "KRON_TIMER" in said["crontab:8"]
    assert "never fires" in said["crontab:10"]
    assert "begins with '*'" in said["crontab:11"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("@dayly", "@daily"), ("@Hourly", "@hourly"), ("-@WEEKLY", "@weekly"), ("@rebot", "@reboot")],
)
def test_an_unknown_name_has_the_one_that_was_meant(word, meant):
    (found,) = mistakes(f"# kron: name=a\n{word} x\n")
    assert found.endswith(f", or five time fields. Did you mean {meant}?")
    assert "every=" not in found


def test_the_names_of_cron_are_those_that_kron_knows():
    for alias in ALIASES:
        assert one(f"{alias} x\n").options["cron"] == alias


def test_a_mistake_in_a_line_is_none_of_the_comment_above_it():
    declared = read("# kron: name=a\nnonsense\n@daily x\n")
    assert (len(declared.mistakes), declared.notes) == (1, [])
    assert "description" not in declared.timers[0].declaration.options


@pytest.mark.parametrize("setting", ["SHELL=", "SHELL=''", "SHELL='  '"])
def test_a_shell_without_a_name_is_one_mistake(setting):
    text = f"SHELL=/bin/bash\n@daily a\n{setting}\n@daily b\n"
    declared = read(text)
    assert [str(each) for each in declared.mistakes] == [
        "crontab:3: SHELL= names no shell; name one, or take it out for /bin/sh"
    ]
    specs = [timer.declaration.fn.spec for timer in declared.timers]
    assert specs[1] == CommandSpec(shell="b")
    found = mistakes(f"{setting}\n*/0 * * * * x\n30 25 * * * x\n0 0 31 2 * x\n")
    assert [line.partition(": ")[0] for line in found] == [f"crontab:{n}" for n in (1, 2, 3, 4)]
    assert "step 0" in found[1]
    assert "hour 25" in found[2]
    assert "never fires" in found[3]


def test_a_system_crontab_is_told_as_one():
    text = "17 * * * * root cd / && run-parts /etc/cron.hourly\n25 6 * * * root test -x /x\n"
    (found,) = mistakes(text)
    assert found.startswith("crontab:1: 2 line(s) from here on have a user ('root')")
    assert len(mistakes(text + "@daily backup.sh\n")) == 1
    assert mistakes("0 9 * * * mail -s hi root\n0 9 * * * rooted x\n@daily root\n") == []
    accounts = "0 0 * * * www-data /x\n0 1 * * * daemon /y\n"
    assert "'www-data'" in mistakes(accounts)[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"@daily x\n\x7fELF\x00\x01", "crontab:2: this line holds a NUL byte"),
        (b"@daily x\n@daily gr\xfc\xdfe\n", "crontab:2: this line is not UTF-8; if it is Latin-1"),
        ("@daily x\n".encode("utf-16"), "crontab:1: this line holds a NUL byte"),
        (b"@daily a\rb\n", "crontab:1: the command holds a carriage return"),
        (b"x" * (16 * 1024 * 1024 + 1), "crontab: the file has 16,777,217 bytes"),
        (b"0 0 * * * " + b"x" * 200_000, "crontab:1: the command is 200012 bytes of JSON"),
        (b"0" * 1000 + b" * * * * x", 'crontab:1: "000'),
    ],
)
def test_what_is_no_crontab(content, said):
    (found,) = mistakes(content)
    assert found.startswith(said)


def test_what_people_paste():
    assert timers("") == timers("\n \n\t\n# only a comment") == []
    assert one("\ufeff@daily x").fn.spec.shell == "x"
    assert one("\t 0\t0 * *\t* x y ").options["cron"] == "0 0 * * *"
    declared = read("A=b\r\n@daily x\r\n")
    assert declared.timers[0].declaration.fn.spec == CommandSpec(shell="x", env=(("A", "b"),))
    assert "Windows" in str(declared.notes[0])
    long = "x" * 100_000
    assert spec(f"@daily {long}\n").shell == long


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("see the wiki", "'see', which is no keyword"),
        ("overlap=skip", "has no name="),
        ("name=a name=b", "name= twice"),
        ("name='a", "cannot be split"),
        ("name=-a", "name='-a' cannot be used"),
        ("name=a weight=many", "weight='many' is no number"),
        ("name=a shell=yes", "neither true nor false"),
        ("name=a retries=3", "'retries=', which is no keyword"),
        ("name=a overlap=never", "overlap must be one of"),
        ("name=a every=day", "every=day in the comment above it means"),
        ("name=a every=30m", "counts from the end of each run"),
        ("name=a cron='1 0 * * *'", "means 1 0 * * *"),
        ("name=a\n# kron: name=b", "two comments begin with # kron:"),
        ("name=a\n# kron-meta: [1]", "must be a JSON object"),
        ("name=a\n# kron-meta: {", "# kron-meta: is no JSON"),
        ("name=a env=no.such:thing", "no.such cannot be imported"),
    ],
)
def test_what_is_wrong_with_a_marker(marker, said):
    assert said in mistakes(f"# kron: {marker}\n0 0 * * * x\n")[0]


@pytest.mark.parametrize(
    "command",
    [
        *("echo hello", "test -f x", "true", r'/bin/echo "50\%"', "/usr/bin/ls *.txt", "x > y"),
        *("cd /x && /bin/sh -c 'y'", "A=1 x ", "x%y", "x 'y"),
    ],
)
@pytest.mark.parametrize("setting", ["", "SHELL=/bin/bash\nHOME=/srv\n"])
def test_a_comment_that_says_nothing_of_a_shell_leaves_the_command_as_it_is(setting, command):
    bare = spec(f"{setting}0 9 * * * {command}\n")
    assert spec(f"{setting}# kron: name=a\n0 9 * * * {command}\n") == bare
    kept = spec(f"{setting}# kron: name=a inherit=safe kill_after=1s\n0 9 * * * {command}\n")
    assert kept == replace(bare, inherit="safe", kill_after_us=1_000_000)


def test_a_doubt_is_noted_below_a_comment_too():
    (found,) = read("# kron: name=a\n@daily date +%F\n").notes
    assert str(found).startswith("crontab:2: a: an unescaped % ends the command")


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (r'/bin/echo "50\%" \"it\'"s"', ("/bin/echo", "50%", "\"it's")),
        ("find . -exec x {} + a#b ''  ", ("find", ".", "-exec", "x", "{}", "+", "a#b", "")),
        ("env echo hello", ("echo", "hello")),
        ("env -i x", ("env", "-i", "x")),
    ],
)
def test_a_plain_list_may_be_quoted_in_any_way(command, argv):
    assert spec(f"# kron: name=a shell=false\n@daily {command}\n") == CommandSpec(argv=argv)


def test_a_plain_list_has_the_variables_of_the_crontab():
    text = "SHELL=/bin/bash\nA=1\n# kron: name=a shell=false\n@daily cd '/s t' && B=\"2\" x y\n"
    assert spec(text) == CommandSpec(
        argv=("x", "y"), env=(("A", "1"), ("B", "2"), ("SHELL", "/bin/bash")), cwd="/s t"
    )


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("x > y", "a shell would act on '>'"),
        ("ls *.txt", "a shell would act on '*'"),
        ('x "a $B"', "a shell would act on '$'"),
        ("x {a,b}", "a shell would act on '{'"),
        ("x ~/y", "a shell would act on '~'"),
        ("x # y", "a shell would act on '#'"),
        ("cd $A && x", "a shell would act on '$'"),
        ("x 'y", "no closing quotation"),
        ("echo hello", "'echo' is a word of the shell itself; env echo is not"),
        ("A=1 test -f x", "'test' is a word of the shell itself; env test is not"),
        ("A=1", "it names no program, or a variable twice"),
        ("'A=1' x", "to a shell \"'A=1'\" sets no variable"),
        ("cd here && x", "cwd='here' is relative to where Kron runs"),
    ],
)
def test_a_plain_list_that_is_none_is_refused_with_the_reason(command, why):
    (found,) = mistakes(f"# kron: name=a shell=false\n@daily {command}\n")
    assert found.startswith("crontab:2: a: ")
    assert "is not the plain list of words that shell=false in the comment above it" in found
    assert found.endswith(f": {why}. Without shell=false a shell reads the line")


def test_a_plain_list_has_no_input():
    assert "feeds its input" in mistakes("# kron: name=a shell=false\n@daily x%y\n")[0]


# -- kron.toml -----------------------------------------------------------------------------------


def test_fifty_lines_of_real_servers_become_a_kron_toml(tmp_path):
    declared = read(SERVERS.read_bytes(), timezone="Europe/Berlin")
    assert declared.mistakes == []
    assert len(declared.timers) == 50
    assert [note.place.line for note in declared.notes] == [5, 27]
    path = tmp_path / "kron.toml"
    path.write_text(write_toml(declared), encoding="utf-8")
    again = read_files([str(path)])
    assert again.mistakes == []
    assert [timer.name for timer in again.timers] == [timer.name for timer in declared.timers]
    for before, after in zip(declared.timers, again.timers, strict=True):
        assert definition(before) == definition(after)
    descriptions = [timer.declaration.options.get("description") for timer in declared.timers]
    assert "Renew certificates, twice a day" in descriptions
    assert "Grüße aus Köln\nläuft täglich" in descriptions


def test_metadata_that_toml_has_no_word_for_is_refused():
    declared = read('# kron: name=a\n# kron-meta: {"b": [null]}\n@daily x\n')
    assert declared.mistakes == []
    with pytest.raises(ValueError, match="a: metadata holds None"):
        write_toml(declared)
