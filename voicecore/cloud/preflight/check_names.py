"""Owns the names of the preflight checks, which `deploy --skip-check` takes."""

CHECK_NAMES = (
    "addresses", "build", "certificate", "clock", "concurrency", "endpoints", "fargate",
    "load-balancers", "models", "names", "network", "permissions", "runtimes", "sessions", "vpcs",
    "zones",
)  # fmt: skip
