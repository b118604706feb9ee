"""The registry of TURN sources: one folder for each place that TURN credentials come from.

A folder holds the source's record and its template: the module by which agent and session server
ask it. No command knows a source by name, but for KVS, which `deploy` sets up.
"""

from collections.abc import Mapping

from voicecore.catalog.turn_sources.cloudflare import SOURCE as CLOUDFLARE
from voicecore.catalog.turn_sources.coturn import SOURCE as COTURN
from voicecore.catalog.turn_sources.kvs import SOURCE as _KVS
from voicecore.catalog.turn_sources.record import TurnSource
from voicecore.catalog.turn_sources.static import SOURCE as STATIC
from voicecore.catalog.turn_sources.twilio import SOURCE as TWILIO

SOURCES: dict[str, TurnSource] = {
    source.name: source for source in (_KVS, CLOUDFLARE, TWILIO, COTURN, STATIC)
}
"""TURN sources by name, in the order in which an agent asks them."""

KVS = _KVS.name
"""The source whose channels `deploy` creates."""

CHOICE = "TURN_SOURCE"
"""Variable that names the sources to use, in order; unset: all whose variables are set."""
NONE = "none"
"""Value of CHOICE for no source."""


def chosen(variables: Mapping[str, str]) -> list[TurnSource]:
    """Return the sources that an agent with these variables uses, in order of preference."""
    names = variables.get(CHOICE, "").replace(",", " ").split()
    if names:
        return [SOURCES[name] for name in names if name in SOURCES]
    return [s for s in SOURCES.values() if all(variables.get(need) for need in s.needs)]
