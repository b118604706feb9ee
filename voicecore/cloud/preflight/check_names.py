"""Owns the names of the preflight checks, which `deploy --skip-check` takes."""

CHECK_NAMES = (
    "addresses", "boundary", "build", "certificate", "clock", "concurrency", "endpoints", "fargate",
    "key", "load-balancers", "models", "names", "network", "permissions", "repository", "role",
    "runtimes", "service-role", "sessions", "traces", "vpcs", "zones",
)  # fmt: skip
