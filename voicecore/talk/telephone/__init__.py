"""The test telephone: calls a server as a phone provider does."""
