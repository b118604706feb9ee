"""Runs in the agent's own interpreter under `voicecore dev --platform v2`; imports no voicecore."""

CONTROL = "VOICECORE_SNAPSHOT_CONTROL"
"""Variable with the number of the control socket; see snapshot.py."""

RUN_ON = b"{}"
"""Message of the runtime to an agent that has taken too long to freeze; see snapshot.py."""

CAPTURED_AT = "captured_at"
"""Key of a log line about something captured before the snapshot; see captures.py."""
