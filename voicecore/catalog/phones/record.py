"""The record of a telephone provider: all that commands know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KEYS = "<api key>:<api token>"
"""In the place of a login: no address with a true one is ever shown."""


@dataclass(frozen=True)
class Field:
    """A field at a provider that takes an address of the session server."""

    title: str
    """As the provider names it."""
    path: str = ""
    """Behind /phone/<provider>."""
    method: str = "POST"
    """By which the provider is to ask there; empty where nobody can choose."""
    login: str = ""
    """In the address, where that is all by which the provider shows who it is."""


@dataclass(frozen=True)
class Phone:
    """A telephone provider, with what a server needs of it."""

    name: str
    title: str
    secrets: tuple[str, ...]
    """The environment variables that a server cannot do without."""
    calling: tuple[str, ...] = ()
    """Those that it needs besides, to call somebody."""
    encoding: str = "audio/x-mulaw"
    """Of the sound on its media socket."""
    rate: int = 8000
    """Samples a second."""
    proof: str = ""
    """How its requests are known to be its own."""
    place: str = ""
    """Where at the provider the fields are."""
    fields: tuple[Field, ...] = ()
    also: str = ""
    """What to choose beside them."""

    @property
    def template(self) -> Path:
        """Folder of the files that it adds to a project."""
        return Path(__file__).with_name(self.name) / "template"

    def webhook(self, origin: str) -> str:
        """Where it asks a server at this origin what to do with a call."""
        return f"{origin.rstrip('/')}/phone/{self.name}"

    def typed(self, origin: str) -> tuple[tuple[str, str, str], ...]:
        """What to type at the provider: field, address and method, for a server at this origin."""
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
