"""New accounts at the providers, with values in the form of each provider."""

from __future__ import annotations

from voicecore.catalog.phones.accounts import phone_accounts

NUMBER = "+12025550100"
"""Phone number of each account; it is fictitious."""


def account(provider: str) -> dict[str, str]:
    """Return the variables of a new account; SIGNING_KEY is known to the provider only."""
    return phone_accounts([provider], {"PHONE_NUMBERS": NUMBER})[provider]
