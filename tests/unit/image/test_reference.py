"""Image references, parsed as Docker parses them."""

import pytest

from voicecore.image.registry.reference import (
    BadReference,
    is_digest,
    is_loopback,
    parse_reference,
)

DIGEST = "sha256:" + "0" * 64
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "version"),
    [
        ("python", "docker.io", "library/python", "latest"),
        ("python:3.13", "docker.io", "library/python", "3.13"),
        ("me/agent", "docker.io", "me/agent", "latest"),
        ("docker.io/python", "docker.io", "library/python", "latest"),
        ("index.docker.io/me/agent:1", "docker.io", "me/agent", "1"),
        ("localhost/agent", "localhost", "agent", "latest"),
        ("localhost:5000/agent:x", "localhost:5000", "agent", "x"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a/b", "latest"),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
        ("build-box:5000/a", "build-box:5000", "a", "latest"),
        (f"{ECR}/voicecore/my-agent:t", ECR, "voicecore/my-agent", "t"),
        (f"ghcr.io/a/b__c/d.e-f@{DIGEST}", "ghcr.io", "a/b__c/d.e-f", DIGEST),
        (f"ghcr.io/a:1@{DIGEST}", "ghcr.io", "a", DIGEST),
    ],
)
def test_parse_reference(text: str, registry: str, repository: str, version: str) -> None:
    found = parse_reference(text)
    assert (found.registry, found.repository, found.version) == (registry, repository, version)


def test_docker_hub_has_another_api_host() -> None:
    assert parse_reference("python").host == "registry-1.docker.io"


def test_reference_round_trips() -> None:
    text = f"ghcr.io/a/b:1@{DIGEST}"
    assert str(parse_reference(text)) == text
    assert parse_reference(text).named("2") == "ghcr.io/a/b:2"
    assert parse_reference(text).named(DIGEST) == f"ghcr.io/a/b@{DIGEST}"


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a//b", "a:", "a@sha256:12", "https://ghcr.io/a", "a b", "ghcr.io/", "-a"]
)
def test_parse_reference_rejects_invalid_name(text: str) -> None:
    with pytest.raises(BadReference):
        parse_reference(text)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1:5000", "127.9.9.9", "[::1]:5"]
)
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["ghcr.io", "10.0.0.1:5000", "registry:5000", "localhost.com"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_digest_is_sha256_in_lower_case() -> None:
    assert is_digest(DIGEST)
    others = ["", DIGEST[:-1], DIGEST + "0", DIGEST[:-1] + "A", "sha512:" + "0" * 128, None, 7]
    assert not any(map(is_digest, others))
