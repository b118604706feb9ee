"""Owns the registry of transports: one folder per way that audio reaches the agent.

A folder holds the transport's record and the files it adds to a project (`template/`); the record
names the module of `voicecore talk` that speaks it. No command knows a transport by name.
"""

from voicecore.catalog.transports.daily import TRANSPORT as DAILY
from voicecore.catalog.transports.record import Transport
from voicecore.catalog.transports.telephony import TRANSPORT as TELEPHONY
from voicecore.catalog.transports.webrtc import TRANSPORT as WEBRTC
from voicecore.catalog.transports.websocket import TRANSPORT as WEBSOCKET

TRANSPORTS: dict[str, Transport] = {
    transport.name: transport for transport in (WEBSOCKET, WEBRTC, TELEPHONY, DAILY)
}
"""Transports by name, in the order in which they are offered."""

DEFAULT = WEBSOCKET.name
"""Transport that `init` suggests."""
BY_PHONE = TELEPHONY.name
"""Transport of callers by telephone; the table of its settings in voicecore.toml has its name."""
