"""Owns the record of a phone provider: everything that commands know about it.

The code that speaks a provider's protocol is loaded late: `--help` needs only the records.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicecore.catalog.phones.accounts import AccountMaker
    from voicecore.catalog.phones.media import MediaProtocol
    from voicecore.catalog.phones.signaling import Signaling

KEYS = "<api key>:<api token>"
"""Placeholder for a login in a URL: a real one is never shown."""
MULAW = "audio/x-mulaw"
"""Encoding of a media stream: 8-bit μ-law (ITU-T G.711)."""
ALAW = "audio/x-alaw"
"""Encoding of a media stream: 8-bit A-law (ITU-T G.711)."""
PCM = "audio/l16"
"""Encoding of a media stream: 16-bit linear PCM, little-endian."""


@dataclass(frozen=True)
class ConsoleField:
    """A field in the provider's console that takes a URL of the session server."""

    title: str
    """Title of the field, as the provider writes it."""
    path: str = ""
    """Path of the URL below /phone/<provider>."""
    method: str = "POST"
    """HTTP method to choose beside the field; empty if the console offers no choice."""
    login: str = ""
    """Login to put into the URL, if that is how the provider proves its identity."""


@dataclass(frozen=True)
class Phone:
    """A phone provider, and what a session server needs to take its calls."""

    name: str
    title: str
    secrets: tuple[str, ...]
    """Environment variables that the session server requires."""
    calling: tuple[str, ...] = ()
    """Environment variables required in addition to place outbound calls."""
    encoding: str = MULAW
    """Encoding of the audio on its media socket: MULAW or PCM."""
    rate: int = 8000
    """Sample rate on its media socket, in samples/s."""
    proof: str = ""
    """Signature or login by which a server recognizes the provider's requests."""
    direct: str = ""
    """Variable that, set to 1, makes the provider dial the agent without the session server."""
    call_id_is_session_id: bool = False
    """True when its call IDs are as long as AgentCore's session IDs; servers use them as such."""
    place: str = ""
    """Location of the fields in the provider's console."""
    fields: tuple[ConsoleField, ...] = ()
    also: str = ""
    """Option to choose beside the fields."""

    @property
    def template(self) -> Path:
        """Folder of the files that this provider adds to a project."""
        return Path(__file__).with_name(self.name) / "template"

    def webhook(self, origin: str) -> str:
        """Return the URL at which the provider asks a server at `origin` what to do with a call."""
        return f"{origin.rstrip('/')}/phone/{self.name}"

    def console_entries(self, origin: str) -> tuple[tuple[str, str, str], ...]:
        """Return what to type in the console for a server at `origin`: title, URL and method."""
        scheme, _, host = origin.partition("://")
        return tuple(
            (
                field.title,
                self.webhook(f"{scheme}://{field.login}{'@' * bool(field.login)}{host}")
                + field.path,
                field.method,
            )
            for field in self.fields
        )

    def account_maker(self) -> AccountMaker:
        """Load the function that makes up an account at this provider."""
        return import_module(f"{__package__}.{self.name}.account").complete

    def signaling(self) -> Signaling:
        """Load this provider's requests to a server about calls."""
        return import_module(f"{__package__}.{self.name}.signaling").SIGNALING

    def media(self) -> MediaProtocol:
        """Load this provider's media stream."""
        return import_module(f"{__package__}.{self.name}.media").MEDIA
