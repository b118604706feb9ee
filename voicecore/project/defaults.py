"""Owns the values that hold where neither voicecore.toml nor the command line gives one.

A module of its own because `--help` shows them, and must import nothing that takes time.
"""

DEFAULT_STAGE = "dev"
"""Stage that a command acts on if it is given none; every project has it."""

IDLE_TIMEOUT = 900
MAX_LIFETIME = 28_800
"""Seconds (AgentCore Developer Guide, runtime-lifecycle-settings)."""

INVITE_HOURS = 12.0
"""Hours for which an invite is valid."""
