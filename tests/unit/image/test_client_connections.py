"""The registry client over proxies, TLS and connections that fail."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from pathlib import Path

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault
from tests.standins.models.certificates import make_certificates
from tests.unit.image.repositories import (
    BLOB,
    DIGEST,
    SHORT_PAUSES,
    anonymous,
    basic,
    push,
    with_repository,
)
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import RegistryLogin
from voicecore.image.registry.errors import (
    BlobCorrupt,
    RegistryNotTrusted,
    RegistryUnreachable,
)
from voicecore.image.registry.reference import Reference


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


def through(
    context: ssl.SSLContext,
    environment: dict[str, str],
    registry: FakeRegistry | None = None,
    login: str = "None",
) -> str:
    """Return the output of a program that requests an image of `registry.example` via a proxy."""
    registry = registry or FakeRegistry()
    program = (
        "import asyncio\n"
        "from voicecore.console.errors import VoicecoreError\n"
        "from voicecore.image.registry.reference import parse_reference\n"
        "from voicecore.image.registry.client import Repository\n"
        "from voicecore.image.registry.credentials import RegistryLogin\n"
        "async def work():\n"
        "    name = parse_reference('registry.example/agent')\n"
        f"    async with Repository(name, lambda: {login}) as repository:\n"
        "        print(await repository.find('t'))\n"
        "try:\n    asyncio.run(work())\n"
        "except VoicecoreError as error:\n    print(error.message, error.hint)\n"
    )

    async def work() -> str:
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


@pytest.mark.slow
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


def test_logins_of_netrc_are_not_for_registries(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path, ["registry.example"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.chain, certificates.key)
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password secret\n")
    env = {"SSL_CERT_FILE": str(certificates.authority), "NETRC": str(netrc)}
    registry = FakeRegistry(challenge="basic", accepted={basic("a", "b")})
    assert through(context, env, registry, "RegistryLogin('a', 'b')") == "None"
    sent = {each.authorization for each in registry.log}
    assert basic("someone", "secret") not in sent


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
