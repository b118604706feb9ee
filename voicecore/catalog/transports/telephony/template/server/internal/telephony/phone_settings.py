"""Owns the settings of phone calls: environment variables, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..api_errors import ApiError
from ..settings import LOOPBACK, Reader
from . import providers
from .provider import Provider, e164

# AgentCore ends every stream after 60 minutes.
STREAM_SECONDS = 3600
# For open calls at SIGTERM. With the apology to calls that are left, it stays within the 120 s
# after which AWS Fargate, and compose.yaml, kill the process.
DRAIN_SECONDS = 90


@dataclass(frozen=True)
class PhoneSettings:
    """The settings; .env.example explains each."""

    providers: dict[str, Provider]
    numbers: tuple[str, ...]
    """Numbers that are served, and called from; empty: all that the providers send."""
    public_url: str
    """Origin where providers reach this server: a request's own Host is not to be trusted."""
    vonage_direct: bool
    stream_seconds: float
    drain_seconds: int


def read(environment: Mapping[str, str]) -> PhoneSettings:
    """Return the settings. Raises SystemExit, which lists all mistakes."""
    reader = Reader(environment)
    numbers: list[str] = []
    for text in filter(None, (n.strip() for n in reader.text("PHONE_NUMBERS").split(","))):
        try:
            numbers.append(e164(text))
        except ApiError:
            reader.mistakes.append("PHONE_NUMBERS must list numbers like +14155550100.")
    public = reader.required("PUBLIC_URL").rstrip("/")
    if public and not _is_origin(public):
        reader.mistakes.append("PUBLIC_URL must be an origin like https://phone.example.")
    settings = PhoneSettings(
        providers.read(reader),
        tuple(numbers),
        public,
        reader.text("VONAGE_DIRECT") == "1",
        _seconds(reader, "STREAM_SECONDS", STREAM_SECONDS),
        reader.count("DRAIN_SECONDS", DRAIN_SECONDS, least=0),
    )
    reader.finish()
    return settings


def _is_origin(text: str) -> bool:
    """Return True for the origin of an HTTPS server, or of one on this machine."""
    try:
        url = urlsplit(text)
        valid = bool(url.hostname) and url.port != 0
    except ValueError:  # of the host or the port
        return False
    safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    return valid and safe and text == f"{url.scheme}://{url.netloc}"


def _seconds(reader: Reader, name: str, default: float) -> float:
    try:
        return float(reader.text(name) or default)
    except ValueError:
        reader.mistakes.append(f"{name} must be a number of seconds.")
        return default
