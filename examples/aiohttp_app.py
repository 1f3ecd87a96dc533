"""aiohttp: the timers as a cleanup context of the application.

You see a page that counts how often a timer has run, asked twice. To serve it for real:
`python -m aiohttp.web aiohttp_app:make_app` in this directory.

    KRON_HOME=DATA_DIR python examples/aiohttp_app.py
"""

import asyncio
import os
import tempfile

from aiohttp import web

import kron


async def refresh():
    print("refresh")


async def carry_timers(app):
    kron.schedule("refresh", refresh, every="400ms")
    await kron.astart()  # on the application's own event loop; KRON_HOME, else .kron
    yield
    await kron.ashutdown()


async def index(request):
    timer = await kron.astatus("refresh")
    return web.json_response({"runs": timer["succeeded"], "next": timer["next_run_at"]})


def make_app(argv=()):
    app = web.Application()
    app.cleanup_ctx.append(carry_timers)
    app.router.add_get("/", index)
    return app


async def main():
    from aiohttp.test_utils import TestClient, TestServer

    async with TestClient(TestServer(make_app())) as client:
        for _ in range(2):
            await asyncio.sleep(1)
            response = await client.get("/")
            print(await response.json())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("KRON_HOME", scratch)
        asyncio.run(main())
