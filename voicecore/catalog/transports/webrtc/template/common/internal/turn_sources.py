"""Where TURN credentials come from: Amazon's relays, others', or your own.

The agent and the session server each ask for credentials of their own, anew for every call.
TURN_SOURCE names the sources, in order; unset, all are used whose variables are set.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import hmac
import json
import os
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SECONDS = 2.5  # for a source to answer

# For as long as a session may live: these providers cut a call off when its credentials expire.
SESSION_SECONDS = 8 * 3600
# A relay of one's own does not, so a stolen password is soon worth nothing.
PAIR_SECONDS = 300

CLOUDFLARE = "https://rtc.live.cloudflare.com/v1/turn/keys/{}/credentials/generate-ice-servers"
TWILIO = "https://api.twilio.com/2010-04-01/Accounts/{}/Tokens.json"

# RFC 7065; RFC 7064 has the same for stun.
URL = re.compile(r"(stuns?|turns?):([\w.-]+|\[[\da-fA-F:]+\])(:\d{1,5})?(\?transport=(udp|tcp))?")

# What KVS answers when one channel is asked more than 5 times a second.
BUSY = ("ClientLimitExceededException", "ThrottlingException", "LimitExceededException")
# What AWS answers to a signature that this machine's clock has dated wrongly.
CLOCK = ("Signature expired", "Signature not yet current")
CHANNELS_TRIED = 3

Environment = Mapping[str, str]


class NoTurn(Exception):
    """A source gives no credentials; the message says why, and nothing that is secret."""


@dataclass(frozen=True)
class Server:
    """A TURN server, with credentials that open it for a while."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


@dataclass(frozen=True)
class Source:
    """Who gives credentials, and the variables that make it usable."""

    name: str
    needs: tuple[str, ...]
    ask: Callable[[Environment], list[Server]]
    """Blocks for some seconds at most. Raises NoTurn and what its library raises."""

    async def servers(self, environment: Environment) -> list[Server]:
        """Servers with fresh credentials. Raises NoTurn."""
        if missing := [name for name in self.needs if not environment.get(name)]:
            raise NoTurn(f"{self.name} needs {' and '.join(missing)}")
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.to_thread(self.ask, environment)
        except TimeoutError:
            raise NoTurn(f"{self.name} did not answer within {SECONDS:g} s") from None
        except urllib.error.HTTPError as error:
            raise NoTurn(f"{self.name} refused: {error.code} {error.reason}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoTurn(f"{self.name} did not answer as expected: {error!r}") from error


def kvs(environment: Environment) -> list[Server]:
    """Kinesis Video Streams, by one of the channels that were made when the agent was deployed."""
    from botocore.exceptions import BotoCoreError, ClientError

    prefix, count = environment["TURN_CHANNEL_PREFIX"], int(environment["TURN_CHANNEL_COUNT"])
    code = ""
    for number in random.sample(range(1, count + 1), min(count, CHANNELS_TRIED)):
        try:
            return ask_channel(environment.get("AWS_REGION", ""), f"{prefix}{number}")
        except ClientError as error:
            refusal = error.response.get("Error", {})
            code = refusal.get("Code", "unknown")
            if str(refusal.get("Message")).startswith(CLOCK):
                code += ", for this machine's clock is wrong"
            if code not in BUSY:
                break
        except BotoCoreError as error:
            raise NoTurn(f"kvs cannot be reached: {type(error).__name__}") from error
    raise NoTurn(f"kvs refused: {code}")


def ask_channel(region: str, name: str) -> list[Server]:
    """Servers with credentials of this channel. Raises botocore's errors."""
    arn, endpoint = find_channel(region, name)
    answer = client(region, "kinesis-video-signaling", endpoint).get_ice_server_config(
        ChannelARN=arn, Service="TURN"
    )
    return [
        Server(tuple(server["Uris"]), server["Username"], server["Password"])
        for server in answer["IceServerList"]
    ]


@functools.cache
def find_channel(region: str, name: str) -> tuple[str, str]:
    """A channel's ARN, and where it answers: neither changes. Raises botocore's errors."""
    video = client(region, "kinesisvideo")
    arn = video.describe_signaling_channel(ChannelName=name)["ChannelInfo"]["ChannelARN"]
    answer = video.get_signaling_channel_endpoint(
        ChannelARN=arn,
        SingleMasterChannelEndpointConfiguration={"Protocols": ["HTTPS"], "Role": "MASTER"},
    )
    return arn, answer["ResourceEndpointList"][0]["ResourceEndpoint"]


@functools.cache
def client(region: str, service: str, endpoint: str | None = None) -> Any:
    """A client of an AWS service that rather fails than lets a caller wait."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
    session = boto3.Session(region_name=region or None)
    return session.client(service, endpoint_url=endpoint, config=config)


def cloudflare(environment: Environment) -> list[Server]:
    """Cloudflare's TURN, by a key made in its dashboard."""
    key, token = environment["CLOUDFLARE_TURN_KEY_ID"], environment["CLOUDFLARE_TURN_API_TOKEN"]
    answer = post(
        CLOUDFLARE.format(key),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        json.dumps({"ttl": SESSION_SECONDS}),
    )
    return list(parse(answer["iceServers"]))


def twilio(environment: Environment) -> list[Server]:
    """Twilio's Network Traversal Service, by the account's own key."""
    sid, token = environment["TWILIO_ACCOUNT_SID"], environment["TWILIO_AUTH_TOKEN"]
    login = base64.b64encode(f"{sid}:{token}".encode()).decode()
    answer = post(TWILIO.format(sid), {"Authorization": f"Basic {login}"}, f"Ttl={SESSION_SECONDS}")
    return list(parse(answer["ice_servers"]))


def post(url: str, headers: dict[str, str], body: str) -> Any:
    """What a web service answers, as JSON. Raises OSError and ValueError."""
    request = urllib.request.Request(url, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def parse(servers: list[dict[str, Any]]) -> Iterator[Server]:
    """Servers as browsers know them, of which some have one URL and some a list."""
    for server in servers:
        urls = server["urls"]
        yield Server(
            (urls,) if isinstance(urls, str) else tuple(urls),
            server.get("username", ""),
            server.get("credential", ""),
        )


def static(environment: Environment) -> list[Server]:
    """URLs with credentials that do not change."""
    return [
        Server(
            urls_in(environment, "ICE_SERVER_URLS"),
            environment.get("ICE_SERVER_USERNAME", ""),
            environment.get("ICE_SERVER_CREDENTIAL", ""),
        )
    ]


def coturn(environment: Environment) -> list[Server]:
    """A coturn of your own with `use-auth-secret`: credentials are made here, for 5 minutes."""
    username = f"{int(time.time()) + PAIR_SECONDS}:caller"
    secret = environment["COTURN_SECRET"].encode()
    mac = hmac.new(secret, username.encode(), hashlib.sha1).digest()
    return [Server(urls_in(environment, "COTURN_URLS"), username, base64.b64encode(mac).decode())]


def urls_in(environment: Environment, variable: str) -> tuple[str, ...]:
    """The URLs that a variable lists. Raises NoTurn when one is none, or none is of TURN."""
    urls = tuple(url.strip() for url in environment[variable].split(",") if url.strip())
    for url in urls:
        if not URL.fullmatch(url):
            raise NoTurn(f"{variable}: {url!r} is no URL like turn:host:3478?transport=udp")
    if not any(url.startswith("turn") for url in urls):
        raise NoTurn(f"{variable} names no turn: or turns: server, and AWS can use no other")
    return urls


SOURCES = {
    source.name: source
    for source in (
        Source("kvs", ("TURN_CHANNEL_PREFIX", "TURN_CHANNEL_COUNT"), kvs),
        Source("cloudflare", ("CLOUDFLARE_TURN_KEY_ID", "CLOUDFLARE_TURN_API_TOKEN"), cloudflare),
        Source("twilio", ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"), twilio),
        Source("coturn", ("COTURN_URLS", "COTURN_SECRET"), coturn),
        Source("static", ("ICE_SERVER_URLS",), static),
    )
}


def configured(environment: Environment = os.environ) -> list[Source]:
    """The sources to ask, in order; none where TURN_SOURCE is none, or nothing is set.

    Raises NoTurn when TURN_SOURCE names one that there is not.
    """
    named = environment.get("TURN_SOURCE", "").replace(",", " ").split()
    if named == ["none"]:
        return []
    if unknown := [name for name in named if name not in SOURCES]:
        known = ", ".join(SOURCES)
        raise NoTurn(f"TURN_SOURCE names {unknown[0]!r}; there are {known} and none")
    return [SOURCES[name] for name in named] or [
        source for source in SOURCES.values() if all(environment.get(v) for v in source.needs)
    ]


def warm_up(environment: Environment = os.environ) -> None:
    """Load what KVS takes, and find a channel: it spares the first caller half a second.

    What goes wrong is told when somebody calls.
    """
    if not all(environment.get(name) for name in SOURCES["kvs"].needs):
        return
    with contextlib.suppress(Exception):
        find_channel(environment.get("AWS_REGION", ""), environment["TURN_CHANNEL_PREFIX"] + "1")


async def for_browser(environment: Environment = os.environ) -> list[Server]:
    """What a client is told: one server, with one URL over UDP and one over TLS.

    A browser holds a relay at each URL it is given, and a KVS channel has room for 50.
    Raises NoTurn, with the reason of every source, if there are some and none gives credentials.
    """
    reasons: list[str] = []
    for source in configured(environment):
        try:
            for server in await source.servers(environment):
                if urls := browser_urls(server.urls):
                    return [Server(urls, server.username, server.credential)]
            reasons.append(f"{source.name} has no URL that a browser can use")
        except NoTurn as error:
            reasons.append(str(error))
    if reasons:
        raise NoTurn("; ".join(reasons))
    return []


def browser_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    """The best URL over UDP and the best over TLS or TCP; at port 443 firewalls ask the least."""
    usable = [url for url in urls if url.startswith("turn") and ":53?" not in f"{url}?"]
    over_tcp = [url for url in usable if url.endswith("=tcp") or re.fullmatch("turns:[^?]*", url)]
    over_udp = [url for url in usable if url.startswith("turn:") and url not in over_tcp]
    over_tcp.sort(key=lambda url: (not url.startswith("turns:"), ":443" not in url))
    return tuple(over_udp[:1] + over_tcp[:1])
