"""Owns which headers of a caller's request AgentCore can pass to an agent."""

ALLOWLIST_NAMES_MAX = 20
"""Names of an allow-list (runtime-header-allowlist)."""

CUSTOM_PREFIX = "x-amzn-bedrock-agentcore-runtime-custom-"

# runtime-header-allowlist, as the SDK has it (RESTRICTED_HEADERS in runtime/models.py).
# fmt: off
_RESTRICTED = frozenset((
    ":authority", ":method", ":path", ":scheme", ":status", "accept", "accept-ch",
    "accept-ch-lifetime", "accept-charset", "accept-encoding", "accept-language", "accept-ranges",
    "access-control-allow-credentials", "access-control-allow-headers",
    "access-control-allow-methods", "access-control-allow-origin", "access-control-expose-headers",
    "access-control-max-age", "access-control-request-headers", "access-control-request-method",
    "cache-control", "cf-connecting-ip", "cf-ray", "clear-site-data", "connection",
    "content-encoding", "content-language", "content-length", "content-location", "content-range",
    "content-security-policy", "content-security-policy-report-only", "content-type", "cookie",
    "cross-origin-embedder-policy", "cross-origin-opener-policy", "cross-origin-resource-policy",
    "date", "downlink", "dpr", "ect", "etag", "expect-ct", "expires", "feature-policy", "forwarded",
    "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "keep-alive", "last-modified", "link", "location", "origin",
    "permissions-policy", "pragma", "proxy-authorization", "proxy-connection", "public-key-pins",
    "public-key-pins-report-only", "range", "referer", "referrer-policy", "retry-after", "rtt",
    "save-data", "server", "set-cookie", "strict-transport-security", "te", "trailer",
    "transfer-encoding", "true-client-ip", "upgrade", "user-agent", "vary", "via", "viewport-width",
    "width", "www-authenticate", "x-cache", "x-client-ip", "x-cluster-client-ip",
    "x-content-type-options", "x-csrf-token", "x-frame-options", "x-original-host",
    "x-original-url", "x-originating-ip", "x-real-ip", "x-requested-with", "x-rewrite-url",
    "x-served-by", "x-source-ip", "x-xss-protection",
))
# fmt: on
_RESTRICTED_PREFIXES = ("x-forwarded-", "sec-websocket-")


def may_be_allowed(name: str) -> bool:
    """Return whether AWS accepts this header, in lower case, in an allow-list."""
    if name.startswith(("x-amz-", "x-amzn-")):
        return name.startswith(CUSTOM_PREFIX)
    return name not in _RESTRICTED and not name.startswith(_RESTRICTED_PREFIXES)
