"""The registry client logs in: basic and bearer, only where it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault
from tests.unit.image.repositories import (
    BLOB,
    DIGEST,
    basic,
    content,
    ignore,
    push,
    with_repository,
)
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import CredentialHelperFailed, RegistryLogin
from voicecore.image.registry.errors import (
    NotLoggedIn,
)


def test_push_answers_basic_challenge() -> None:
    registry = FakeRegistry(challenge="basic", accepted={basic("AWS", "secret")})
    assert with_repository(registry, push, lambda: RegistryLogin("AWS", "secret")) == len(BLOB)


def test_push_renews_token_that_expires() -> None:
    passwords = iter(["one", "two", "three"])
    registry = FakeRegistry(challenge="basic", accepted={basic("AWS", "one")}, says_expired=True)

    async def expiring() -> AsyncIterator[bytes]:
        # The token expires during the upload, and what was sent is lost.
        if registry.accepted == {basic("AWS", "one")}:
            registry.accepted = {basic("AWS", "two")}
            registry.faults.append(Fault("PUT", "/uploads/", cut_after=100_000))
        async for chunk in content():
            yield chunk

    def source() -> RegistryLogin:
        return RegistryLogin("AWS", next(passwords))

    async def work(repository: Repository) -> int:
        return await repository.push(DIGEST, len(BLOB), expiring, ignore, "blob")

    assert with_repository(registry, work, source) == len(BLOB)
    assert next(passwords) == "three"
    assert 403 in {each.status for each in registry.log}


def test_concurrent_requests_log_in_once() -> None:
    calls: list[int] = []
    registry = FakeRegistry(challenge="basic", accepted={basic("AWS", "secret")})

    def source() -> RegistryLogin:
        calls.append(1)
        return RegistryLogin("AWS", "secret")

    async def work(repository: Repository) -> None:
        await asyncio.gather(*(repository.find(tag) for tag in "abcdefgh"))

    with_repository(registry, work, source)
    assert len(calls) == 1


def test_bearer_token_has_scopes_of_push_and_mount() -> None:
    registry = FakeRegistry(challenge="bearer", token_login=basic("me", "secret"))
    registry.add("base", BLOB)
    with_repository(
        registry, lambda repository: push(repository, "base"), lambda: RegistryLogin("me", "secret")
    )
    assert registry.tokens[0]["service"] == ["here"]
    assert registry.tokens[0]["scope"] == ["extra", "repository:agent:pull,push"]
    assert "repository:base:pull" in registry.tokens[-1]["scope"]


def test_bearer_token_is_renewed_before_it_expires() -> None:
    registry = FakeRegistry(challenge="bearer", token_seconds=1)

    async def work(repository: Repository) -> None:
        await repository.find("t")
        registry.accepted.clear()
        await push(repository)

    with_repository(registry, work)
    assert len(registry.tokens) == 2


def test_anonymous_pull_gets_bearer_token() -> None:
    registry = FakeRegistry(challenge="bearer")
    registry.add("agent", BLOB)
    assert (
        with_repository(registry, lambda repository: repository.read(DIGEST), actions="pull")
        == BLOB
    )


@pytest.mark.parametrize("status", [400, 401, 403])
def test_pull_without_login_works_despite_bad_login(status: int) -> None:
    registry = FakeRegistry(challenge="bearer", faults=[Fault("GET", "/token", status=status)])
    registry.add("agent", BLOB)
    read = with_repository(
        registry, lambda r: r.read(DIGEST), lambda: RegistryLogin("me", "old"), actions="pull"
    )
    assert read == BLOB


def test_identity_token_is_used_as_refresh_token() -> None:
    registry = FakeRegistry(challenge="bearer", token_login="identity")
    with_repository(registry, push, lambda: RegistryLogin("", "", "identity"))
    assert registry.tokens == [
        {
            "service": ["here"],
            "scope": ["extra repository:agent:pull,push"],
            "grant_type": ["refresh_token"],
            "client_id": ["voicecore"],
            "refresh_token": ["identity"],
        }
    ]


def test_missing_login_is_reported() -> None:
    with pytest.raises(NotLoggedIn, match=r"not logged in") as caught:
        with_repository(FakeRegistry(challenge="basic"), push)
    assert caught.value.hint
    assert "docker login 127.0.0.1:" in caught.value.hint


def test_wrong_password_is_reported() -> None:
    with pytest.raises(NotLoggedIn, match="401 Unauthorized"):
        with_repository(FakeRegistry(challenge="basic"), push, lambda: RegistryLogin("me", "wrong"))


def test_helper_error_is_raised_only_if_login_is_required() -> None:
    def source() -> RegistryLogin:
        raise CredentialHelperFailed("docker-credential-desktop is not installed")

    without_login = FakeRegistry(challenge="bearer")
    assert with_repository(without_login, push, source) == len(BLOB)
    with pytest.raises(CredentialHelperFailed):
        with_repository(FakeRegistry(challenge="basic"), push, source)


def test_redirected_download_sends_no_login(tmp_path: Path) -> None:
    registry = FakeRegistry(challenge="basic", accepted={basic("a", "b")}, redirects=True)
    registry.add("agent", BLOB)
    read = with_repository(
        registry, lambda repository: repository.read(DIGEST), lambda: RegistryLogin("a", "b")
    )
    assert read == BLOB


def test_repr_of_login_hides_secrets() -> None:
    assert "secret" not in repr(RegistryLogin("me", "secret", "secret-token"))
