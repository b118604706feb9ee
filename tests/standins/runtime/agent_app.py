"""A small agent with the AgentCore contract; MODE and payloads select its misbehavior."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time

from aiohttp import web

MODE = os.environ.get("MODE", "")
GREETING = "first version"
STARTED = time.time()

print(json.dumps({"event": "imported", "mode": MODE}))
if MODE == "crash":
    __import__("a_module_that_is_not_there")  # fails on purpose
if MODE == "grandchild":
    subprocess.Popen(["sleep", "600"])
if MODE == "deaf":
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)


async def ping(request: web.Request) -> web.Response:
    if MODE == "silent":
        await asyncio.sleep(60)
    if MODE == "stuck" and request.app["state"].get("stuck"):
        await asyncio.sleep(60)
    stamps = {
        "busy": int(STARTED),
        "busy-text": "2026-11-22T12:00:00Z",
        "stamp-now": int(time.time()),
    }
    answer = {"status": "HealthyBusy" if MODE.startswith("busy") else "Healthy"}
    if MODE == "healthy":
        answer = {"status": "healthy"}
    if MODE in stamps:
        answer["time_of_last_update"] = stamps[MODE]
    return web.json_response(answer)


async def invocations(request: web.Request) -> web.StreamResponse:
    payload = await request.json()
    action = payload.get("do", "echo")
    if action == "fail":
        return web.json_response({"error": "no such tool"}, status=500)
    if action == "die":
        print('Traceback (most recent call last):\n  File "x"\nRuntimeError: out of luck')
        sys.stdout.flush()
        os._exit(3)
    if action == "stick":
        request.app["state"]["stuck"] = True
    if action == "wait":
        await asyncio.sleep(payload["seconds"])
    if action == "udp":
        return web.json_response({"udp": send_udp(payload["host"])})
    if action == "stream":
        return await stream(request, payload)
    return web.json_response(
        {
            "payload": payload,
            "greeting": GREETING,
            "pid": os.getpid(),
            "headers": {name.lower(): value for name, value in request.headers.items()},
        }
    )


def send_udp(host: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"stun", (host, 3478))
        except OSError as error:
            return type(error).__name__
    return "sent"


async def stream(request: web.Request, payload: dict) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(payload["events"]):
        await response.write(f"data: {number}\n\n".encode())
        await asyncio.sleep(payload.get("pause", 0))
    return response


async def websocket(request: web.Request) -> web.StreamResponse:
    if MODE == "no-ws":
        return web.Response(status=403, text="unauthorized")
    if MODE == "slow-ws":
        print("slowly", flush=True)
        await asyncio.sleep(0.5)
    caller = web.WebSocketResponse(max_msg_size=0)
    await caller.prepare(request)
    async for message in caller:
        if message.type is web.WSMsgType.BINARY:
            await caller.send_bytes(message.data)
            continue
        command, _, argument = message.data.partition(" ")
        if command == "headers":
            headers = {name.lower(): value for name, value in request.headers.items()}
            await caller.send_str(json.dumps(headers))
        elif command == "pid":
            await caller.send_str(str(os.getpid()))
        elif command == "say":
            print(argument)
            await caller.send_str(argument)
        elif command == "close":
            await caller.close(code=int(argument), message=b"as asked")
        elif command == "big":
            await caller.send_bytes(bytes(int(argument)))
        elif command == "flood":
            await flood(caller, int(argument))
        elif command == "die":
            os._exit(4)
    return caller


async def card(request: web.Request) -> web.Response:
    return web.json_response({"name": "my agent"})


async def flood(socket: web.WebSocketResponse, frames: int) -> None:
    for sent in range(frames):
        await socket.send_bytes(bytes(60_000))
        print(f"sent {sent + 1}")
        await asyncio.sleep(0.005)


app = web.Application()
app["state"] = {}
app.router.add_get("/ping", ping)
app.router.add_post("/invocations", invocations)
app.router.add_get("/ws", websocket)
app.router.add_get("/.well-known/agent-card.json", card)
web.run_app(
    app,
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    print=None,
    shutdown_timeout=0.1,
    handle_signals=MODE != "deaf",  # aiohttp would end on the SIGTERM that this mode ignores
)
