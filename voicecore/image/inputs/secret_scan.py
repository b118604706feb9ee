"""Owns the secret scan: finds likely secrets in the build context before anything is built.

We do not use detect-secrets (1.5, May 2024): it flags every hash in a lockfile, reads only text,
does not know the keys of speech services, and keeps its settings in globals. A result names the
place and the kind, never the secret.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from voicecore.console.errors import ExitCode, VoicecoreError


class SecretInContext(VoicecoreError):
    """Files in the build context look like secrets or contain some; names them."""


@dataclass(frozen=True)
class SuspectedSecret:
    """One place that looks like a secret, without the secret itself."""

    path: str
    """Path relative to the agent's folder, with forward slashes; a folder's path ends with one."""
    line: int | None
    """Line number from 1; None for a whole file, or for a file that is not text."""
    what: str


@dataclass(frozen=True)
class _Rule:
    """A pattern of secrets."""

    what: str
    anchors: tuple[bytes, ...]
    """Lower-case texts; each match contains one. Searching them first is ten times faster."""
    pattern: re.Pattern[bytes]
    """Its group `word` or `value` must not be an example, and a `value` must look random."""
    lower: bool
    """True when matched against lower-cased text; `re.IGNORECASE` takes five times as long."""


def _rule(what: str, anchors: str, pattern: str, lower: bool = False) -> _Rule:
    return _Rule(
        what, tuple(anchors.lower().encode().split(b"|")), re.compile(pattern.encode()), lower
    )


_NAMES = "api_?key|auth_?key|auth_?token|access_?token|client_?secret|secret_?key|password"

# Patterns follow the documentation of the keys' issuer, or else gitleaks' rules.
_RULES = (
    _rule(
        "a private key",
        "PRIVATE KEY",
        # The pattern includes part of the key, so that code that only tests for the line passes.
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,300}?[A-Za-z0-9+/]{40}",
    ),
    _rule("a private key", "PuTTY-User", r"PuTTY-User-Key-File-\d: "),
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
        r"access_?key[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?P<value>[a-z0-9/+]{40})(?![a-z0-9/+=])",
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
    _rule("an OpenAI key", "T3BlbkFJ", r"\bsk-(?P<word>[\w-]*T3BlbkFJ[\w-]{20,})"),
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
    _rule("a JSON web token", "eyJ", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.(?P<word>[\w-]{20,})"),
    _rule(
        "a password in a URL",
        "://",
        r"://[\w.%+-]{1,80}:(?P<word>[^/\s:@\"'<>\[\]{}$]{6,80})"
        r"@(?!localhost|127\.|(?:[\w-]+\.)*example\.)[\w.-]",
    ),
    # Keys of Deepgram, Daily and Twilio have no pattern of their own; the name before them does.
    _rule(
        "a key in the code",
        "key|token|secret|password",
        rf"(?:{_NAMES})[\"']?\s{{0,8}}[:=]\s{{0,8}}[\"'](?P<value>[a-z0-9_+/=.-]{{20,200}})[\"']",
        lower=True,
    ),
    _rule(  # without quotes, as in a shell script or after ENV, the value could be a name
        "a key in the code",
        "key=|token=|secret=|password=",
        rf"(?:{_NAMES})=(?P<value>[a-z0-9]{{32,200}})(?![\w.(\[])",
        lower=True,
    ),
)

# Names that tools use for files and folders with secrets, in lower case.
_SECRET_FOLDERS = (".git", ".aws", ".ssh", ".gnupg", ".kube", ".docker")
_SECRET_FILES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.jks",
    "*.keystore", "*.ppk", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    "credentials", "*credentials.json", "*credentials.csv", "*accesskeys.csv",
    "*service-account*.json", "*service_account*.json", ".netrc", "_netrc", ".pypirc", ".pgpass",
    ".git-credentials", ".htpasswd", ".boto", ".s3cfg", ".dockercfg", "*.tfstate",
)  # fmt: skip
_HARMLESS_FILES = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")
_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED )?(?:CERTIFICATE|PUBLIC KEY)-----")

# Placeholders in examples and templates; AWS's own examples end with EXAMPLE.
_EXAMPLE = re.compile(
    r"your|change.?me|replace|example|placeholder|dummy|password|secret|redacted|x{5,}|\*{3,}|\.\.\.|"
    r"0123456789|1234567890|abcdefgh",
    re.IGNORECASE,
)
# Marks a line as a false alarm, by the conventions of detect-secrets and gitleaks.
_ALLOWED = re.compile(rb"pragma: ?allowlist secret|gitleaks:allow")

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|DSN", re.IGNORECASE)
_NOT_SECRET = re.compile(
    # UUIDs name things such as voices and assistants; ARNs, URLs and paths are not secret either.
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|arn:.*|[a-z]+://[^@]*|[~./].*",
    re.IGNORECASE,
)
_NAMED_LENGTH = 8
_UNNAMED_LENGTH = 20

# Bits per character: random letters and digits about 4.5, random hexadecimal 3.6, words 3.
_RANDOM_BITS = 3.2

_WINDOW = 4 << 20
# Longer than the longest match of any rule.
_OVERLAP = 4 << 10
# In larger files that are not text, only the values of .env are searched.
_BINARY_LIMIT = 4 << 20
_SHOWN = 10


def find_secrets(
    agent: Path, paths: Iterable[str], values: Mapping[str, str]
) -> list[SuspectedSecret]:
    """Return the likely secrets in the files `paths` of `agent`, sorted.

    `values` are the variables of agent/.env; no file may contain one that looks like a secret.
    Symbolic links are not followed: an image holds the link, not its target.
    """
    secrets = {name: value.encode() for name, value in values.items() if is_secret(name, value)}
    found: set[SuspectedSecret] = set()
    for path in paths:
        whole = _suspicious_name(agent, path)
        if whole:
            found.add(whole)
        elif not (agent / path).is_symlink():
            with (agent / path).open("rb") as file:
                found |= {
                    SuspectedSecret(path, line, what) for line, what in _in_file(file, secrets)
                }
    return sorted(found, key=lambda finding: (finding.path, finding.line or 0, finding.what))


def require_no_secrets(agent: Path, paths: Iterable[str], values: Mapping[str, str]) -> None:
    """Raise SecretInContext if `find_secrets` finds any."""
    found = find_secrets(agent, paths, values)
    if found:
        raise _refusal(agent, found)


def is_secret(name: str, value: str) -> bool:
    """Return whether the variable `name` of a .env file is a secret rather than a setting.

    It is one if its name says so, or if its value looks random and is not an ID, ARN, path or URL
    without a password.
    """
    if _EXAMPLE.search(value) or name.upper().endswith("_ID"):
        return False
    if _SECRET_NAME.search(name):
        return len(value) >= _NAMED_LENGTH
    return (
        len(value) >= _UNNAMED_LENGTH and not _NOT_SECRET.fullmatch(value) and _looks_random(value)
    )


def _suspicious_name(agent: Path, path: str) -> SuspectedSecret | None:
    parts = PurePosixPath(path).parts
    for depth, part in enumerate(parts[:-1]):
        if part.lower() in _SECRET_FOLDERS:
            folder = "/".join(parts[: depth + 1])
            return SuspectedSecret(f"{folder}/", None, "a folder that contains secrets")
    name = parts[-1].lower()
    if name == ".git":  # in a worktree or submodule, it contains the path of the repository
        return SuspectedSecret(path, None, "a path of this machine")
    if not _matches(name, _SECRET_FILES) or _matches(name, _HARMLESS_FILES):
        return None
    if name.endswith(".pem") and _is_public(agent / path):
        return None
    return SuspectedSecret(path, None, "a file that contains secrets, judging by its name")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_public(path: Path) -> bool:
    """Return whether a .pem file contains only certificates or public keys."""
    text = b"" if path.is_symlink() else path.read_bytes()
    return bool(_CERTIFICATE.search(text)) and b"PRIVATE KEY" not in text


def _in_file(file: BinaryIO, secrets: Mapping[str, bytes]) -> Iterator[tuple[int | None, str]]:
    """Yield (line, what) of each likely secret in a file; a line may come twice."""
    line, is_text, rest = 1, True, b""
    first = True
    while fresh := file.read(_WINDOW):
        window = rest + fresh
        if first:
            is_text, first = b"\0" not in fresh[:8192], False
        rules = _RULES if is_text or len(fresh) < _BINARY_LIMIT else ()
        for position, what in (*_in_window(window, rules), *_values_in(window, secrets)):
            yield (line + window.count(b"\n", 0, position) if is_text else None), what
        rest = window[-_OVERLAP:]
        line += window.count(b"\n", 0, len(window) - len(rest))


def _in_window(window: bytes, rules: Sequence[_Rule]) -> Iterator[tuple[int, str]]:
    lowered = window.lower() if rules else b""
    for rule in rules:
        if not any(anchor in lowered for anchor in rule.anchors):
            continue
        for match in rule.pattern.finditer(lowered if rule.lower else window):
            if _is_secret_match(match) and not _ALLOWED.search(_line_around(window, match)):
                yield match.start(), rule.what


def _is_secret_match(match: re.Match[bytes]) -> bool:
    groups = match.groupdict()
    value = (groups.get("value") or b"").decode("ascii", "replace")
    word = (groups.get("word") or b"").decode("ascii", "replace")
    return not _EXAMPLE.search(value + word) and (not value or _looks_random(value))


def _line_around(window: bytes, match: re.Match[bytes]) -> bytes:
    end = window.find(b"\n", match.end())
    return window[window.rfind(b"\n", 0, match.start()) + 1 : end if end >= 0 else len(window)]


def _values_in(window: bytes, secrets: Mapping[str, bytes]) -> Iterator[tuple[int, str]]:
    for name, value in secrets.items():
        position = window.find(value)
        while position >= 0:
            yield position, f"the value of {name} in .env"
            position = window.find(value, position + 1)


def _looks_random(value: str) -> bool:
    if not re.search(r"\d", value) or not re.search(r"[A-Za-z]", value) or " " in value:
        return False
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) >= _RANDOM_BITS


def _refusal(agent: Path, found: Sequence[SuspectedSecret]) -> SecretInContext:
    places = [
        finding.path if finding.line is None else f"{finding.path}, line {finding.line}"
        for finding in found
    ]
    width = max(map(len, places[:_SHOWN]))
    lines = [
        f"  {place:{width}}  {finding.what}"
        for place, finding in list(zip(places, found, strict=True))[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more")
    files = sorted({finding.path.rstrip("/") for finding in found if finding.line is None})
    hints = [f"echo {shlex.quote(path)} >> {agent.name}/.dockerignore" for path in files[:_SHOWN]]
    if hints:
        hints.insert(0, "Exclude files that the agent does not need in the image:")
    if len(files) < len(found):
        hints += [
            f"Move secrets to {agent.name}/.env, which is never part of an image, "
            "and read them from os.environ.",
            "If a line is not a secret, end it with:  # pragma: allowlist secret",
        ]
    return SecretInContext(
        "\n".join(
            [
                f"{agent.name}/ contains what look like secrets; anyone who can pull the image "
                "could read them:",
                *lines,
            ]
        ),
        "\n".join(hints),
        ExitCode.BAD_PROJECT,
    )
