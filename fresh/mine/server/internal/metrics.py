"""Owns the server's metrics, in Prometheus's text format."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

# Up to AgentCore's cold start.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40)


class Metrics:
    """Counts requests by route, sessions by transport, and AWS calls by operation."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "voicecore_request_seconds",
            "Time to answer a request",
            ("route", "method", "status"),
            registry=registry,
            buckets=SECONDS,
        )
        self._aws = Histogram(
            "voicecore_aws_seconds",
            "Time of an AWS call",
            ("operation", "result"),
            registry=registry,
            buckets=SECONDS,
        )
        self._sessions = Counter(
            "voicecore_sessions",
            "Sessions started, resumed and stopped",
            ("event", "transport"),
            registry=registry,
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer; `route` is the pattern of its path."""
        self._requests.labels(route, method, str(status)).observe(seconds)

    def session(self, event: str, transport: str) -> None:
        """Count a session that was started, resumed or stopped."""
        self._sessions.labels(event, transport).inc()

    @contextmanager
    def aws(self, operation: str) -> Iterator[None]:
        """Time an AWS call, and count its result."""
        started, result = time.perf_counter(), "failed"
        try:
            yield
            result = "ok"
        finally:
            self._aws.labels(operation, result).observe(time.perf_counter() - started)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
