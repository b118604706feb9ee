"""Measure the session server's cold start on Lambda: from process start to the first answer.

`python -m benchmarks.coldstart` prints CPU seconds and memory, and how long a caller waits at
several memory sizes: Lambda gives a process CPU in proportion to its memory.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.server.cold_start import first_start
from tests.server.serving import KEY, make_server

ROUNDS = 9
CPU_AT = 1769
"""Memory in MB at which a function has one whole vCPU (Lambda quotas)."""
SIZES = (512, 1024, 1769)
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:support-line-AbCdEf"


ANSWERS = {
    "secretsmanager.GetSecretValue": {"SecretString": json.dumps({"SESSION_API_KEY": KEY})},
    "DynamoDB_20120810.UpdateItem": {"Attributes": {"requests": {"N": "1"}}},
    "DynamoDB_20120810.PutItem": {},
    "DynamoDB_20120810.Query": {"Items": [], "Count": 0},
}
"""The answers to the first /start of a deployed server."""


class Services(BaseHTTPRequestHandler):
    """Answers as Secrets Manager and DynamoDB do."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(ANSWERS[self.headers["X-Amz-Target"]]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def services() -> Iterator[dict[str, str]]:
    """Yield the settings of a deployed function: its keys and its sessions are in AWS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Services) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield {
            "AWS_ENDPOINT_URL": url,
            "SESSION_SECRET_ARN": SECRET,
            "SESSION_STORE": "dynamodb://support-line",
        }
        server.shutdown()


def measure(server: Path, settings: dict[str, str]) -> tuple[float, float]:
    """Return CPU seconds and megabytes."""
    first_start(server, **settings)  # writes the bytecode, which the image contains
    starts = [first_start(server, **settings) for _ in range(ROUNDS)]
    assert {start.status for start in starts} == {200}
    return (
        statistics.median(start.cpu_seconds for start in starts),
        statistics.median(start.megabytes for start in starts),
    )


def main() -> None:
    waits = " | ".join(f"wait at {size} MB" for size in SIZES)
    print(f"| until the first `/start` is answered | CPU | memory | {waits} |")
    print("|---|---|---|" + "---|" * len(SIZES))
    with tempfile.TemporaryDirectory() as folder, services() as deployed:
        server = make_server(Path(folder))
        for title, settings in (("keys and sessions in memory", {}), ("in AWS", deployed)):
            cpu, memory = measure(server, settings)
            waits = " | ".join(f"{cpu / min(1, size / CPU_AT):.1f} s" for size in SIZES)
            print(f"| {title} | {cpu:.2f} s | {memory:.0f} MB | {waits} |")


if __name__ == "__main__":
    main()
