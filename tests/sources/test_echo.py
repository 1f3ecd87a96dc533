"""What commands print, shown line by line as well."""

import io
import os

from kron.sources.echo import Echo
from kron.storage.output import MemoryOutputs

RUN = "run_01jd0000000000000000000000"


def begin(stdout, timer="talk"):
    outputs = MemoryOutputs()
    return outputs, Echo(outputs, stdout).begin(timer, RUN, 1, 0.0)


def test_each_line_stands_behind_the_name_of_its_timer():
    stdout = io.BytesIO()
    outputs, output = begin(stdout)
    output.write(b"one\ntw")
    assert stdout.getvalue() == b"talk | one\n"
    output.write(b"o\n\nthree")
    assert output.close() == ""
    assert stdout.getvalue() == b"talk | one\ntalk | two\ntalk | \ntalk | three\n"
    assert outputs.read(RUN)[0] == "one\ntwo\n\nthree"


def test_lines_of_two_commands_are_not_mixed():
    stdout = io.BytesIO()
    echo = Echo(MemoryOutputs(), stdout)
    a, b = echo.begin("a", RUN, 1, 0.0), echo.begin("b", RUN[:-1] + "1", 1, 0.0)
    a.write(b"left ")
    b.write(b"right\n")
    a.write(b"over\n")
    assert stdout.getvalue() == b"b | right\na | left over\n"


def test_a_line_without_an_end_is_shown_in_pieces():
    stdout = io.BytesIO()
    _, output = begin(stdout)
    for _ in range(100):
        output.write(b"x" * 1000)
    output.close()
    shown = stdout.getvalue().split(b"\n")[:-1]
    assert len(shown) == 7
    assert b"".join(line.removeprefix(b"talk | ") for line in shown) == b"x" * 100_000


def test_when_nobody_reads_any_more_that_is_said_once_and_all_is_kept(caplog):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as stdout:
        outputs, output = begin(stdout)
        output.write(b"one\n")
        output.write(b"two\n")
        output.close()
    assert caplog.text.count("is not shown any more") == 1
    assert outputs.read(RUN)[0] == "one\ntwo\n"


def test_a_further_attempt_and_the_marks_are_those_of_the_store():
    outputs, output = begin(io.BytesIO())
    echo = Echo(outputs, io.BytesIO())
    output.write(b"one\n")
    echo.mark(RUN, "here")
    assert outputs.marks() == echo.marks() == {RUN: "here"}
    echo.unmark(RUN)
    assert outputs.marks() == {}
    assert echo.read(RUN) == outputs.read(RUN) == ("one\n", 4)
