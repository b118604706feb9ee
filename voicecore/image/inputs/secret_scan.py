"""Owns the secret scan: finds likely secrets in the build context before anything is built.

We do not use the scanner of detect-secrets (1.5, May 2024), only rules: it flags every hash in a
lockfile, reads only text, does not know the keys of speech services, and keeps its settings in
globals. A result names the place and the kind, never the secret.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs.secret_rules import EXAMPLE, looks_random, matches_in


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


# Names that tools use for files and folders with secrets, in lower case.
_SECRET_FOLDERS = (".git", ".aws", ".ssh", ".gnupg", ".kube", ".docker")
_SECRET_FILES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.jks",
    "*.keystore", "*.ppk", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    "kubeconfig", "*.kubeconfig", "kubeconfig.y*ml", "credentials", "*credentials.json",
    "*credentials.csv", "*accesskeys.csv",
    "*service-account*.json", "*service_account*.json", ".netrc", "_netrc", ".pypirc", ".pgpass",
    ".git-credentials", ".htpasswd", ".boto", ".s3cfg", ".dockercfg", "*.tfstate",
)  # fmt: skip
_HARMLESS_FILES = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")
_PUBLIC = re.compile(
    rb"(TRUSTED |X509 )?CERTIFICATE|X509 CRL|(RSA |EC )?PUBLIC KEY|(EC|DH) PARAMETERS"
)

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|DSN", re.IGNORECASE)
_NOT_SECRET = re.compile(
    # UUIDs name things such as voices and assistants; ARNs, URLs and paths are not secret either.
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|arn:.*|[a-z]+://[^@]*|[~./].*",
    re.IGNORECASE,
)
_NAMED_LENGTH = 8
_UNNAMED_LENGTH = 20

_WINDOW = 4 << 20
# Longer than the longest match of any rule.
_OVERLAP = 4 << 10
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # starts with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# In larger files that are not text, only the values of .env are searched.
_BINARY_LIMIT = 4 << 20
_SHOWN = 10
# Findings of one window: each needs the number of its line.
_FOUND_MAX = 200


def find_secrets(
    agent: Path,
    paths: Iterable[str],
    values: Mapping[str, str],
    sources: Mapping[str, Path] | None = None,
) -> list[SuspectedSecret]:
    """Return the likely secrets in the files `paths` of `agent`, sorted.

    `values` are the variables of agent/.env; no file may contain one that looks like a secret.
    `sources` has the files that are not read from `agent`.
    Other symbolic links are not followed: an image holds the link, not its target.
    """
    sources = sources or {}
    secrets = {name: value.encode() for name, value in values.items() if is_secret(name, value)}
    found: set[SuspectedSecret] = set()
    for path in paths:
        whole = _suspicious_name(agent, path)
        if whole:
            found.add(whole)
        elif path in sources or not (agent / path).is_symlink():
            with sources.get(path, agent / path).open("rb") as file:
                found |= {
                    SuspectedSecret(path, line, what) for line, what in _in_file(file, secrets)
                }
    return sorted(found, key=lambda finding: (finding.path, finding.line or 0, finding.what))


def require_no_secrets(
    agent: Path,
    paths: Iterable[str],
    values: Mapping[str, str],
    sources: Mapping[str, Path] | None = None,
) -> None:
    """Raise SecretInContext if `find_secrets` finds any."""
    found = find_secrets(agent, paths, values, sources)
    if found:
        raise _refusal(agent, found)


def is_secret(name: str, value: str) -> bool:
    """Return whether the variable `name` of a .env file is a secret rather than a setting.

    It is one if its name says so, or if its value looks random and is not an ID, ARN, path or URL
    without a password.
    """
    if EXAMPLE.search(value) or name.upper().endswith("_ID"):
        return False
    if _SECRET_NAME.search(name):
        return len(value) >= _NAMED_LENGTH
    return (
        len(value) >= _UNNAMED_LENGTH and not _NOT_SECRET.fullmatch(value) and looks_random(value)
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
    """Return whether a .pem file contains only certificates and public keys."""
    if path.is_symlink():
        return False
    labels = re.findall(rb"BEGIN ([A-Z0-9 ]+)", path.read_bytes())
    return bool(labels) and all(_PUBLIC.fullmatch(label) for label in labels)


def _in_file(file: BinaryIO, secrets: Mapping[str, bytes]) -> Iterator[tuple[int | None, str]]:
    """Yield (line, what) of each likely secret in a file; a line may come twice."""
    start = file.read(_WINDOW)
    encoding = _encoding_of(start)
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    is_text = encoding is not None or b"\0" not in start[:8192]
    line, rest, fresh = 1, b"", start
    while fresh:
        plain = decoder.decode(fresh).encode() if decoder else fresh
        window = rest + plain
        searched = is_text or len(fresh) < _BINARY_LIMIT
        rules = matches_in(_unescaped(window)) if searched else ()
        for position, what in islice(chain(rules, _values_in(window, secrets)), _FOUND_MAX):
            yield (line + window.count(b"\n", 0, position) if is_text else None), what
        rest = window[-_OVERLAP:]
        line += window.count(b"\n", 0, len(window) - len(rest))
        fresh = file.read(_WINDOW)


def _encoding_of(start: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if a file starts like one: with a mark, or with every second byte 0.

    Windows writes such files, for example `$env:KEY > key.txt` in PowerShell.
    """
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    sample = start[:8192]
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    half = len(sample) // 2
    if half >= 8 and max(odd, even) > 0.8 * half and min(odd, even) == 0:
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _unescaped(window: bytes) -> bytes:
    """Return text without the escapes of JSON, as in notebooks; positions stay."""
    return window.replace(b'\\"', b'""').replace(b"\\n", b"  ")


def _values_in(window: bytes, secrets: Mapping[str, bytes]) -> Iterator[tuple[int, str]]:
    for name, value in secrets.items():
        position = window.find(value)
        while position >= 0:
            yield position, f"the value of {name} in .env"
            position = window.find(value, position + 1)


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
