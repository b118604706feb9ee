"""Requests that reach no server are explained by what stands between, and what to type."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from tests.standins.inspecting_proxy import InspectingProxy, inspecting_proxy
from voicecore.console.network_env import CA_VARIABLES
from voicecore.console.proxies import proxy_for
from voicecore.talk.no_answer import why_no_answer

ADVICE = "Start it."
NO_PROXY = "export NO_PROXY=calls.example"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectingProxy]:
    routes = {"calls.example": "http://127.0.0.1:9"}
    with inspecting_proxy(tmp_path_factory.mktemp("proxy"), routes) as proxy:
        yield proxy


async def explained(url: str) -> tuple[str, str]:
    try:
        async with aiohttp.ClientSession() as http, http.get(url, proxy=proxy_for(url)):
            pytest.fail("there was an answer")
    except (aiohttp.ClientError, ValueError) as error:
        return why_no_answer(error, url, ADVICE)


@pytest.mark.parametrize(
    ("through", "url", "reason", "advice"),
    [
        ("http://{}", "https://calls.example",
         "its certificate is not trusted: self-signed certificate in certificate chain",
         "export SSL_CERT_FILE="),
        ("http://ada:s3cret@{}", "https://other.example",
         "the proxy {} refuses it with HTTP 403 Forbidden", "export NO_PROXY=other.example"),
        ("http://ada:s3cret@127.0.0.1:9", "https://calls.example",
         "the proxy 127.0.0.1:9 gives no connection: Connect call failed", NO_PROXY),
        ("http://no-proxy.invalid:3128", "https://calls.example",
         "the proxy no-proxy.invalid:3128 gives no connection: ", NO_PROXY),
        ("ada:s3cret@proxy:port", "https://calls.example",
         "'proxy:port' is not the address of a proxy", NO_PROXY),
        ("", "https://calls.invalid", "Cannot connect to host calls.invalid:443",
         f"{ADVICE}\nBehind a proxy, name it:  export HTTPS_PROXY="),
        ("http://{}", "http://127.0.0.1:9", "Cannot connect to host 127.0.0.1:9", ADVICE),
    ],
)  # fmt: skip
def test_reason_and_advice(
    proxy: InspectingProxy,
    monkeypatch: pytest.MonkeyPatch,
    through: str,
    url: str,
    reason: str,
    advice: str,
) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy", "NO_PROXY", *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    address = proxy.url.rpartition("/")[2]
    monkeypatch.setenv("HTTPS_PROXY", through.format(address))
    found = asyncio.run(explained(url))
    assert found[0].startswith(reason.format(address))
    assert advice in found[1]
    assert (ADVICE in found[1]) == (ADVICE in advice)
    assert "s3cret" not in "".join(found)
