"""Owns why a server gives no answer: its certificate, the proxy on the way, or the server."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import aiohttp

from voicecore.console.network_env import proxy_advice, trust_advice
from voicecore.console.proxies import LOOPBACK, proxy_for


def why_no_answer(error: Exception, url: str, advice: str) -> tuple[str, str]:
    """Return the reason of a failed request to `url`, and what to do.

    `advice` is for a server that is itself at fault.
    """
    try:
        host, proxy = urlsplit(url).hostname or "", proxy_for(url)
    except ValueError as malformed:
        return str(malformed), advice
    through = proxy_advice(os.environ, host)
    # Without the login that it may have.
    named = (proxy or "").rpartition("@")[2].rpartition("//")[2]
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            reason = getattr(cause, "verify_message", "") or str(cause)
            return f"its certificate is not trusted: {reason}", trust_advice(os.environ)
        case aiohttp.ClientHttpProxyError(status=status, message=message):
            return f"the proxy {named} refuses it with HTTP {status} {message}".strip(), through
        case aiohttp.InvalidURL() if proxy and named in str(error.url):
            return f"{named!r} is not the address of a proxy", through
        case aiohttp.ClientConnectorError() if proxy and error.host == urlsplit(proxy).hostname:
            return f"the proxy {named} gives no connection: {error.strerror}", through
        case aiohttp.ClientConnectorError() if not proxy and host not in LOOPBACK:
            return str(error), f"{advice}\n{through}"
        case TimeoutError() if not str(error):
            return "no answer in time", advice
        case _:
            return str(error) or type(error).__name__, advice
