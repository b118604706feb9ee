"""Owns the session table in DynamoDB, which `voicecore deploy --server` creates.

Every item has a `subject` and a `part`, and `expires`: a Unix time, after which it counts no longer
and DynamoDB deletes it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .blocking_client import BlockingClient
from .networks import MINUTE
from .session_table import LEASE_SECONDS, Table

if TYPE_CHECKING:
    from .access import Session

# Concurrent requests: as many as server.py has threads.
CONNECTIONS = 64
# No request takes much longer than an answer usually does.
TIMEOUT_SECONDS = 2


class DynamoTable(Table):
    """The table of all servers that use this DynamoDB table.

    Raises botocore's ClientError and BotoCoreError: without it a server refuses all requests.
    """

    def __init__(self, name: str, region: str) -> None:
        self._name = name
        self._client = BlockingClient("dynamodb", region, TIMEOUT_SECONDS, CONNECTIONS)

    async def requests(self, name: str) -> int:
        minute = int(time.time()) // MINUTE
        until = (minute + 2) * MINUTE
        answer = await self._ask(
            "update_item",
            Key=key(f"requests:{minute}:{name}"),
            UpdateExpression="ADD requests :one SET expires = :until",
            ExpressionAttributeValues={":one": number(1), ":until": number(until)},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["requests"]["N"])

    async def hold(self, session: Session, most: int, seconds: int = LEASE_SECONDS) -> bool:
        subject, now = f"open:{session.caller}", int(time.time())
        before = await self._put(subject, session.id, now + seconds, unless_after=now + seconds)
        if before is None or before > now:
            return True
        # Counted after it is added, so that two copies of the server cannot both take the last
        # place.
        if await self._count(subject, now, most) <= most:
            return True
        await self.release(session)
        return False

    async def release(self, session: Session) -> None:
        await self._ask("delete_item", Key=key(f"open:{session.caller}", session.id))

    async def open_until(self, caller: str) -> dict[str, float]:
        pages = self._pages(f"open:{caller}", int(time.time()))
        return {item["part"]["S"]: expires(item) async for page in pages for item in page["Items"]}

    async def once(self, name: str, seconds: int) -> bool:
        now = int(time.time())
        return await self._put(f"once:{name}", "-", now + seconds, unless_after=now) is not None

    async def is_used(self, name: str) -> bool:
        answer = await self._ask("get_item", Key=key(f"once:{name}"), ConsistentRead=True)
        return expires(answer.get("Item")) > time.time()

    async def close(self) -> None:
        self._client.close()

    async def _put(self, subject: str, part: str, until: int, unless_after: int) -> int | None:
        """Write an item unless one is there that expires after this; return when the old expired.

        0 without an old item; None if the old one stays.
        """
        try:
            answer = await self._ask(
                "put_item",
                Item=key(subject, part) | {"expires": number(until)},
                ConditionExpression="attribute_not_exists(expires) OR expires <= :time",
                ExpressionAttributeValues={":time": number(unless_after)},
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return None
        return expires(answer.get("Attributes"))

    async def _count(self, subject: str, now: int, most: int) -> int:
        """Return how many items of the subject have not expired; at least `most` + 1 is enough."""
        count = 0
        async for page in self._pages(subject, now, Select="COUNT"):
            count += page["Count"]
            if count > most:
                break
        return count

    async def _pages(self, subject: str, now: int, **what: str) -> AsyncIterator[dict[str, Any]]:
        """Return the items of the subject that have not expired, in pages."""
        page: dict[str, Any] = {}
        while True:
            answer = await self._ask(
                "query",
                KeyConditionExpression="subject = :subject",
                FilterExpression="expires > :now",
                ExpressionAttributeValues={":subject": {"S": subject}, ":now": number(now)},
                ConsistentRead=True,
                **what,
                **page,
            )
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self._client.request(operation, TableName=self._name, **parameters)


def key(subject: str, part: str = "-") -> dict[str, Any]:
    """Return the key of an item."""
    return {"subject": {"S": subject}, "part": {"S": part}}


def number(value: int) -> dict[str, str]:
    """Return a number in DynamoDB's form."""
    return {"N": str(value)}


def expires(item: dict[str, Any] | None) -> int:
    """Return when an item expires; 0 without an item."""
    return int(item["expires"]["N"]) if item else 0
