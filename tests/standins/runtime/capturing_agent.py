"""A small agent that captures at its start what a snapshot must not hold; a payload uses it."""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time

import boto3
import numpy as np
from aiohttp import web

MODE = os.environ.get("MODE", "")
STARTED = time.monotonic()
OWN = random.Random()
SEEDED = random.Random(7)
RNG = np.random.default_rng()
KEYS = boto3.Session(aws_access_key_id="AKIA", aws_secret_access_key="start").get_credentials()
SECRET = KEYS.get_frozen_credentials().secret_key
SIGNING_CLIENT = boto3.client("sts", region_name="us-east-1", aws_access_key_id="AKIA",
                              aws_secret_access_key="start")  # fmt: skip
ONE, OTHER = socket.socketpair()
UDP = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
UDP.bind(("127.0.0.1", 0))

if MODE == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True, name="poller").start()
if MODE == "child":
    subprocess.Popen(["sleep", "600"])


def reseed():
    random.seed()
    np.random.seed()
    return random.random()


def sign():
    url = SIGNING_CLIENT.generate_presigned_url("get_caller_identity")
    return "Signature" in url


USES = {
    "random": lambda: random.randint(0, 10**9),
    "random instance": lambda: OWN.random(),
    "random seeded on purpose": lambda: SEEDED.random(),
    "random reseeded": reseed,
    "system random": lambda: random.SystemRandom().random(),
    "numpy": lambda: float(np.random.rand()),
    "numpy generator": lambda: float(RNG.random()),
    "secret": lambda: f"AWS4{SECRET}",
    "client": sign,
    "fresh secret": lambda: f"AWS4{KEYS.secret_key}",
    "clock": lambda: time.monotonic() - STARTED,
    "udp port": lambda: UDP.getsockname()[1],
    "pid": os.getpid,
    "port": lambda: os.environ["PORT"],
}


async def ping(request):
    return web.json_response({"status": "Healthy"})


async def invocations(request):
    payload = await request.json()
    use = payload["use"]
    if use == "thread pool":
        return web.json_response(await asyncio.to_thread(lambda: threading.current_thread().name))
    if use == "socket pair":
        ONE.send(payload["text"].encode())
        return web.json_response(OTHER.recv(100).decode())
    try:
        return web.json_response(USES[use]())
    except Exception as error:
        return web.json_response(f"{type(error).__name__}: {error}")


async def warm_up(app):
    await asyncio.to_thread(time.sleep, 0)  # a pool that has a thread, as after a look-up of a name


print(json.dumps({"event": "imported"}), flush=True)
app = web.Application()
app.on_startup.append(warm_up)
app.router.add_get("/ping", ping)
app.router.add_post("/invocations", invocations)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, shutdown_timeout=0.1)
sys.exit(0)
