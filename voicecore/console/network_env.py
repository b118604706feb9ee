"""Owns the environment variables by which programs find proxies and certificate authorities.

Each library reads its own: botocore AWS_CA_BUNDLE, aiohttp and uv SSL_CERT_FILE, Docker's client
REQUESTS_CA_BUNDLE. One of them is meant for all, and for the git that uv runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from voicecore.console.proxies import LOOPBACK

CA_VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name a file of certificate authorities; the first that is set counts for all."""

_CA_NAMES = "AWS_CA_BUNDLE, SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
_GIT = "GIT_SSL_CAINFO"
# Addresses of the role of an EC2 instance and of a container: a proxy would give another's.
_METADATA = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")


def completed(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that `env` lacks, so that every client uses its proxies and authorities.

    Requests to this machine, such as those to the local runtime and to the metadata service of AWS,
    go through no proxy.
    """
    added: dict[str, str] = {}
    authorities = next((env[name] for name in CA_VARIABLES if env.get(name)), "")
    if authorities:
        added |= {name: authorities for name in (*CA_VARIABLES, _GIT) if not env.get(name)}
    if any(env.get(name) for name in _PROXIES):
        names = [name for name in ("no_proxy", "NO_PROXY") if env.get(name)] or ["NO_PROXY"]
        added |= {name: _with_this_machine(env.get(name, "")) for name in names}
    return added


def _with_this_machine(hosts: str) -> str:
    known = [host.strip() for host in hosts.split(",") if host.strip()]
    if "*" in known:
        return hosts
    return ",".join([*known, *(host for host in (*LOOPBACK, *_METADATA) if host not in known)])


def proxy_advice(env: Mapping[str, str], host: str = ".amazonaws.com") -> str:
    """Return which variable to set or correct when no answer comes from `host`."""
    name = next((name for name in ("https_proxy", "HTTPS_PROXY") if env.get(name)), "")
    if not name:
        return "Behind a proxy, name it:  export HTTPS_PROXY=http://HOST:PORT"
    return (
        f"{name} names the proxy, and NO_PROXY the hosts that need none, for example:\n"
        f"export NO_PROXY={host}"
    )


def download_advice(output: str, env: Mapping[str, str]) -> str:
    """Return what to do if the network failed, by the output of uv; empty if it did not."""
    if "invalid peer certificate" in output:
        return trust_advice(env)
    if re.search(r"error sending request|dns error|operation timed out", output):
        return (
            "Check the network, then run the same command again; completed downloads are kept. "
            + proxy_advice(env)
        )
    return ""


def trust_advice(env: Mapping[str, str]) -> str:
    """Return what to type when a certificate is not trusted."""
    name = next((name for name in CA_VARIABLES if env.get(name)), "")
    if name and not Path(env[name]).exists():
        return f"{_CA_NAMES} names {env[name]}, which does not exist: correct it."
    if name:
        return (
            "A proxy that inspects TLS has its own authority. Add it to the file that "
            f"{_CA_NAMES} names:  {env[name]}"
        )
    return (
        "Behind a proxy that inspects TLS, name the file with its certificate authorities:\n"
        f"export SSL_CERT_FILE=/path/to/certificates.pem   (or {CA_VARIABLES[0]}, "
        f"{CA_VARIABLES[2]})"
    )
