"""Generates what each phone provider needs."""

from __future__ import annotations

from typing import Any

from docs.generators.markdown import listed, table
from docs.generators.projects import options


def phone_providers() -> str:
    """Return what each phone provider needs, and what to type there."""
    return "\n\n".join(_provider(record) for record in options()["providers"])


def _provider(record: dict[str, Any]) -> str:
    title, calling = record["title"], record["calling"]
    outbound = f" For outbound calls also {listed(calling)}." if calling else ""
    fields = (
        (field["title"], f"`{_address(record['name'], field)}`", field["method"])
        for field in record["fields"]
    )
    parts = [
        f"### {title}",
        f"Variables in `server/.env`: {listed(record['secrets'])}.{outbound}",
        f"Proof of origin: {record['proof']}.",
        f"Settings at {title} ({record['place']}):",
        table(("field", "value", "method"), fields),
        f"Also select *{record['also']}*." if record["also"] else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _address(provider: str, field: dict[str, Any]) -> str:
    login = f"{field['login']}@" if field["login"] else ""
    return f"https://{login}phone.example.com/phone/{provider}{field['path']}"
