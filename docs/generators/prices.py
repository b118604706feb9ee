"""Generates the list prices."""

from __future__ import annotations

from docs.generators.markdown import table
from voicecore.cloud.deploy.prices import prices


def list_prices() -> str:
    """Return the prices that estimates are made from."""
    return table(
        ("item", "$", "per", "source"),
        (
            (
                key if price.confirmed else f"{key} (unverified)",
                f"{price.dollars:.10f}".rstrip("0").rstrip("."),
                price.unit,
                f"[{price.source}]({price.url}), {price.date}",
            )
            for key, price in prices().items()
        ),
    )
