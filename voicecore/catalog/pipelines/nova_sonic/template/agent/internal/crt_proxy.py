"""Owns connections to Nova Sonic through an HTTP proxy, which AWS's client does not support."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from awscrt.aio.http import AIOHttpClientConnectionUnified
from awscrt.http import HttpProxyAuthenticationType, HttpProxyOptions
from smithy_http.aio.crt import AWSCRTHTTPClient


class ProxiedClient(AWSCRTHTTPClient):
    """AWS's HTTP client, through the proxy at this URL."""

    def __init__(self, proxy: str) -> None:
        super().__init__()
        self._proxy = proxy

    async def _build_new_connection(self, url: Any) -> AIOHttpClientConnectionUnified:
        tls = self._tls_ctx.new_connection_options()
        tls.set_server_name(url.host)
        tls.set_alpn_list(["h2"])
        return await AIOHttpClientConnectionUnified.new(
            bootstrap=self._client_bootstrap,
            host_name=url.host,
            port=url.port or 443,
            socket_options=self._socket_options,
            tls_connection_options=tls,
            proxy_options=options_of(self._proxy),
        )

    def __deepcopy__(self, memo: Any) -> ProxiedClient:
        return self  # the SDK copies its configuration for every request


def options_of(proxy: str) -> HttpProxyOptions:
    """Return what AWS's client needs to know of a proxy, and of the login in its URL."""
    parts = urlsplit(proxy)
    kind = HttpProxyAuthenticationType
    return HttpProxyOptions(
        host_name=parts.hostname or "",
        port=parts.port or 80,
        auth_type=kind.Basic if parts.username else kind.Nothing,
        auth_username=unquote(parts.username or ""),
        auth_password=unquote(parts.password or ""),
    )
