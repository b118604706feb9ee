"""The docs site, and what generates parts of it."""
