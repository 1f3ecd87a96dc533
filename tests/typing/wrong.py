"""Wrong uses of Kron: behind each stands what `mypy --strict` has to tell of it. Never run."""

from __future__ import annotations

from datetime import datetime

import kron


@kron.schedule("report", every="1h")
def report(kind: str, copies: int = 1) -> list[str]:
    return [kind] * copies


@kron.schedule("fetch", every="1h")
async def fetch(context: kron.RunContext) -> bytes:
    print(context["runid"])  # error: TypedDict "RunContext" has no key "runid"
    return context["attempt"]  # error: Incompatible return value type (got "int", expected "bytes")


class Office:
    def close(self, *, is_late: bool = False) -> str:
        return "closed"


close = kron.schedule("close", every="1h")(Office().close)


# A decorated function is checked as before.
report()  # error: Missing positional argument "kind"
report(3)  # error: Argument 1 to "report" has incompatible type "int"; expected "str"
report("weekly", sides=2)  # error: Unexpected keyword argument "sides"
length: int = report("weekly")  # error: Incompatible types in assignment
close(True)  # error: Too many positional arguments
fetch().decode()  # error: Missing positional argument "context"


async def use() -> None:
    fetch({})  # error: Missing keys ("
    (await fetch(kron.current_run()))  # error: incompatible type "RunContext | None"
    await kron.status("report")  # error: Incompatible types in "await"
    kron.astatus("report")["id"]  # error: Value of type "Coroutine[Any, Any, TimerStatus | None]"
    await kron.alist().clear()  # error: has no attribute "clear"


# What schedule() is told.
kron.schedule("a", report, evry="1h")  # error: Unexpected keyword argument "evry"; did you mean
kron.schedule("b", evry="1h")  # error: Unexpected keyword argument "evry"; did you mean "every"?
kron.schedule("c", report, every="1h", overlap=3)  # error: No overload variant matches
kron.schedule("d", report, every="1h", max_attempts="3")  # error: No overload variant matches
kron.schedule("e", report, every="1h", timezone=1)  # error: No overload variant matches
kron.schedule("f", 5, every="1h")  # error: No overload variant matches
kron.schedule(7, report, every="1h")  # error: No overload variant matches
kron.schedule("g", report, every="1h", on_failure=report)  # error: Argument "on_failure" has
kron.schedule("h", every="1h")("module:function")  # error: Value of type variable "F"
kron.Cron(weekday="mon")  # error: Unexpected keyword argument "weekday"
kron.command(["true"], inherits="all")  # error: Unexpected keyword argument "inherits"
kron.start(fsnc="never")  # error: Unexpected keyword argument "fsnc"; did you mean "fsync"?
kron.start(max_concurrency="4")  # error: Argument "max_concurrency" has incompatible type "str"
kron.Scheduler(4)  # error: Too many positional arguments for "Scheduler"
kron.Scheduler(on_failed=print)  # error: Unexpected keyword argument "on_failed"
kron.Scheduler(on_failure=3)  # error: Argument "on_failure" to "Scheduler" has incompatible type

# What is asked.
kron.status("report")["id"]  # error: Value of type "TimerStatus | None" is not indexable
kron.list()[0]["next_run"]  # error: TypedDict "TimerStatus" has no key "next_run"
kron.history("report")[0]["took"]  # error: TypedDict "HistoryRow" has no key "took"
kron.history("report", limit="5")  # error: Argument "limit" has incompatible type "str"
kron.list(stat="paused")  # error: Unexpected keyword argument "stat"; did you mean "state"?
kron.list(metadata="team=web")  # error: Argument "metadata" has incompatible type "str"
kron.subscribe(0, 10)  # error: Too many positional arguments
kron.why("report")["txt"]  # error: TypedDict "Why" has no key "txt"
kron.why("report", at=5)  # error: Argument "at" has incompatible type "int"
kron.preview(every="1h", count=3)  # error: Unexpected keyword argument "count"
moment: datetime = kron.preview(every="1h")  # error: Incompatible types in assignment
kron.pause("report", for_hours=2)  # error: Unexpected keyword argument "for_hours"
kron.backfill("report")  # error: Missing named argument "since"
kron.backfill("report", since="2h")["count"]  # error: TypedDict "Backfill" has no key "count"
kron.trigger(name=3)  # error: Argument "name" has incompatible type "int"; expected "str"
kron.shutdown()["is_stopped"]  # error: TypedDict "ShutdownReport" has no key "is_stopped"
kron.shutdown("5s")  # error: Argument 1 has incompatible type "str"; expected "float"

# Names there are none of.
kron.schedul("i", report)  # error: Module has no attribute "schedul"; maybe "schedule"?
print(kron.DataDirLoked)  # error: Module has no attribute "DataDirLoked"; maybe "DataDirLocked"?
