"""Deployed stages: status and logs."""
