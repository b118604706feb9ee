"""The registry client: pushes, downloads, logins, retries and errors."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault, digest_of
from tests.standins.models.certificates import make_certificates
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import CredentialHelperFailed, LoginSource, RegistryLogin
from voicecore.image.registry.errors import (
    BlobCorrupt,
    ImageMissing,
    NotLoggedIn,
    PlatformMissing,
    PullLimitReached,
    RegistryDenied,
    RegistryFull,
    RegistryNotTrusted,
    RegistryRefused,
    RegistryUnreachable,
    RepositoryMissing,
    TagTaken,
    refusal,
)
from voicecore.image.registry.manifests import OCI_INDEX, OCI_MANIFEST
from voicecore.image.registry.reference import Reference

BLOB = bytes(range(256)) * 4096
DIGEST = digest_of(BLOB)
SHORT_PAUSES = (0.01, 0.01, 0.01)
ECR = Reference("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "voicecore/agent", "t")
HUB = Reference("docker.io", "me/agent")


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def anonymous() -> None:
    return None


def with_repository(
    registry: FakeRegistry,
    body: Callable[[Repository], Awaitable[Any]],
    source: LoginSource = anonymous,
    actions: str = "pull,push",
    name: str = "agent",
) -> Any:
    """Run `body` with a repository of `registry`, and return its result."""

    async def work() -> Any:
        async with registry.serving():
            reference = Reference(registry.host, name, "t")
            async with Repository(reference, source, actions, SHORT_PAUSES) as repository:
                return await body(repository)

    return asyncio.run(work())


async def content() -> AsyncIterator[bytes]:
    for start in range(0, len(BLOB), 100_000):
        yield BLOB[start : start + 100_000]


def ignore(progress: Progress) -> None:
    del progress


async def push(repository: Repository, mount_from: str = "") -> int:
    return await repository.push(DIGEST, len(BLOB), content, ignore, "blob", mount_from)


# ---- pushing


def test_push_sends_blob_in_one_request() -> None:
    registry = FakeRegistry()
    assert with_repository(registry, push) == len(BLOB)
    assert registry.blobs["agent"][DIGEST] == BLOB
    assert [each.bytes for each in registry.find("PUT")] == [len(BLOB)]
    assert not registry.find("PATCH")


def test_push_skips_existing_blob() -> None:
    registry = FakeRegistry()
    registry.add("agent", BLOB)
    assert with_repository(registry, push) == 0
    assert [each.method for each in registry.log if each.path != "/v2/"] == ["HEAD"]


def test_push_mounts_blob_of_other_repository() -> None:
    registry = FakeRegistry()
    registry.add("base", BLOB)
    assert with_repository(registry, lambda repository: push(repository, "base")) == 0
    assert registry.blobs["agent"][DIGEST] == BLOB
    assert not registry.find("PUT")


def test_push_sends_blob_if_registry_mounts_nothing() -> None:
    registry = FakeRegistry(mounts=False)
    registry.add("base", BLOB)
    assert with_repository(registry, lambda repository: push(repository, "base")) == len(BLOB)
    assert len(registry.find("POST")) == 1


def test_push_sends_blob_if_mount_is_denied() -> None:
    registry = FakeRegistry(faults=[Fault("POST", "/uploads/", status=403, code="DENIED")])
    assert with_repository(registry, lambda repository: push(repository, "base")) == len(BLOB)


def test_push_reports_progress_in_bytes() -> None:
    steps: list[Progress] = []

    async def work(repository: Repository) -> None:
        await repository.push(DIGEST, len(BLOB), content, steps.append, "pushing code")
        await repository.push(DIGEST, len(BLOB), content, steps.append, "pushing code")

    with_repository(FakeRegistry(), work)
    sizes = [step.done for step in steps if not step.finished]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(BLOB)
    assert {step.total for step in steps} == {len(BLOB)}
    assert [step.note for step in steps if step.finished] == ["", "already there"]


# ---- network failures


def test_push_retries_after_lost_connection() -> None:
    registry = FakeRegistry(faults=[Fault("PUT", "/uploads/", cut_after=300_000, times=2)])
    assert with_repository(registry, push) == len(BLOB)
    assert [each.status for each in registry.find("PUT")] == [0, 0, 201]


def test_push_finds_blob_whose_answer_was_lost() -> None:
    registry = FakeRegistry(faults=[Fault("PUT", "/uploads/", status=504)])

    async def work(repository: Repository) -> None:
        registry.add("agent", BLOB)
        registry.faults.append(Fault("HEAD", "/blobs/", status=404))
        await push(repository)

    with_repository(registry, work)
    assert len(registry.find("PUT")) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_push_retries_busy_registry(status: int) -> None:
    registry = FakeRegistry(faults=[Fault("POST", "/uploads/", status=status)])
    assert with_repository(registry, push) == len(BLOB)


def test_push_restarts_upload_that_registry_lost() -> None:
    registry = FakeRegistry(
        faults=[Fault("PUT", "/uploads/", status=404, code="BLOB_UPLOAD_UNKNOWN")]
    )
    assert with_repository(registry, push) == len(BLOB)
    assert len(registry.find("POST")) == 2


def test_push_fails_after_all_retries() -> None:
    registry = FakeRegistry(faults=[Fault("PUT", "/uploads/", cut_after=1, times=99)])
    with pytest.raises(
        RegistryUnreachable,
        match=r"Lost the connection to the registry .*: the connection was lost",
    ):
        with_repository(registry, push)
    assert len(registry.find("PUT")) == len(SHORT_PAUSES) + 1


def test_refused_connection_is_reported() -> None:
    async def work() -> None:
        async with Repository(Reference("127.0.0.1:1", "agent"), anonymous):
            pass

    with pytest.raises(
        RegistryUnreachable, match=r"Could not connect to the registry .*: connection refused"
    ):
        asyncio.run(work())


def test_unknown_host_is_reported() -> None:
    async def work() -> None:
        async with Repository(Reference("registry.invalid", "agent"), anonymous) as repository:
            await repository.find("t")

    with pytest.raises(RegistryUnreachable, match="no such host"):
        asyncio.run(work())


def test_upload_url_with_other_scheme_gets_login() -> None:
    registry = FakeRegistry(challenge="basic", accepted={basic("a", "b")})

    async def work(repository: Repository) -> int:
        registry.upload_host = f"https://{registry.host}"
        return await push(repository)

    assert with_repository(registry, work, lambda: RegistryLogin("a", "b")) == len(BLOB)


def through(context: ssl.SSLContext, environment: dict[str, str]) -> str:
    """Return the output of a program that requests an image of `registry.example` via a proxy."""
    program = (
        "import asyncio\n"
        "from voicecore.console.errors import VoicecoreError\n"
        "from voicecore.image.registry.reference import parse_reference\n"
        "from voicecore.image.registry.client import Repository\n"
        "async def work():\n"
        "    name = parse_reference('registry.example/agent')\n"
        "    async with Repository(name, lambda: None) as repository:\n"
        "        print(await repository.find('t'))\n"
        "try:\n    asyncio.run(work())\n"
        "except VoicecoreError as error:\n    print(error.message, error.hint)\n"
    )

    async def work() -> str:
        registry = FakeRegistry()
        async with registry.serving(context):

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                request = await reader.readuntil(b"\r\n\r\n")
                assert request.startswith(b"CONNECT registry.example:443")
                answers, requests = await asyncio.open_connection("127.0.0.1", registry.port)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await asyncio.gather(forward(reader, requests), forward(answers, writer))

            proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
            port = proxy.sockets[0].getsockname()[1]
            env = {**os.environ, "HTTPS_PROXY": f"http://127.0.0.1:{port}", **environment}
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, env=env, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await process.communicate()
            proxy.close()
            return out.decode().strip()

    return asyncio.run(work())


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(2**16):
            writer.write(piece)
    except ConnectionError:
        pass
    writer.close()


def test_proxy_with_corporate_certificates(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path, ["registry.example"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.chain, certificates.key)
    assert through(context, {"SSL_CERT_FILE": str(certificates.authority)}) == "None"
    distrusted = through(context, {"SSL_CERT_FILE": ""})
    assert "certificate of registry.example is not trusted" in distrusted
    assert "SSL_CERT_FILE" in distrusted
    no_proxy = through(context, {"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert "could not connect to the proxy 127.0.0.1:1" in no_proxy


def test_loopback_registry_may_use_tls(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path, ["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.chain, certificates.key)

    async def work() -> None:
        registry = FakeRegistry()
        async with registry.serving(context):
            reference = Reference(f"localhost:{registry.port}", "agent")
            async with Repository(reference, anonymous, pauses=SHORT_PAUSES) as repository:
                await repository.find("t")

    with pytest.raises(RegistryNotTrusted):
        asyncio.run(work())


@pytest.mark.parametrize("ranges", [True, False])
def test_download_resumes_after_lost_connection(tmp_path: Path, ranges: bool) -> None:
    registry = FakeRegistry(ranges=ranges, faults=[Fault("GET", "/blobs/", cut_after=500_000)])
    registry.add("agent", BLOB)
    done: list[int] = []
    path = tmp_path / "blob"
    with_repository(
        registry, lambda repository: repository.download(DIGEST, len(BLOB), path, done.append)
    )
    assert path.read_bytes() == BLOB
    assert done[-1] == len(BLOB)
    assert [each.status for each in registry.find("GET", "/blobs/")] == [0, 206 if ranges else 200]


def test_download_checks_digest(tmp_path: Path) -> None:
    registry = FakeRegistry()
    registry.blobs["agent"] = {DIGEST: BLOB[:-1] + b"!"}
    with pytest.raises(BlobCorrupt):
        with_repository(
            registry,
            lambda repository: repository.download(DIGEST, len(BLOB), tmp_path / "blob", print),
        )


# ---- logins


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


def test_pull_without_login_works_despite_bad_login() -> None:
    registry = FakeRegistry(challenge="bearer", faults=[Fault("GET", "/token", status=403)])
    registry.add("agent", BLOB)
    read = with_repository(
        registry, lambda r: r.read(DIGEST), lambda: RegistryLogin("me", "old"), actions="pull"
    )
    assert read == BLOB


def test_identity_token_is_used_as_refresh_token() -> None:
    registry = FakeRegistry(challenge="bearer", token_login="identity")
    with_repository(registry, push, lambda: RegistryLogin("", "", "identity"))
    assert registry.tokens[0]["grant_type"] == ["refresh_token"]


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


# ---- manifests and platforms


def add_image(registry: FakeRegistry, name: str, architecture: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture, "variant": "v8"}
    config = json.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": registry.add(name, config),
            "size": len(config),
        },
        "layers": [],
    }
    return {
        "digest": registry.add_manifest(name, architecture, OCI_MANIFEST, document),
        "platform": platform,
    }


def test_image_selects_arm64_from_index() -> None:
    registry = FakeRegistry()
    entries = [add_image(registry, "agent", name) for name in ("amd64", "arm64")]
    unknown = {"digest": DIGEST, "platform": {"os": "unknown", "architecture": "unknown"}}
    index = registry.add_manifest("agent", "t", OCI_INDEX, {"manifests": [*entries, unknown]})
    image = with_repository(registry, lambda repository: repository.image("t"))
    assert image.digest == index
    assert image.config["architecture"] == "arm64"


def test_image_lists_platforms_of_index_without_arm64() -> None:
    registry = FakeRegistry()
    unknown = {"digest": DIGEST, "platform": {"os": "unknown", "architecture": "unknown"}}
    entries = [add_image(registry, "agent", "amd64"), unknown]
    registry.add_manifest("agent", "t", OCI_INDEX, {"manifests": entries})
    with pytest.raises(PlatformMissing, match="it supports linux/amd64/v8") as caught:
        with_repository(registry, lambda repository: repository.image("t"))
    assert "unknown" not in caught.value.message
    assert caught.value.exit_code == ExitCode.BAD_PROJECT


def test_image_refuses_single_image_of_other_platform() -> None:
    registry = FakeRegistry()
    add_image(registry, "agent", "amd64")
    with pytest.raises(PlatformMissing):
        with_repository(registry, lambda repository: repository.image("amd64"))


def test_pushed_manifest_is_found() -> None:
    async def work(repository: Repository) -> None:
        assert await repository.find("t") is None
        digest = await repository.push_manifest("t", OCI_MANIFEST, b"{}")
        found = await repository.find("t")
        assert found and found.digest == digest == digest_of(b"{}")
        assert found.media_type == OCI_MANIFEST

    with_repository(FakeRegistry(), work)


def test_manifest_reports_missing_image() -> None:
    with pytest.raises(ImageMissing, match="agent:nothing"):
        with_repository(FakeRegistry(), lambda repository: repository.manifest("nothing"))


# ---- refusals


@pytest.mark.parametrize(
    ("status", "code", "summary", "kind"),
    [
        (401, "UNAUTHORIZED", "authentication required", NotLoggedIn),
        (403, "DENIED", "requested access to the resource is denied", RegistryDenied),
        (404, "NAME_UNKNOWN", "repository name not known", RepositoryMissing),
        (400, "TAG_INVALID", "the tag is immutable", TagTaken),
        (413, "", "entity too large", RegistryFull),
        (507, "", "insufficient storage", RegistryFull),
        (500, "UNKNOWN", "write /var/x: no space left on device", RegistryFull),
        (400, "MANIFEST_INVALID", "manifest invalid", RegistryRefused),
    ],
)
def test_refusal_returns_specific_error(
    status: int, code: str, summary: str, kind: type[VoicecoreError]
) -> None:
    error = refusal(status, [(code, summary)], f"{status} {summary}", ECR)
    assert type(error) is kind
    if kind is not RegistryFull:
        assert error.exit_code == ExitCode.AWS_REFUSED
        assert refusal(status, [(code, summary)], summary, HUB).exit_code == ExitCode.FAILED


def test_missing_ecr_repository_has_create_command() -> None:
    hint = refusal(404, [("NAME_UNKNOWN", "")], "", ECR).hint or ""
    assert "aws ecr create-repository --repository-name voicecore/agent --region eu-west-1" in hint


def test_pull_limit_is_not_retried() -> None:
    message = "You have reached your unauthenticated pull rate limit."
    fault = Fault(
        "GET", "/manifests/", status=429, code="TOOMANYREQUESTS", message=message, times=99
    )
    registry = FakeRegistry(faults=[fault])
    with pytest.raises(PullLimitReached, match="pull rate limit"):
        with_repository(registry, lambda repository: repository.find("t"))
    assert len(registry.find("GET", "/manifests/")) == 1


def test_full_registry_is_not_retried() -> None:
    fault = Fault("PUT", "/uploads/", status=500, message="no space left on device", times=99)
    registry = FakeRegistry(faults=[fault])
    with pytest.raises(RegistryFull):
        with_repository(registry, push)
    assert len(registry.find("PUT")) == 1
