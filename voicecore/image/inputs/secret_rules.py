"""Owns the rules of the secret scan: what secrets look like, and what only looks like one.

Patterns follow the documentation of a key's issuer, else gitleaks' rules, else detect-secrets',
which are used from its package. Keys without a pattern of their own are found by the words before
them, if they look random.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import cast

# Placeholders in examples and templates; AWS's own examples end with EXAMPLE.
EXAMPLE = re.compile(
    r"your|change.?me|replace|example|placeholder|dummy|password|secret|redacted|x{5,}|\*{3,}|\.\.\.|"
    r"0123456789|1234567890|abcdefgh",
    re.IGNORECASE,
)
# Marks a line as a false alarm, by the conventions of detect-secrets and gitleaks.
_ALLOWED = re.compile(rb"pragma: ?allowlist secret|gitleaks:allow")

_NEAR = 1000

# Bits per character: random letters and digits about 4.5, random hexadecimal 3.6, words 3.
_RANDOM_BITS = 3.2
# Share of neighbors of another kind: random hexadecimal 0.47, lower-case names with numbers 0.1.
_RANDOM_CHANGES = 0.15
# Share of letters that can be spoken as words: one of 1,000 random keys with capitals has more, and
# one of 12 of small letters and digits alone.
_RANDOM_WORDS = 0.4
_WORD = re.compile(
    r"[A-Za-z]?(?:[bcdfghj-np-tv-xz]{0,2}[aeiouy]{1,2}){2,}[bcdfghj-np-tv-xz]{0,3}(?<=.{5})"
)


@dataclass(frozen=True)
class SecretPattern:
    """A pattern of secrets."""

    what: str
    anchors: tuple[bytes, ...]
    """Lower-case texts; each match contains one. Searching them first is ten times faster."""
    pattern: re.Pattern[bytes]
    """Its group `word` or `value` must not be an example, and a `value` must look random. A `name`
    must be one of a secret."""
    lower: bool = False
    """True when matched against lower-cased text; `re.IGNORECASE` takes five times as long."""


def matches_in(window: bytes) -> Iterator[tuple[int, str]]:
    """Yield the position and kind of each likely secret in `window`."""
    lowered = window.lower()
    for rule in _all_rules():
        if not any(anchor in lowered for anchor in rule.anchors):
            continue
        for match in rule.pattern.finditer(lowered if rule.lower else window):
            if _is_secret_match(window, match) and not _ALLOWED.search(_line_around(window, match)):
                yield match.start(), rule.what


def looks_random(value: str) -> bool:
    """Return whether `value` looks like a key rather than words: by its letters and their order."""
    if not re.search(r"\d", value) or not re.search(r"[A-Za-z]", value) or " " in value:
        return False
    kinds = re.sub(r"[^0a]", "_", re.sub(r"[a-z]", "a", re.sub(r"\d", "0", value)))
    changes = sum(one != two for one, two in pairwise(kinds))
    shares = [count / len(value) for count in Counter(value).values()]
    bits = -sum(share * math.log2(share) for share in shares)
    words = sum(len(found[0]) for found in _WORD.finditer(value))
    return (
        bits >= _RANDOM_BITS
        and changes >= _RANDOM_CHANGES * len(value)
        and words <= _RANDOM_WORDS * len(value)
    )


def _is_secret_match(window: bytes, match: re.Match[bytes]) -> bool:
    def group(name: str) -> str:
        known = name in match.re.groupindex and match[name] is not None
        return window[slice(*match.span(name))].decode("ascii", "replace") if known else ""

    value, word = group("value"), group("word")
    if EXAMPLE.search(value + word) or (value and not looks_random(value)):
        return False
    if "name" not in match.re.groupindex:
        return True
    before = window[max(match.start() - 40, 0) : match.start()].decode("ascii", "replace")
    prefix = cast("re.Match[str]", re.search(r"[\w.-]*$", before))[0]
    return not _OTHER_NAME.search(prefix + group("name"))


def _line_around(window: bytes, match: re.Match[bytes]) -> bytes:
    # Of a longer line, such as one of minified JSON, only what is near.
    low, high = max(match.start() - _NEAR, 0), match.end() + _NEAR
    end = window.find(b"\n", match.end(), high)
    return window[window.rfind(b"\n", low, match.start()) + 1 : end if end >= 0 else high]


def _rule(what: str, anchors: str, pattern: str, lower: bool = False) -> SecretPattern:
    return SecretPattern(
        what, tuple(anchors.lower().encode().split(b"|")), re.compile(pattern.encode()), lower
    )


# The words before a key, and names that end in one of them without being secret.
_NAMES = r"key|token|secret|passw(?:or)?d|pwd|authorization|credentials?|(?<![a-z])auth"
_VENDORS = (
    "deepgram|cartesia|elevenlabs|openai|anthropic|assemblyai|gladia|groq|daily|twilio|telnyx|plivo|"
    "exotel|vonage|cloudflare"
)
_OTHER_NAME = re.compile(
    r"(?i)(?:public|primary|foreign|natural|partition|sort|range|cache|hash|idempotency|schema|"
    r"sequence|bucket|object|row|shard|route|lookup|dedup\w*|etag|checksum|digest|page|next|"
    r"continuation|sync|csrf|xsrf|mon|tur|don|hot|ho)[_.-]?(?:key|token)|"
    r"key[_.-]?(?:id|name|path|file|alias|board|word|s3|arn|hash|fingerprint|vault|store|size|type)|"
    r"(?:key|token|secret)s?[_.-]?(?:count|limit|length|name|url|uri|endpoint|path|file|arn|type)|"
    r"tokeni[sz]|voice|model|speaker|assistant|[_-]id$"
)
_GAP = r"[ \t\"'`\])}\\]{0,12}"
_TYPE = r"(?::\s?(?:str|string|bytes|final)\s{0,4})?"
_SIGN = r"(?:(?:[:=>]|=>)[\s(\\]{0,24}|,[ ]?)"
_SCHEME = r"(?:(?:bearer|token|basic|key|apikey)\s{1,4})?"
_PEM = "PRIVATE" + " KEY"  # apart, so that no scanner takes this file for a key
_ENCODED_PEM = "|".join(
    base64.b64encode(f"-----BEGIN {kind}{_PEM}--".encode())[:28].decode().rstrip("=")
    for kind in ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")
)

_RULES = (
    _rule(
        "a private key",
        _PEM,
        # The pattern includes part of the key, so that code that only tests for the line passes.
        rf"-----BEGIN (?:[A-Z0-9]+ ){{0,3}}{_PEM}(?: BLOCK)?-----(?:(?!-----END)[\s\S]){{0,300}}?"
        r"(?:[A-Za-z0-9+/]{40}|(?:[A-Za-z0-9+/]{16,39}(?:\\[nr]|\s)+){3})",
    ),
    _rule("a private key", "PuTTY-User", r"PuTTY-User-Key-File-\d: "),
    _rule("a private key", "LS0tLS1CRUdJTi", rf"(?:{_ENCODED_PEM})[A-Za-z0-9+/]{{40}}"),
    # IAM User Guide, "IAM identifiers", unique ID prefixes; the ids are base32.
    _rule(
        "an AWS access key",
        "AKIA|ASIA",
        # The letters come before the lookbehind: the regex engine finds a pattern that starts
        # with letters without trying every byte.
        r"A[KS]IA(?<![A-Za-z0-9+/]A[KS]IA)(?P<word>[A-Z2-7]{16})(?![A-Za-z0-9+/])",
    ),
    _rule(
        "an AWS secret access key",
        "access_key|accesskey",
        r"access_?key[\"']?\s{0,8}[:=]\s{0,8}[\"']{0,3}(?P<value>[a-z0-9/+]{40})(?![a-z0-9/+=])",
        lower=True,
    ),
    _rule("a GitHub token", "ghp_|gho_|ghu_|ghs_|ghr_", r"\bgh[pousr]_(?P<word>[A-Za-z0-9]{36,})"),
    _rule("a GitHub token", "github_pat_", r"\bgithub_pat_(?P<word>[A-Za-z0-9_]{60,})"),
    _rule("a GitLab token", "glpat-", r"\bglpat-(?P<word>[\w-]{20,})"),
    _rule("a Slack token", "xox|xapp-", r"\bx(?:ox[abeoprs]|app)-(?P<word>[\w-]{20,})"),
    _rule(
        "a Slack webhook",
        "hooks.slack",
        r"hooks\.slack\.com/(?:services|workflows)/T(?P<word>\w+/\w+/\w{18,})",
    ),
    _rule("a Stripe key", "k_live_", r"\b[rs]k_live_(?P<word>[A-Za-z0-9]{20,})"),
    _rule("an OpenAI key", "T3BlbkFJ", r"(?<![\w-])sk-(?P<word>[\w-]*T3BlbkFJ[\w-]{20,})"),
    _rule("an Anthropic key", "sk-ant-", r"\bsk-ant-[a-z]+\d\d-(?P<word>[\w-]{80,})"),
    _rule("a Google API key", "AIza", r"\bAIza(?P<word>[\w-]{35})(?![\w-])"),
    _rule("a Google client secret", "GOCSPX-", r"\bGOCSPX-(?P<word>[\w-]{28})"),
    _rule("a Hugging Face token", "hf_", r"\bhf_(?P<word>[A-Za-z]{34})\b"),
    _rule("a PyPI token", "pypi-AgE", r"\bpypi-(?P<word>AgE[\w-]{50,})"),
    _rule("an npm token", "npm_", r"\bnpm_(?P<word>[A-Za-z0-9]{36})\b"),
    _rule("a SendGrid key", "SG.", r"SG\.(?<!\wSG\.)(?P<word>[\w-]{22}\.[\w-]{43})\b"),
    _rule("a Cartesia key", "sk_car_", r"\bsk_car_(?P<word>\w{20,})"),
    _rule("an ElevenLabs key", "sk_", r"sk_(?<!\wsk_)(?P<word>[0-9a-f]{48})\b"),
    _rule("a Groq key", "gsk_", r"\bgsk_(?P<word>[A-Za-z0-9]{48,})"),
    _rule("an Azure storage key", "AccountKey=", r"AccountKey=(?P<word>[A-Za-z0-9+/]{86})=="),
    _rule(
        "a JSON web token", "eyJ", r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.(?P<word>[\w-]{20,})"
    ),
    _rule(
        "a password in a URL",
        "://",
        r"://[\w.%+-]{0,80}:(?P<word>[^/\s:@\"'<>\[\]{}$]{6,80})"
        r"@(?!localhost|127\.|(?:[\w-]+\.)*example\.)[\w.-]",
    ),
    _rule(
        "a password in a command",
        "curl ",
        r"\bcurl [^\n]{0,200}?(?:-u|--user)[\s=]?[\"']?[\w.@-]{1,60}:(?P<word>[^\s\"'$<{]{8,80})",
    ),
    # Keys of Deepgram, Daily and Twilio have no pattern of their own; the name before them does.
    _rule(
        "a key in the code",
        f"key|token|secret|passw|pwd|auth|credential|{_VENDORS}",
        rf"(?P<name>(?:{_NAMES}|{_VENDORS})[\w-]{{0,20}}){_GAP}{_TYPE}{_SIGN}"
        rf"[bruf]{{0,2}}[\"'`]{{1,3}}{_SCHEME}(?P<value>[a-z0-9_+/=.~-]{{16,2000}})[\\\"'`]",
        lower=True,
    ),
    _rule(  # without quotes, as in YAML, in a header or after ENV, the value could be a name
        "a key in the code",
        "key|token|secret|passw|pwd|auth|credential",
        rf"(?P<name>(?:{_NAMES})[\w-]{{0,20}})[\"']?[ \t]{{0,8}}[:=>][ \t]{{0,8}}{_SCHEME}"
        r"(?P<value>[a-z0-9+/_-]{20,2000}={0,2})(?![\w.(\[+/-])",
        lower=True,
    ),
    _rule(
        "a key as an argument",
        f"client|service|auth|login|api|{_VENDORS}",
        rf"(?:client|service|auth|login|api|{_VENDORS})\w{{0,30}}\(\s{{0,24}}"
        r"(?:[\w.\"'-]{1,60},\s{0,24}){0,2}[bruf]{0,2}[\"'](?P<value>[a-z0-9_]{24,200})[\"']",
        lower=True,
    ),
)

# Services that only detect-secrets has rules for: its class, our words, and texts of each match.
# Its other rules find less than the ones above, or IDs that are no secret.
_KEPT = (
    ("DiscordBotTokenDetector", "a Discord token", "."),
    ("GitLabTokenDetector", "a GitLab token", "gl|gr1348941"),
    ("MailchimpDetector", "a Mailchimp key", "-us"),
    ("SquareOAuthDetector", "a Square secret", "sq0csp-"),
    ("TelegramBotTokenDetector", "a Telegram token", ":aa"),
)


@cache
def _all_rules() -> Sequence[SecretPattern]:
    # Imported late: only a build needs it.
    from detect_secrets.core.plugins.util import (  # pyright: ignore[reportMissingTypeStubs]
        get_mapping_from_secret_type_to_class,
    )

    classes = {found.__name__: found for found in get_mapping_from_secret_type_to_class().values()}
    kept = [
        _rule(what, anchors, f"(?P<word>{pattern.pattern})")
        for name, what, anchors in _KEPT
        for pattern in cast("Sequence[re.Pattern[str]]", vars(classes[name])["denylist"])
    ]
    return (*_RULES, *kept)
