"""FastAPI for many tenants: each makes, sees and deletes timers of its own, and no others.

You see two tenants use one name for two timers, and one look for the other's in vain. The second
client comes after a restart. To serve it for real: `uvicorn multitenant:app` in this directory.

    KRON_HOME=DATA_DIR python examples/multitenant.py
"""

import asyncio
import os
import tempfile
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import kron

scheduler = kron.Scheduler(max_concurrency=100)
TENANTS = {"key-of-acme": "acme", "key-of-bolt": "bolt"}  # your own login says who is calling


# -- what tenants may have done for them ---------------------------------------------------------


async def report(context, subject):
    print(f"report for {context['metadata']['tenant_id']}: {subject}")


async def reminder(context, subject):
    print(f"reminder for {context['metadata']['tenant_id']}: {subject}")


KINDS = {"report": report, "reminder": reminder}


class Wish(BaseModel):
    kind: Literal["report", "reminder"]
    subject: str
    cron: str
    timezone: str = "UTC"


async def carry_out(timers, tenant, name, wish):
    """No tenant's id has a dot, so no two tenants share a name."""
    await timers.aschedule(
        f"{tenant}.{name}",
        KINDS[wish.kind],
        cron=wish.cron,
        timezone=wish.timezone,
        args=[wish.subject],
        metadata={"tenant_id": tenant, "name": name, "wish": wish.model_dump()},
        key=f"tenant:{tenant}",  # at most five at once, whatever the others do
        key_limit=5,
    )


# -- the application -----------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(app):
    await scheduler.astart()  # on the application's own event loop; KRON_HOME, else .kron
    try:
        # The timers are on disk, functions are not: each gets its own again. What is due waits.
        known = [timer["metadata"] for timer in await scheduler.alist()]
        again = (carry_out(scheduler, m["tenant_id"], m["name"], Wish(**m["wish"])) for m in known)
        await asyncio.gather(*again)
        yield
    finally:
        await scheduler.ashutdown()


app = FastAPI(lifespan=lifespan)


def get_scheduler() -> kron.Scheduler:
    return scheduler


def get_tenant(x_api_key: Annotated[str, Header()]) -> str:
    if x_api_key not in TENANTS:
        raise HTTPException(401, "unknown key")
    return TENANTS[x_api_key]


Timers = Annotated[kron.Scheduler, Depends(get_scheduler)]
Tenant = Annotated[str, Depends(get_tenant)]
Name = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]


async def find(timers: Timers, tenant: Tenant, name: Name) -> kron.TimerStatus:
    """The tenant's timer of that name. Another's is as absent as one that never was."""
    timer = await timers.astatus(f"{tenant}.{name}")
    if timer is None:
        raise HTTPException(404, "no such timer")
    return timer


Found = Annotated[kron.TimerStatus, Depends(find)]


@app.get("/timers")
async def list_timers(timers: Timers, tenant: Tenant) -> list[kron.TimerStatus]:
    return await timers.alist(metadata={"tenant_id": tenant})


@app.put("/timers/{name}")
async def put_timer(timers: Timers, tenant: Tenant, name: Name, wish: Wish) -> kron.TimerStatus:
    await carry_out(timers, tenant, name, wish)
    return await find(timers, tenant, name)


@app.get("/timers/{name}")
async def get_timer(timer: Found) -> kron.TimerStatus:
    return timer


@app.post("/timers/{name}/trigger", status_code=202)
async def trigger(timers: Timers, timer: Found):
    return {"run_id": await timers.atrigger(timer["id"])}


@app.get("/timers/{name}/history")
async def history(timers: Timers, timer: Found) -> list[kron.HistoryRow]:
    return await timers.ahistory(timer["id"], limit=20)


@app.delete("/timers/{name}", status_code=204)
async def delete_timer(timers: Timers, timer: Found) -> None:
    await timers.aremove(timer["id"])


@app.exception_handler(kron.ScheduleError)
async def refused(request, exc):
    return JSONResponse({"detail": str(exc)}, 422)


@app.exception_handler(kron.UnknownTimer)
async def gone(request, exc):
    return JSONResponse({"detail": "no such timer"}, 404)  # deleted by a request meanwhile


# -- two tenants ---------------------------------------------------------------------------------


def main():
    from fastapi.testclient import TestClient

    acme, bolt = {"X-API-Key": "key-of-acme"}, {"X-API-Key": "key-of-bolt"}
    daily = {"kind": "report", "subject": "sales", "cron": "0 8 * * *"}
    standup = {"kind": "reminder", "subject": "stand up", "cron": "0 9 * * MON-FRI"}

    with TestClient(app) as client:
        client.put("/timers/daily", json=daily, headers=acme)
        client.put("/timers/daily", json={**standup, "timezone": "Asia/Tokyo"}, headers=bolt)
        client.put("/timers/standup", json=standup, headers=acme)
        refused = client.put("/timers/daily", json={**daily, "cron": "61 * * * *"}, headers=acme)
        print("refused:", refused.status_code, refused.json()["detail"])

    with TestClient(app) as client:
        for headers in (acme, bolt):
            for timer in client.get("/timers", headers=headers).json():
                print(timer["id"], timer["schedule"], timer["timezone"], timer["state"])
        client.post("/timers/daily/trigger", headers=acme)
        while not (rows := client.get("/timers/daily/history", headers=acme).json()):
            pass
        print("history of acme.daily:", [row["status"] for row in rows])
        print("that of bolt.daily:", client.get("/timers/daily/history", headers=bolt).json())
        for name in ("standup", "nothing"):
            answer = client.delete(f"/timers/{name}", headers=bolt)
            print(f"bolt deletes {name}:", answer.status_code, answer.text)
        print("acme deletes standup:", client.delete("/timers/standup", headers=acme).status_code)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("KRON_HOME", scratch)
        main()
