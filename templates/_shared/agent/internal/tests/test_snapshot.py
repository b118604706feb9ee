"""Sessions that continue one snapshot share nothing that is random, timed, expiring or open."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .running_agent import AGENT

if not hasattr(os, "fork"):
    pytest.skip("no process can be copied here", allow_module_level=True)


@contextmanager
def aws() -> Iterator[tuple[dict[str, str], list[str]]]:
    """Run a stand-in of AWS; yield the environment to use it, and who has asked for the secret.

    It gives new credentials and other values of the secret each time.
    """
    given: list[str] = []
    askers: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the role's credentials
            given.append(f"CREDENTIALS{len(given)}")
            expires = {"Token": "token", "Expiration": "2099-01-01T00:00:00Z"}
            self.reply({"AccessKeyId": given[-1], "SecretAccessKey": "secret", **expires})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if "GetSecretValue" not in self.headers.get("X-Amz-Target", ""):
                self.send_error(404)
                return
            signed = re.search(r"Credential=(\w+)/", self.headers["Authorization"])
            askers.append(signed[1] if signed else "")
            names = ("A_KEY", "DEEPGRAM_API_KEY", "CARTESIA_API_KEY")
            values = dict.fromkeys(names, f"value {len(askers)}")
            self.reply({"SecretString": json.dumps(values)})

        def reply(self, document: dict[str, str]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        yield (
            own
            | {
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
                "AWS_ENDPOINT_URL": url,
                "AGENT_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:agent",
                "TURN_CHANNEL_PREFIX": "channel",
                "TURN_CHANNEL_COUNT": "1",
            },
            askers,
        )
        server.shutdown()


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    """Reports of the snapshot, and of two sessions that continue it."""
    with aws() as (environment, askers):
        done = subprocess.run(
            [sys.executable, "-m", "internal.tests.two_sessions"],
            cwd=AGENT,
            env=environment | {"AGENTCORE_PLATFORM": "v2"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = [line for line in lines if "key" in line]
    assert len(found) == 3, f"{done.stdout}{done.stderr}"
    for report, asker in zip(found, askers, strict=True):
        report["credentials"] = asker
    return found


def test_snapshot_contains_nothing_of_a_session(reports: list[dict[str, Any]]) -> None:
    """If it fails after a change of bot.py: create that in a function, see session_start.py."""
    assert reports[0]["captured"] == []
    assert reports[0]["threads"] == ["MainThread"]


def test_snapshot_contains_no_key(reports: list[dict[str, Any]]) -> None:
    assert reports[0]["key"] == "A_KEY is read when a session starts"


@pytest.mark.parametrize("what", ["random", "numpy", "uuid", "shared", "key", "credentials"])
def test_sessions_share_nothing(reports: list[dict[str, Any]], what: str) -> None:
    values = [report[what] for report in reports if what in report]
    assert len(set(values)) == len(values)


def test_idle_time_begins_with_the_session(reports: list[dict[str, Any]]) -> None:
    for report in reports[1:]:
        assert all(0 <= idle < 60 for idle in report["idle"])
