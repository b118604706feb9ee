"""Preflight checks: find what would fail later in a deploy before anything is created."""
