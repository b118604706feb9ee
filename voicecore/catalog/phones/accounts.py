"""Owns the accounts at phone providers that `voicecore dev` makes up for its run.

Each provider's `account` module fills in what is missing, in the form its real values have. The
real provider refuses such credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from voicecore.catalog.phones import PHONES

SIGNING_KEY = "SIGNING_KEY"
"""Name of the key that a provider signs with and never shows. A session server must not get it:
anyone with this key can call as the provider."""

AccountMaker = Callable[[Mapping[str, str]], dict[str, str]]
"""Returns the variables it is given, and made-up values for those that are missing."""


def phone_accounts(providers: Iterable[str], env: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the variables of each provider: those in `env`, the missing ones made up."""
    return {name: _account(name, env) for name in providers}


def missing_variables(provider: str, env: Mapping[str, str], *, to_call: bool) -> list[str]:
    """Return the variables of a real account that are not in `env`; also those of outbound calls.

    A project that names another address of the provider's API has what that one needs.
    """
    if env.get(f"{provider.upper()}_API_URL"):
        return []
    phone = PHONES[provider]
    calling = (*phone.calling, "PHONE_NUMBERS") if to_call else ()
    return [name for name in (*phone.secrets, *calling) if not env.get(name)]


def _account(provider: str, env: Mapping[str, str]) -> dict[str, str]:
    phone = PHONES[provider]
    own = (*phone.secrets, *phone.calling)
    shared = (f"{provider.upper()}_API_URL", "PHONE_NUMBERS", "PUBLIC_URL")
    known = {name: env[name] for name in (*own, *shared) if env.get(name)}
    return phone.account_maker()(known)
