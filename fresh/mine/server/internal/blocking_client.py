"""Owns botocore's clients that run in threads: on Lambda, aiobotocore's would lengthen the start.

keys.py has imported botocore there already.
"""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import Any

CONNECT_SECONDS = 3


class BlockingClient:
    """A client of one AWS service, created at its first request: that takes 0.1 s of CPU."""

    def __init__(self, service: str, region: str, read_seconds: float, connections: int) -> None:
        self._service, self._region = service, region
        self._read_seconds, self._connections = read_seconds, connections
        self._client: Any = None
        self._lock = Lock()

    async def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return AWS's answer. Raises ClientError and BotoCoreError."""
        return await asyncio.to_thread(self._request, operation, parameters)

    def close(self) -> None:
        """Close its connections."""
        if self._client:
            self._client.close()

    def _request(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._client is None:
                self._client = self._create()
        return getattr(self._client, operation)(**parameters)

    def _create(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        config = Config(
            max_pool_connections=self._connections,
            connect_timeout=min(CONNECT_SECONDS, self._read_seconds),
            read_timeout=self._read_seconds,
            # One retry after a transient failure. An agent answers a repeated request only once.
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return Session().create_client(self._service, region_name=self._region, config=config)
