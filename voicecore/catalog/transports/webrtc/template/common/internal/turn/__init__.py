"""TURN: where the credentials for relays come from. The agent and the session server both ask."""
