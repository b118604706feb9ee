"""The record of a TURN source: all that commands know of where TURN credentials come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TurnSource:
    """A source of TURN credentials, and the variables of the agent that configure it."""

    name: str
    title: str
    needs: tuple[str, ...]
    """Variables that must be set."""
    credentials_hint: str
    """What to check if the source, or its servers, refuse the credentials."""
    urls: str = ""
    """Variable that lists the servers; empty if the source names them."""
    udp_port: int = 0
    """UDP port of its relays; 0 if the user's URLs name it."""
    example: tuple[str, ...] = ()
    """Lines for .env.example; none if `deploy` sets the variables."""

    @property
    def template(self) -> Path:
        """Folder of the files that it adds to a project."""
        return Path(__file__).with_name(self.name) / "template"
