"""Owns the server's settings: environment variables, read once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

PLACEHOLDER = "choose-a-long-random-key"
KEY_CHARACTERS = 32
ARN = r"arn:[\w-]+:bedrock-agentcore:[\w-]+:\d{12}:runtime/[\w-]+"
ENDPOINT = r"[A-Za-z]\w{0,47}"
DISCOVERY = "/.well-known/openid-configuration"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Settings:
    """The settings; .env.example explains each."""

    key: str
    arn: str
    region: str
    endpoint: str = "DEFAULT"
    """Endpoint of the runtime; AWS's own, DEFAULT, always reaches the newest version."""
    discovery_url: str = ""
    audience: str = ""
    store: str = "memory"
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    local_hosts: tuple[str, ...] = ()
    """Names of this server while it serves one developer; empty elsewhere."""
    requests_per_minute: int = 600
    starts_per_minute: int = 60
    starts_per_minute_in_total: int = 400
    """AgentCore starts no more sessions of an endpoint (its quota of new sessions)."""
    sessions_at_once: int = 50
    host: str = "127.0.0.1"
    port: int = 7860


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SystemExit, which lists all mistakes."""
    reader = Reader(environment)
    settings = Settings(
        key=reader.key("SESSION_API_KEY"),
        arn=reader.arn("AGENT_RUNTIME_ARN"),
        region=reader.required("AWS_REGION"),
        endpoint=reader.endpoint("AGENT_ENDPOINT"),
        discovery_url=reader.discovery_url("OIDC_DISCOVERY_URL", "OIDC_AUDIENCE"),
        audience=reader.text("OIDC_AUDIENCE"),
        store=reader.store("SESSION_STORE"),
        trusted_proxies=reader.networks("TRUSTED_PROXIES"),
        allowed_origins=reader.origins("ALLOWED_ORIGINS"),
        local_hosts=reader.values("LOCAL_HOSTS"),
        requests_per_minute=reader.count("REQUESTS_PER_MINUTE", Settings.requests_per_minute),
        starts_per_minute=reader.count("STARTS_PER_MINUTE", Settings.starts_per_minute),
        starts_per_minute_in_total=reader.count(
            "STARTS_PER_MINUTE_IN_TOTAL", Settings.starts_per_minute_in_total
        ),
        sessions_at_once=reader.count("SESSIONS_AT_ONCE", Settings.sessions_at_once),
        host=reader.text("HOST") or Settings.host,
        port=reader.count("PORT", Settings.port, most=65_535),
    )
    reader.finish()
    return settings


def read_key(environment: Mapping[str, str]) -> str:
    """Return the key alone. Raises SystemExit."""
    reader = Reader(environment)
    key = reader.key("SESSION_API_KEY")
    reader.finish()
    return key


class Reader:
    """Reads variables and collects mistakes; a message never contains a value."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.mistakes: list[str] = []

    def finish(self) -> None:
        """Raise SystemExit if there are mistakes."""
        if self.mistakes:
            raise SystemExit("\n".join([*self.mistakes, "See server/.env.example."]))

    def text(self, name: str) -> str:
        return self._environment.get(name, "").strip()

    def required(self, name: str) -> str:
        if not (value := self.text(name)):
            self.mistakes.append(f"{name} is not set.")
        return value

    def key(self, name: str) -> str:
        value = self.required(name)
        if value and (value == PLACEHOLDER or len(value) < KEY_CHARACTERS):
            make = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'
            self.mistakes.append(
                f"{name} must have at least {KEY_CHARACTERS} random characters. Make one:  {make}"
            )
        return value

    def arn(self, name: str) -> str:
        value = self.required(name)
        if value and not re.fullmatch(ARN, value):
            example = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/..."
            self.mistakes.append(f"{name} must be the ARN of a runtime, like {example}")
        return value

    def endpoint(self, name: str) -> str:
        value = self.text(name) or Settings.endpoint
        if not re.fullmatch(ENDPOINT, value):
            self.mistakes.append(f"{name} must be the name of a runtime's endpoint, like prod.")
        return value

    def count(self, name: str, default: int, most: int = 999_999_999, least: int = 1) -> int:
        value = self.text(name) or str(default)
        if not value.isascii() or not value.isdecimal() or not least <= int(value[:10]) <= most:
            self.mistakes.append(f"{name} must be a number from {least} to {most}.")
            return default
        return int(value)

    def discovery_url(self, name: str, audience: str) -> str:
        value = self.text(name)
        if bool(value) != bool(self.text(audience)):
            self.mistakes.append(f"Set both {name} and {audience}, or neither.")
        url = urlsplit(value)
        safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
        if value and not (safe and url.path.endswith(DISCOVERY)):
            self.mistakes.append(f"{name} must be a URL like https://issuer.example{DISCOVERY}.")
        return value

    def store(self, name: str) -> str:
        value = self.text(name) or "memory"
        if value != "memory" and not re.fullmatch(r"rediss?://.+|dynamodb://[\w.-]{3,255}", value):
            self.mistakes.append(
                f"{name} must be memory, a URL like redis://host:6379/0, or dynamodb://<table>."
            )
        return value

    def networks(self, name: str) -> tuple[str, ...]:
        values = self.values(name)
        for value in values:
            try:
                ipaddress.ip_network(value)
            except ValueError:
                self.mistakes.append(f"{name} must list addresses or networks like 10.0.0.0/16.")
        return values

    def origins(self, name: str) -> tuple[str, ...]:
        values = self.values(name)
        for value in values:
            url = urlsplit(value)
            if url.scheme not in ("http", "https") or value != f"{url.scheme}://{url.netloc}":
                self.mistakes.append(f"{name} must list origins like https://shop.example.")
        return values

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())
