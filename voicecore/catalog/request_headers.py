"""Owns which headers of a caller's request AgentCore can pass to an agent."""

ALLOWLIST_NAMES_MAX = 20
"""Names of an allow-list (runtime-header-allowlist)."""

CUSTOM_PREFIX = "x-amzn-bedrock-agentcore-runtime-custom-"

# runtime-header-allowlist and the SDK's RESTRICTED_HEADERS (runtime/models.py).
# fmt: off
_RESTRICTED = frozenset((
    "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age",
    "allow", "cache-control", "connection", "content-encoding", "content-language",
    "content-length", "content-location", "content-range", "content-security-policy",
    "content-security-policy-report-only", "content-type", "cookie", "date", "etag", "expires",
    "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "keep-alive", "last-modified", "location", "origin", "pragma",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "referer",
    "referrer-policy", "retry-after", "server", "set-cookie", "strict-transport-security", "te",
    "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "www-authenticate",
    "x-content-type-options", "x-frame-options", "x-real-ip", "x-xss-protection",
))
# fmt: on
_RESTRICTED_PREFIXES = ("x-forwarded-", "sec-websocket-")


def may_be_allowed(name: str) -> bool:
    """Return whether AWS accepts this header, in lower case, in an allow-list."""
    if name.startswith(("x-amz-", "x-amzn-")):
        return name.startswith(CUSTOM_PREFIX)
    return name not in _RESTRICTED and not name.startswith(_RESTRICTED_PREFIXES)
