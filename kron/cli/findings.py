"""What doctor and verify found, as tables that stay readable at 80 columns."""

from __future__ import annotations

import os

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kron.server.checkup import DoctorReport
from kron.server.diagnosis import Problem
from kron.server.verify import FileProof, Proof

from .words import clean

RESULTS = {"ok": "green", "wrong": "bold red", "whole": "", "gone": "dim"}


def doctor_block(report: DoctorReport, *, is_after_repair: bool = False) -> Group:
    """The checks, a line or more each; what is wrong, and what to do about it; and the verdict."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for check in report["checks"]:
        mark = Text("ok", "green") if check["ok"] else Text("WRONG", "bold red")
        table.add_row(mark, Text(check["check"]), _text(check["detail"]))
    wrong = sum(not check["ok"] for check in report["checks"])
    title = Text("data dir ").append(clean(report["data_dir"]), "bold")
    end = _end(wrong, [each for each in report["problems"] if each["repair"]], is_after_repair)
    problems = [_problem(each) for each in report["problems"]]
    return Group(title, Padding(table, (0, 0, 0, 2)), *problems, end)


def _end(wrong: int, repairable: list[Problem], is_after_repair: bool) -> Text:
    verdict = "1 check failed" if wrong == 1 else f"{wrong} checks failed"
    if not repairable:
        return Text(verdict, "bold red") if wrong else Text("all is well", "green")
    if not wrong:
        text = "nothing keeps a start from working; kron doctor --repair tidies the above up"
        return Text(text, "green")
    if is_after_repair:
        verdict += ", which only now could be seen"
        return Text(verdict, "bold red").append("; run kron doctor --repair again", "")
    return Text(verdict, "bold red").append("; kron doctor --repair does the above", "")


def _problem(problem: Problem) -> Group:
    """A finding: what, where, what it means, what a repair does."""
    style = "yellow" if problem["harmless"] else "bold red"
    table = Table.grid(padding=(0, 2, 0, 0))
    repair = problem["repair"] or "none: it cannot be put right from here"
    for word, text in (
        ("where", problem["where"]),
        ("means", problem["meaning"]),
        ("repair", repair),
    ):
        table.add_row(Text(word, "dim"), _text(text))
    return Group(_text(problem["what"], style), Padding(table, (0, 0, 0, 2)))


def proof_block(proof: Proof) -> Group:
    """A line a file, what is wrong with it below, and the verdict."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold dim")
    for title, justify in (("FILE", "left"), ("RECORDS", "left"), ("BYTES", "right")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("")
    for each in proof["files"]:
        result = Text(each["result"].replace("wrong", "WRONG"), RESULTS[each["result"]])
        if each["result"] == "whole":
            result.append(" (no records lead up to it)", "dim")
        table.add_row(Text(clean(each["file"])), _span(each), f"{each['size_bytes']:,}", result)

    def place(each: FileProof) -> str:
        return os.path.join(proof["data_dir"], each["file"]) + ": "

    wrong = [each for each in proof["files"] if each["result"] == "wrong"]
    problems = [
        Padding(_text(f"{each['file']}: {problem.removeprefix(place(each))}"), (0, 0, 0, 2))
        for each in wrong
        for problem in each["problems"]
    ]
    return Group(table, *problems, _verdict(proof, len(wrong)))


def _text(text: str, style: str = "") -> Text:
    """Long paths are broken, not cut short."""
    return Text(clean(text), style, overflow="fold")


def _span(proof: FileProof) -> str:
    if proof["last"] is None:
        return "?"
    if not proof["first"]:
        return f"state after {proof['last']:,}"
    if proof["last"] < proof["first"]:
        return "none"
    return f"{proof['first']:,} to {proof['last']:,}"


def _verdict(proof: Proof, wrong: int) -> Text:
    if wrong:
        return Text(f"{wrong} file{'s are' if wrong > 1 else ' is'} wrong", "bold red")
    first, last = proof["first"], proof["records"]
    number = last - first + 1
    text = Text(f"all is well: {number:,} record{'' if number == 1 else 's'}", "green")
    if first > 1 and number:
        text.append(f", {first:,} to {last:,}")
    if proof["torn"]:
        text.append(f"; {proof['torn']}")
    return text
