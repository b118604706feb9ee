"""A repository held open: logins, what is sent and what is not, and lines that break."""

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

from tests.standins.image.in_process_registry import ARegistry, Fault, digest_of
from tests.standins.models.certificates import make_certificates
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import HelperFailed, Login, Source
from voicecore.image.registry.errors import (
    Corrupt,
    ImageMissing,
    NoSuchPlatform,
    NotLoggedIn,
    PullLimit,
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
SOON = (0.01, 0.01, 0.01)
ECR = Reference("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "voicecore/agent", "t")
HUB = Reference("docker.io", "me/agent")


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def nobody() -> None:
    return None


def talk(
    registry: ARegistry,
    body: Callable[[Repository], Awaitable[Any]],
    source: Source = nobody,
    actions: str = "pull,push",
    name: str = "agent",
) -> Any:
    """What `body` returns of a repository of `registry`, while that is up."""

    async def work() -> Any:
        async with registry.serving():
            reference = Reference(registry.host, name, "t")
            async with Repository(reference, source, actions, SOON) as repository:
                return await body(repository)

    return asyncio.run(work())


async def content() -> AsyncIterator[bytes]:
    for start in range(0, len(BLOB), 100_000):
        yield BLOB[start : start + 100_000]


def quiet(progress: Progress) -> None:
    del progress


async def push(repository: Repository, mount_from: str = "") -> int:
    return await repository.push(DIGEST, len(BLOB), content, quiet, "blob", mount_from)


# ---- what is sent, and what is not


def test_a_blob_is_pushed_in_one_piece() -> None:
    registry = ARegistry()
    assert talk(registry, push) == len(BLOB)
    assert registry.blobs["agent"][DIGEST] == BLOB
    assert [each.bytes for each in registry.asked("PUT")] == [len(BLOB)]
    assert not registry.asked("PATCH")


def test_a_blob_that_is_there_is_not_sent() -> None:
    registry = ARegistry()
    registry.add("agent", BLOB)
    assert talk(registry, push) == 0
    assert [each.method for each in registry.journal if each.path != "/v2/"] == ["HEAD"]


def test_a_blob_of_a_neighbour_is_mounted() -> None:
    registry = ARegistry()
    registry.add("base", BLOB)
    assert talk(registry, lambda repository: push(repository, "base")) == 0
    assert registry.blobs["agent"][DIGEST] == BLOB
    assert not registry.asked("PUT")


def test_a_registry_that_mounts_nothing_is_sent_the_blob_at_once() -> None:
    registry = ARegistry(mounts=False)
    registry.add("base", BLOB)
    assert talk(registry, lambda repository: push(repository, "base")) == len(BLOB)
    assert len(registry.asked("POST")) == 1


def test_who_may_not_mount_sends() -> None:
    registry = ARegistry(faults=[Fault("POST", "/uploads/", status=403, code="DENIED")])
    assert talk(registry, lambda repository: push(repository, "base")) == len(BLOB)


def test_progress_is_told_in_bytes() -> None:
    told: list[Progress] = []

    async def work(repository: Repository) -> None:
        await repository.push(DIGEST, len(BLOB), content, told.append, "push code")
        await repository.push(DIGEST, len(BLOB), content, told.append, "push code")

    talk(ARegistry(), work)
    sizes = [progress.done for progress in told if not progress.finished]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(BLOB)
    assert {progress.total for progress in told} == {len(BLOB)}
    assert [progress.note for progress in told if progress.finished] == ["", "there already"]


# ---- lines that break


def test_a_push_whose_line_is_cut_is_tried_again() -> None:
    registry = ARegistry(faults=[Fault("PUT", "/uploads/", cut_after=300_000, times=2)])
    assert talk(registry, push) == len(BLOB)
    assert [each.status for each in registry.asked("PUT")] == [0, 0, 201]


def test_what_arrived_though_the_answer_was_lost_is_not_sent_again() -> None:
    registry = ARegistry(faults=[Fault("PUT", "/uploads/", status=504)])

    async def work(repository: Repository) -> None:
        registry.add("agent", BLOB)
        registry.faults.append(Fault("HEAD", "/blobs/", status=404))
        await push(repository)

    talk(registry, work)
    assert len(registry.asked("PUT")) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_registry_is_asked_again(status: int) -> None:
    registry = ARegistry(faults=[Fault("POST", "/uploads/", status=status)])
    assert talk(registry, push) == len(BLOB)


def test_an_upload_that_the_registry_forgot_is_begun_anew() -> None:
    registry = ARegistry(faults=[Fault("PUT", "/uploads/", status=404, code="BLOB_UPLOAD_UNKNOWN")])
    assert talk(registry, push) == len(BLOB)
    assert len(registry.asked("POST")) == 2


def test_a_line_that_is_always_cut_ends_as_a_lost_registry() -> None:
    registry = ARegistry(faults=[Fault("PUT", "/uploads/", cut_after=1, times=99)])
    with pytest.raises(RegistryUnreachable, match="was lost: the connection broke"):
        talk(registry, push)
    assert len(registry.asked("PUT")) == len(SOON) + 1


def test_nobody_listens() -> None:
    async def work() -> None:
        async with Repository(Reference("127.0.0.1:1", "agent"), nobody):
            pass

    with pytest.raises(RegistryUnreachable, match="cannot be reached: nothing listens there"):
        asyncio.run(work())


def test_a_host_that_is_none() -> None:
    async def work() -> None:
        async with Repository(Reference("registry.invalid", "agent"), nobody) as repository:
            await repository.find("t")

    with pytest.raises(RegistryUnreachable, match="no host of that name"):
        asyncio.run(work())


def test_an_address_of_another_scheme_is_still_the_registrys() -> None:
    registry = ARegistry(challenge="basic", good={basic("a", "b")})

    async def work(repository: Repository) -> int:
        registry.place = f"https://{registry.host}"
        return await push(repository)

    assert talk(registry, work, lambda: Login("a", "b")) == len(BLOB)


def through(context: ssl.SSLContext, environment: dict[str, str]) -> str:
    """What a program prints that asks `registry.example` for an image, through a proxy."""
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
        registry = ARegistry()
        async with registry.serving(context):

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked = await reader.readuntil(b"\r\n\r\n")
                assert asked.startswith(b"CONNECT registry.example:443")
                there, away = await asyncio.open_connection("127.0.0.1", registry.port)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await asyncio.gather(carry(reader, away), carry(there, writer))

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


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(2**16):
            writer.write(piece)
    except ConnectionError:
        pass
    writer.close()


def test_a_proxy_and_a_companys_certificates(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["registry.example"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.chain, made.key)
    assert through(context, {"SSL_CERT_FILE": str(made.authority)}) == "None"
    distrusted = through(context, {"SSL_CERT_FILE": ""})
    assert "certificate of registry.example is not trusted" in distrusted
    assert "SSL_CERT_FILE" in distrusted
    gone = through(context, {"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert "the proxy 127.0.0.1:1 cannot be reached" in gone


def test_a_registry_of_this_machine_may_speak_tls(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.chain, made.key)

    async def work() -> None:
        registry = ARegistry()
        async with registry.serving(context):
            reference = Reference(f"localhost:{registry.port}", "agent")
            async with Repository(reference, nobody, pauses=SOON) as repository:
                await repository.find("t")

    with pytest.raises(RegistryNotTrusted):
        asyncio.run(work())


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_the_line_was_cut(tmp_path: Path, ranges: bool) -> None:
    registry = ARegistry(ranges=ranges, faults=[Fault("GET", "/blobs/", cut_after=500_000)])
    registry.add("agent", BLOB)
    told: list[int] = []
    path = tmp_path / "blob"
    talk(registry, lambda repository: repository.download(DIGEST, path, told.append))
    assert path.read_bytes() == BLOB
    assert told[-1] == len(BLOB)
    assert [each.status for each in registry.asked("GET", "/blobs/")] == [0, 206 if ranges else 200]


def test_a_download_of_other_bytes_is_an_error(tmp_path: Path) -> None:
    registry = ARegistry()
    registry.blobs["agent"] = {DIGEST: BLOB[:-1] + b"!"}
    with pytest.raises(Corrupt):
        talk(registry, lambda repository: repository.download(DIGEST, tmp_path / "blob", print))


# ---- who we are


def test_a_registry_that_asks_for_a_password() -> None:
    registry = ARegistry(challenge="basic", good={basic("AWS", "secret")})
    assert talk(registry, push, lambda: Login("AWS", "secret")) == len(BLOB)


def test_a_token_that_expires_mid_push_is_renewed() -> None:
    passwords = iter(["one", "two", "three"])
    registry = ARegistry(challenge="basic", good={basic("AWS", "one")}, says_expired=True)

    async def expiring() -> AsyncIterator[bytes]:
        # It expires while the blob is sent, and what was sent is lost.
        if registry.good == {basic("AWS", "one")}:
            registry.good = {basic("AWS", "two")}
            registry.faults.append(Fault("PUT", "/uploads/", cut_after=100_000))
        async for chunk in content():
            yield chunk

    def source() -> Login:
        return Login("AWS", next(passwords))

    async def work(repository: Repository) -> int:
        return await repository.push(DIGEST, len(BLOB), expiring, quiet, "blob")

    assert talk(registry, work, source) == len(BLOB)
    assert next(passwords) == "three"
    assert 403 in {each.status for each in registry.journal}


def test_many_at_once_renew_a_token_once() -> None:
    asked: list[int] = []
    registry = ARegistry(challenge="basic", good={basic("AWS", "secret")})

    def source() -> Login:
        asked.append(1)
        return Login("AWS", "secret")

    async def work(repository: Repository) -> None:
        await asyncio.gather(*(repository.find(tag) for tag in "abcdefgh"))

    talk(registry, work, source)
    assert len(asked) == 1


def test_a_bearer_token_is_fetched_for_what_is_to_be_done() -> None:
    registry = ARegistry(challenge="bearer", token_wants=basic("me", "secret"))
    registry.add("base", BLOB)
    talk(registry, lambda repository: push(repository, "base"), lambda: Login("me", "secret"))
    assert registry.tokens[0]["scope"] == ["extra", "repository:agent:pull,push"]
    assert "repository:base:pull" in registry.tokens[-1]["scope"]


def test_a_bearer_token_near_its_end_is_renewed_before_a_blob_is_sent_with_it() -> None:
    registry = ARegistry(challenge="bearer", token_seconds=1)

    async def work(repository: Repository) -> None:
        await repository.find("t")
        registry.good.clear()
        await push(repository)

    talk(registry, work)
    assert len(registry.tokens) == 2


def test_a_public_registry_gives_tokens_to_anybody() -> None:
    registry = ARegistry(challenge="bearer")
    registry.add("agent", BLOB)
    assert talk(registry, lambda repository: repository.read(DIGEST), actions="pull") == BLOB


def test_a_login_that_is_no_good_does_not_stop_a_pull_that_needs_none() -> None:
    registry = ARegistry(challenge="bearer", faults=[Fault("GET", "/token", status=403)])
    registry.add("agent", BLOB)
    read = talk(registry, lambda r: r.read(DIGEST), lambda: Login("me", "old"), actions="pull")
    assert read == BLOB


def test_an_identity_token_is_a_refresh_token() -> None:
    registry = ARegistry(challenge="bearer", token_wants="identity")
    talk(registry, push, lambda: Login("", "", "identity"))
    assert registry.tokens[0]["grant_type"] == ["refresh_token"]


def test_nobody_is_told_to_log_in() -> None:
    with pytest.raises(NotLoggedIn, match=r"not logged in") as caught:
        talk(ARegistry(challenge="basic"), push)
    assert caught.value.hint
    assert "docker login 127.0.0.1:" in caught.value.hint


def test_a_wrong_password() -> None:
    with pytest.raises(NotLoggedIn, match="401 Unauthorized"):
        talk(ARegistry(challenge="basic"), push, lambda: Login("me", "wrong"))


def test_a_helper_that_fails_is_told_only_where_a_login_is_wanted() -> None:
    def source() -> Login:
        raise HelperFailed("docker-credential-desktop is not installed")

    open_to_all = ARegistry(challenge="bearer")
    assert talk(open_to_all, push, source) == len(BLOB)
    with pytest.raises(HelperFailed):
        talk(ARegistry(challenge="basic"), push, source)


def test_a_download_from_elsewhere_takes_no_login_along(tmp_path: Path) -> None:
    registry = ARegistry(challenge="basic", good={basic("a", "b")}, elsewhere=True)
    registry.add("agent", BLOB)
    read = talk(registry, lambda repository: repository.read(DIGEST), lambda: Login("a", "b"))
    assert read == BLOB


def test_a_login_says_no_secret() -> None:
    assert "secret" not in repr(Login("me", "secret", "secret-token"))


# ---- manifests and platforms


def an_image(registry: ARegistry, name: str, architecture: str) -> dict[str, Any]:
    config = json.dumps({"os": "linux", "architecture": architecture, "variant": "v8"}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"digest": registry.add(name, config), "size": len(config)},
        "layers": [],
    }
    return {
        "digest": registry.add_manifest(name, architecture, OCI_MANIFEST, document),
        "platform": {"os": "linux", "architecture": architecture, "variant": "v8"},
    }


def test_of_an_index_the_image_for_agentcore_is_taken() -> None:
    registry = ARegistry()
    entries = [an_image(registry, "agent", name) for name in ("amd64", "arm64")]
    unknown = {"digest": DIGEST, "platform": {"os": "unknown", "architecture": "unknown"}}
    index = registry.add_manifest("agent", "t", OCI_INDEX, {"manifests": [*entries, unknown]})
    image = talk(registry, lambda repository: repository.image("t"))
    assert image.digest == index
    assert image.config["architecture"] == "arm64"


def test_an_index_without_it_says_what_it_has() -> None:
    registry = ARegistry()
    unknown = {"digest": DIGEST, "platform": {"os": "unknown", "architecture": "unknown"}}
    entries = [an_image(registry, "agent", "amd64"), unknown]
    registry.add_manifest("agent", "t", OCI_INDEX, {"manifests": entries})
    with pytest.raises(NoSuchPlatform, match="it is made for linux/amd64/v8") as caught:
        talk(registry, lambda repository: repository.image("t"))
    assert "unknown" not in caught.value.message
    assert caught.value.exit_code == ExitCode.BAD_PROJECT


def test_a_single_image_of_another_platform() -> None:
    registry = ARegistry()
    an_image(registry, "agent", "amd64")
    with pytest.raises(NoSuchPlatform):
        talk(registry, lambda repository: repository.image("amd64"))


def test_a_manifest_is_put_and_found() -> None:
    async def work(repository: Repository) -> None:
        assert await repository.find("t") is None
        digest = await repository.push_manifest("t", OCI_MANIFEST, b"{}")
        found = await repository.find("t")
        assert found and found.digest == digest == digest_of(b"{}")
        assert found.media_type == OCI_MANIFEST

    talk(ARegistry(), work)


def test_an_image_that_is_not_there() -> None:
    with pytest.raises(ImageMissing, match="agent:nothing"):
        talk(ARegistry(), lambda repository: repository.manifest("nothing"))


# ---- refusals


@pytest.mark.parametrize(
    ("status", "code", "said", "kind"),
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
def test_refusals_have_names(status: int, code: str, said: str, kind: type[VoicecoreError]) -> None:
    error = refusal(status, [(code, said)], f"{status} {said}", ECR)
    assert type(error) is kind
    if kind is not RegistryFull:
        assert error.exit_code == ExitCode.AWS_REFUSED
        assert refusal(status, [(code, said)], said, HUB).exit_code == ExitCode.FAILED


def test_a_repository_that_ecr_does_not_have_can_be_made() -> None:
    hint = refusal(404, [("NAME_UNKNOWN", "")], "", ECR).hint or ""
    assert "aws ecr create-repository --repository-name voicecore/agent --region eu-west-1" in hint


def test_a_limit_of_hours_is_not_waited_for() -> None:
    said = "You have reached your unauthenticated pull rate limit."
    fault = Fault("GET", "/manifests/", status=429, code="TOOMANYREQUESTS", message=said, times=99)
    registry = ARegistry(faults=[fault])
    with pytest.raises(PullLimit, match="pull rate limit"):
        talk(registry, lambda repository: repository.find("t"))
    assert len(registry.asked("GET", "/manifests/")) == 1


def test_a_full_registry_is_not_tried_again() -> None:
    fault = Fault("PUT", "/uploads/", status=500, message="no space left on device", times=99)
    registry = ARegistry(faults=[fault])
    with pytest.raises(RegistryFull):
        talk(registry, push)
    assert len(registry.asked("PUT")) == 1
