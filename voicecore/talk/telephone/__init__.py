"""The test telephone: calls a server as a telephone provider does."""
