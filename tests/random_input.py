"""Owns how Hypothesis runs here: by examples only, because a busy machine fails its clocks."""

from hypothesis import HealthCheck, settings

BY_COUNT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
