"""A small server for tests of ECS tasks: returns its requests and environment, echoes sockets."""

import os
import signal

from aiohttp import web

health_status = 200


async def health(_: web.Request) -> web.Response:
    return web.Response(status=health_status)


async def describe(request: web.Request) -> web.Response:
    print("request for", request.path, flush=True)
    known = {"headers": dict(request.headers), "env": dict(os.environ), "from": request.remote}
    return web.json_response(known | {"path": request.raw_path, "body": await request.text()})


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("voice",))
    await socket.prepare(request)
    await socket.send_str(os.environ["PORT"])
    async for message in socket:
        global health_status
        if message.data == "close":
            await socket.close(code=4001)
        elif message.data == "unhealthy":
            health_status = 500
        elif message.data == "stay":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif message.data == "die":
            os._exit(3)
        elif message.type is web.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    print("closed with", socket.close_code, flush=True)
    return socket


async def refused(_: web.Request) -> web.Response:
    return web.Response(status=401)


def on_sigterm(*_: object) -> None:
    print("told to end", flush=True)
    os._exit(0)


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/echo", echo)
    app.router.add_get("/refused", refused)
    app.router.add_route("*", "/{path:.*}", describe)
    signal.signal(signal.SIGTERM, on_sigterm)
    web.run_app(
        app, host=os.environ["HOST"], port=int(os.environ["PORT"]), print=None,
        handle_signals=False,
    )  # fmt: skip
