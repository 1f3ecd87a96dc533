"""FastAPI: the timers live and die with the application, and have routes of their own.

You see a client list the timers, trigger one, and read its history. To serve it for real:
`uvicorn fastapi_lifespan:app` in this directory.

    KRON_HOME=DATA_DIR python examples/fastapi_lifespan.py
"""

import os
import tempfile
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

import kron


@kron.schedule("digest", cron="0 8 * * *", timezone="Europe/Berlin")
async def digest(context):
    print("digest:", "by hand" if context["manual"] else context["scheduled_at"])


@asynccontextmanager
async def lifespan(app):
    await kron.astart()  # on the application's own event loop; KRON_HOME, else .kron
    try:
        yield
    finally:
        await kron.ashutdown()


app = FastAPI(lifespan=lifespan)


@app.get("/timers")
async def timers():
    return await kron.alist()


@app.post("/timers/{name}/trigger")
async def trigger(name: str):
    try:
        return {"run_id": await kron.atrigger(name)}
    except kron.UnknownTimer as exc:
        raise HTTPException(404, str(exc)) from exc


@app.get("/timers/{name}/history")
async def history(name: str):
    return await kron.ahistory(name)


def main():
    from fastapi.testclient import TestClient

    with TestClient(app) as client:
        for timer in client.get("/timers").json():
            print(timer["id"], timer["state"], timer["schedule"], timer["next_run_at"])
        print("triggered", client.post("/timers/digest/trigger").json()["run_id"])
        while not (rows := client.get("/timers/digest/history").json()):
            pass
        print("history:", rows[0]["status"], rows[0]["run_id"])
        print("unknown:", client.post("/timers/nobody/trigger").status_code)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("KRON_HOME", scratch)
        main()
