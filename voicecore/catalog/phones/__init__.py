"""The registry of telephone providers: one folder for each that can carry calls to an agent.

A folder holds the provider's record and its templates; no command knows a provider by name.
"""

from voicecore.catalog.phones.exotel import PHONE as EXOTEL
from voicecore.catalog.phones.plivo import PHONE as PLIVO
from voicecore.catalog.phones.record import Phone
from voicecore.catalog.phones.telnyx import PHONE as TELNYX
from voicecore.catalog.phones.twilio import PHONE as TWILIO
from voicecore.catalog.phones.vonage import PHONE as VONAGE

PHONES: dict[str, Phone] = {phone.name: phone for phone in (TWILIO, TELNYX, PLIVO, EXOTEL, VONAGE)}
"""Telephone providers by name, in the order in which they are offered."""

DEFAULT = TWILIO.name
"""The provider that `init` suggests."""
