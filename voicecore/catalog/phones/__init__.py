"""Owns the registry of phone providers: one folder per provider.

A folder holds all there is about one provider: its record (`__init__`), the account that
`voicecore dev` makes up (`account`), its protocol as the test telephone speaks it (`signaling`,
`media`), and the files it adds to a project (`template/`). No command knows a provider by name.
"""

from voicecore.catalog.phones.exotel import PHONE as EXOTEL
from voicecore.catalog.phones.plivo import PHONE as PLIVO
from voicecore.catalog.phones.record import Phone
from voicecore.catalog.phones.telnyx import PHONE as TELNYX
from voicecore.catalog.phones.twilio import PHONE as TWILIO
from voicecore.catalog.phones.vonage import PHONE as VONAGE

PHONES: dict[str, Phone] = {phone.name: phone for phone in (TWILIO, TELNYX, PLIVO, EXOTEL, VONAGE)}
"""Phone providers by name, in the order in which they are offered."""

DEFAULT = TWILIO.name
"""Provider that `init` suggests."""
