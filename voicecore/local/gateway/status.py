"""Owns reading the status of a running local runtime; only its credentials give access to it."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import aiohttp
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from voicecore.local.gateway.request import STATUS_PATH
from voicecore.local.gateway.sigv4 import SERVICE, LocalCredentials
from voicecore.local.processes.dev_state import DevState

_SECONDS = 3.0


async def status_of(running: DevState) -> dict[str, Any] | None:
    """Return the status of a running `voicecore dev`; None if it does not answer."""
    pair = LocalCredentials(running.access_key_id, running.secret_access_key)
    return await read_status(running.runtime, pair, running.region)


async def read_status(
    runtime: str, credentials: LocalCredentials, region: str
) -> dict[str, Any] | None:
    """Return the status of the runtime at the URL `runtime`; None if it does not answer."""
    request = AWSRequest("GET", url=f"{runtime}{STATUS_PATH}")
    pair = Credentials(credentials.access_key_id, credentials.secret_access_key)
    SigV4Auth(pair, SERVICE, region).add_auth(request)
    headers = {str(name): str(value) for name, value in request.headers.items()}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as http,
            http.get(str(request.url), headers=headers) as response,
        ):
            return await response.json() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None
