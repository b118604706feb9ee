"""Owns the cold start of the server on Lambda: a new process that answers its first /start."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.server.serving import ARN, KEY
from tests.standins.server.agentcore import agentcore
from voicecore.local.processes import venv

# As the Lambda runtime client calls the handler; Mangum reads nothing of the context.
_SCRIPT = """
import json, re, sys, time
from internal.lambda_handler import handler
answer = handler(json.loads(sys.argv[1]), None)
# Not ru_maxrss, which begins with the memory of the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({
    "status": answer["statusCode"], "cpu_seconds": time.process_time(),
    "megabytes": peak, "imported": sorted(sys.modules),
}))
"""


@dataclass(frozen=True)
class ColdStart:
    """The CPU time and memory of a process from its start until its first answer."""

    status: int
    cpu_seconds: float
    megabytes: float
    imported: list[str]


def first_start(folder: Path, transport: str = "websocket", **settings: str) -> ColdStart:
    """Return what the server in `folder` uses until its first /start is answered."""
    body = json.dumps({"transport": transport})
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    event = {
        "version": "2.0",
        "rawPath": "/start",
        "rawQueryString": "",
        "headers": {**headers, "host": "abc.lambda-url.us-east-1.on.aws"},
        "requestContext": {"http": {"method": "POST", "path": "/start", "sourceIp": "192.0.2.1"}},
        "body": body,
        "isBase64Encoded": False,
    }
    env = {
        "PATH": os.environ["PATH"],
        "SESSION_API_KEY": KEY,
        "AGENT_RUNTIME_ARN": ARN,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_SESSION_TOKEN": "example",
        "AWS_LAMBDA_FUNCTION_NAME": "support-line-server",
        **settings,
    }
    with agentcore() as aws:
        output = subprocess.run(
            [venv.python_of(folder), "-c", _SCRIPT, json.dumps(event)],
            cwd=folder, env={"AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": aws.url} | env,
            stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
    return ColdStart(**json.loads(output.stdout.splitlines()[-1]))
