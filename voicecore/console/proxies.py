"""Owns which proxy a request goes through, by HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts of this machine, which no proxy reaches."""


def proxy_for(url: str) -> str | None:
    """Return the proxy for a request or a WebSocket to `url`; None for none.

    aiohttp itself would also send the logins in ~/.netrc, and use no proxy for WebSockets.
    """
    # Imported late: it brings HTTP and mail, which take time to load.
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies().get({"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme))
    if not proxy or host in LOOPBACK or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
