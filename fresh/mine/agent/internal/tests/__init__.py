"""Tests of the agent's inner parts, and the callers that tests speak through."""
