"""Several servers share their security state through DynamoDB, and a new one knows it too."""

import asyncio
import importlib
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.server.serving import (
    AUTHORIZED,
    KEY,
    UNLIMITED,
    RunningServer,
    offer,
    serving,
    start,
)
from tests.standins.server.agentcore import AgentCore
from voicecore.cloud.stacks.server_stack import session_table
from voicecore.contract.invites import invite_id, sign_invite

daily = importlib.import_module("daily_cloud")


@dataclass
class Dynamo:
    """A DynamoDB with the table of the server's stack."""

    server: ThreadedMotoServer
    client: Any
    name: str

    @property
    def settings(self) -> dict[str, str]:
        host, port = self.server.get_host_and_port()
        url = f"http://{host}:{port}"
        return {"SESSION_STORE": f"dynamodb://{self.name}", "AWS_ENDPOINT_URL_DYNAMODB": url}

    def leases(self) -> list[float]:
        """Return for how many seconds sessions still count as open."""
        items = self.client.scan(TableName=self.name)["Items"]
        return [
            int(item["expires"]["N"]) - time.time()
            for item in items
            if item["subject"]["S"].startswith("open:")
        ]

    def age(self, seconds: int) -> None:
        """Let this time pass for the sessions that count as open."""
        for item in self.client.scan(TableName=self.name)["Items"]:
            if item["subject"]["S"].startswith("open:"):
                expires = {"N": str(int(item["expires"]["N"]) - seconds)}
                self.client.put_item(TableName=self.name, Item=item | {"expires": expires})


@contextmanager
def dynamo() -> Iterator[Dynamo]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client: Any = boto3.client(
            "dynamodb", region_name="us-east-1", endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example",
        )  # fmt: skip
        name = f"server-{uuid.uuid4()}"  # moto's state outlives its server
        properties = dict(session_table(name).properties)
        del properties["TimeToLiveSpecification"]  # a call of its own
        client.create_table(**properties)
        yield Dynamo(server, client, name)
    finally:
        server.stop()


@pytest.fixture
def shared_table() -> Iterator[Dynamo]:
    with dynamo() as table:
        yield table


def test_two_servers_and_a_new_one_share_what_they_know(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    limits = UNLIMITED | {"SESSIONS_AT_ONCE": "2"} | shared_table.settings
    with (
        serving(folder, tmp_path / "1", aws.url, **limits) as first,
        serving(folder, tmp_path / "2", aws.url, **limits) as second,
        serving(folder, tmp_path / "3", aws.url, **limits) as third,
    ):
        asyncio.run(conversation(first, second, third))


async def conversation(first: RunningServer, second: RunningServer, third: RunningServer) -> None:
    async with first.client() as one, second.client() as other, third.client() as new:
        path, token = await start(one)
        ended, its = await start(one)
        async with other.post("/start", headers=AUTHORIZED) as answer:
            assert answer.status == 429  # two sessions run, and all servers count them
        async with one.delete(ended, headers=its) as answer:
            assert answer.status == 204
        first.process.kill()
        first.process.wait()
        for client in (other, new):
            assert await offer(client, path, token) == 200
            assert await offer(client, ended, its) == 404
            again = {"sessionId": ended.rpartition("/")[2], "token": its["X-Session-Token"]}
            async with client.post("/start", json=again, headers=AUTHORIZED) as answer:
                assert answer.status == 404


def test_webhook_is_accepted_by_one_server_only(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    body = json.dumps(
        {"From": "+14155550100", "To": "+14155550123", "callId": "1", "callDomain": "lab"}
    ).encode()

    async def dial(server: RunningServer) -> int:
        headers = daily.signed(body, time.time())
        async with (
            server.client() as client,
            client.post("/daily/dialin", data=body, headers=headers) as answer,
        ):
            return answer.status

    with daily.daily_cloud() as cloud:
        settings = {
            **UNLIMITED, **shared_table.settings, **cloud.variables, "DAILY_DIALIN_HMAC": daily.HMAC
        }  # fmt: skip
        with (
            serving(folder, tmp_path / "1", aws.url, **settings) as first,
            serving(folder, tmp_path / "2", aws.url, **settings) as second,
        ):
            assert asyncio.run(dial(first)) == 200
            assert asyncio.run(dial(second)) == 401


def test_answered_offer_lengthens_the_lease(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    async def call() -> tuple[list[float], list[float], list[float]]:
        async with server.client() as client:
            path, token = await start(client)
            before = shared_table.leases()
            aws.refusals = [(403, "AccessDeniedException")]
            assert await offer(client, path, token) == 502
            refused = shared_table.leases()
            aws.refusals = []
            assert await offer(client, path, token) == 200
            async with asyncio.timeout(60):
                while max(shared_table.leases()) < 1000:  # noqa: ASYNC110 - written after the answer
                    await asyncio.sleep(0.01)
            return before, refused, shared_table.leases()

    with serving(folder, tmp_path / "log", aws.url, **shared_table.settings) as server:
        before, refused, after = asyncio.run(call())
    assert len(before) == len(refused) == len(after) == 1
    assert 0 < before[0] <= 121 and 0 < refused[0] <= 121
    assert 3000 < after[0] <= 3901


def test_revoked_invite_is_refused_by_all_servers(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    revoked, valid = (sign_invite(KEY, time.time() + 3600) for _ in range(2))

    async def ask(client: aiohttp.ClientSession, invite: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {invite}"}
        async with client.post("/start", json={}, headers=headers) as answer:
            return answer.status, await answer.json()

    async def revoke() -> None:
        async with first.client() as one, second.client() as other:
            status, mine = await ask(one, revoked)
            assert status == 200
            path = f"/invites/{invite_id(revoked)}"
            async with one.delete(path) as answer:
                assert answer.status == 401
            async with other.delete(path, headers=AUTHORIZED) as answer:
                assert (answer.status, await answer.json()) == (200, {"ended": 1})
            assert aws.stopped == [mine["sessionId"]]
            assert not shared_table.leases()
            assert (await ask(other, revoked))[0] == 401
            assert (await ask(other, valid))[0] == 200
            token = {"X-Session-Token": mine["token"]}
            async with other.get(f"/sessions/{mine['sessionId']}", headers=token) as answer:
                assert answer.status == 401
            async with other.delete(f"/sessions/{mine['sessionId']}", headers=token) as answer:
                assert answer.status == 204

    settings = UNLIMITED | shared_table.settings
    with (
        serving(folder, tmp_path / "1", aws.url, **settings) as first,
        serving(folder, tmp_path / "2", aws.url, **settings) as second,
    ):
        asyncio.run(revoke())


def test_start_that_is_answered_after_the_revocation_is_refused(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    invite = sign_invite(KEY, time.time() + 3600)

    async def revoke() -> tuple[int, int]:
        async with server.client() as client:
            aws.seconds = 1
            headers = {"Authorization": f"Bearer {invite}"}
            starting = asyncio.create_task(client.post("/start", json={}, headers=headers))
            assert await asyncio.to_thread(aws.called.wait, 60)  # the agent is being opened
            aws.seconds = 0
            path = f"/invites/{invite_id(invite)}"
            async with client.delete(path, headers=AUTHORIZED) as answer:
                revoked = answer.status
            async with await starting as answer:
                return revoked, answer.status

    with serving(folder, tmp_path / "log", aws.url, **shared_table.settings) as server:
        assert asyncio.run(revoke()) == (200, 404)
    # The request may have opened the agent after the first stop.
    assert len(aws.stopped) == 2 and set(aws.stopped) == aws.sessions
    assert not shared_table.leases()


def test_sessions_without_a_call_free_their_places_at_the_limit(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    async def ask(client: aiohttp.ClientSession) -> tuple[int, str]:
        body = {"transport": "websocket"}
        async with client.post("/start", json=body, headers=AUTHORIZED) as answer:
            return answer.status, (await answer.json()).get("sessionId", "")

    async def fill() -> None:
        async with server.client() as client:
            (_, used), (_, unused) = [await ask(client) for _ in range(2)]
            aws.talking.add(used)
            assert (await ask(client))[0] == 429  # either may still connect
            assert not aws.calls["state"]
            shared_table.age(600)
            aws.is_old = True
            assert (await ask(client))[0] == 429
            aws.is_old = False
            aws.refusals = [(403, "AccessDeniedException")]
            assert (await ask(client))[0] == 429
            aws.refusals = []
            assert not aws.stopped
            assert (await ask(client))[0] == 200
            assert aws.stopped == [unused]
            assert (await ask(client))[0] == 429  # a call, and a caller who may still connect

    limits = UNLIMITED | {"SESSIONS_AT_ONCE": "2"} | shared_table.settings
    with serving(folder, tmp_path / "log", aws.url, **limits) as server:
        asyncio.run(fill())


def test_all_callers_share_one_limit_of_starts(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    async def ask(client: aiohttp.ClientSession) -> tuple[int, str, int]:
        headers = {"Authorization": f"Bearer {sign_invite(KEY, time.time() + 3600)}"}
        async with client.post("/start", json={}, headers=headers) as answer:
            error = (await answer.json()).get("error", {"code": ""})
            return answer.status, error["code"], int(answer.headers.get("Retry-After", 0))

    async def crowd() -> list[tuple[int, str, int]]:
        async with first.client() as one, second.client() as other:
            return [await ask(client) for client in (one, other) * 4]

    limits = shared_table.settings | {"STARTS_PER_MINUTE_IN_TOTAL": "3"}
    with (
        serving(folder, tmp_path / "1", aws.url, **limits) as first,
        serving(folder, tmp_path / "2", aws.url, **limits) as second,
    ):
        answers = asyncio.run(crowd())
    status, code, wait = answers[-1]  # the minute may have ended in between
    assert answers[0][0] == 200 and (status, code) == (503, "too_many_starts")
    assert 1 <= wait <= 60


def test_starts_at_the_same_time_never_exceed_the_limit(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    limits = UNLIMITED | {"SESSIONS_AT_ONCE": "3"} | shared_table.settings

    async def ask(client: aiohttp.ClientSession) -> int:
        async with client.post("/start", headers=AUTHORIZED) as answer:
            return answer.status

    # No more: the stand-in answers all at once, and the servers wait 2 s for each answer.
    async def crowd() -> list[int]:
        async with first.client() as one, second.client() as other:
            return await asyncio.gather(*(ask(c) for c in (one, other) * 4))

    with (
        serving(folder, tmp_path / "1", aws.url, **limits) as first,
        serving(folder, tmp_path / "2", aws.url, **limits) as second,
    ):
        statuses = asyncio.run(crowd())
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) <= 3
    assert len(shared_table.leases()) == statuses.count(200)


def test_server_without_its_table_admits_nobody(
    folder: Path, aws: AgentCore, tmp_path: Path, shared_table: Dynamo
) -> None:
    async def ask(client: aiohttp.ClientSession) -> int:
        async with client.post("/start", headers=AUTHORIZED) as answer:
            return answer.status

    async def outage() -> tuple[int, int, int]:
        async with server.client() as client:
            before = await ask(client)
            shared_table.server.stop()
            after = await ask(client)
            async with client.get("/health") as answer:
                return before, after, answer.status

    with serving(folder, tmp_path / "log", aws.url, **shared_table.settings) as server:
        assert asyncio.run(outage()) == (200, 503, 200)
