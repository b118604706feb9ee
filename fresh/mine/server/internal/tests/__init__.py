"""Tests of the session server."""
