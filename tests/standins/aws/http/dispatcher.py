"""The front door: who calls, may they, what do they ask for, who answers, what goes wrong."""

from __future__ import annotations

import dataclasses
import re
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.loaders import Loader

from tests.standins.aws.cloud import Call, Caller, Cloud, Handler
from tests.standins.aws.http import operations, signature
from tests.standins.aws.http.operations import Operation, Request, Response
from tests.standins.aws.journal import JournalEntry
from tests.standins.aws.moto_app import Moto
from tests.standins.aws.services import agentcore, kvs
from tests.standins.models.refusal import Refused

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/")
_SERVED = {"bedrock-agentcore": agentcore.REGIONS, "kinesisvideo": kvs.REGIONS}
_BESIDE_OTHERS = {("lambda", "Invoke")}
_SKEW_ALLOWED = 300  # seconds; IAM User Guide, signing elements
_DATE = "%Y%m%dT%H%M%SZ"


class Dispatcher:
    """Answers requests, by a handler of the stand-in's own or by moto."""

    def __init__(self, cloud: Cloud, handlers: dict[tuple[str, str], Handler]) -> None:
        self._cloud = cloud
        self._handlers = handlers
        self._moto = Moto()
        self._regions = _regions()
        cloud.handle = self.handle

    def handle(self, request: Request, by: str, caller: Caller | None = None) -> Response | None:
        """The answer; None when the connection is to be reset. Only clients must sign."""
        cloud = self._cloud
        if by == "client" and cloud.faults.down:
            return None
        found = _CREDENTIAL.search(
            request.headers.get("authorization", "") or operations.unquote(request.query)
        )
        if not found:
            return Response(403, b'{"message":"Missing Authentication Token"}')
        region, signing = found["region"], found["service"]
        if region not in _SERVED.get(signing, self._regions):
            return None  # such a host does not exist
        services = operations.services_of(signing)
        operation = operations.find_operation(request, services)
        if operation is None:
            message = f"No operation of {signing} at {request.method} {request.path}."
            return Response(
                404, message.encode(), {"x-amzn-errortype": "UnknownOperationException"}
            )
        if by == "client":
            if cloud.faults.resets(operation.action, after=False):
                return None
            if delay := cloud.faults.delay(operation.action):
                time.sleep(delay)
        request_id = operations.new_request_id()
        answer = "ok"
        at = cloud.clock.seconds()
        try:
            if by == "client":
                caller = self._authenticated(request, operation, found["key"])
            assert caller is not None
            self._allowed(operation, caller, by)
            response = self._answer(request, operation, region, caller, by, request_id)
            if response.status >= 300:
                answer = _code_of(operation, response)
        except Refused as refused:
            answer = refused.kind
            response = operations.refusal(operation, refused, request_id)
        except Exception as e:  # a bug of the stand-in: the test must hear of it, not hang
            cloud.bugs.append(e)
            answer = f"BUG {e!r}"
            response = operations.refusal(
                operation, Refused("InternalFailure", repr(e), 500), request_id
            )
        cloud.journal.note(JournalEntry(operation.action, region, operation.params, by, at, answer))
        if by == "client":
            lost = cloud.faults.counted(operation.action)
            if lost or cloud.faults.resets(operation.action, after=True):
                return None
        date = datetime.now(UTC) + timedelta(seconds=cloud.faults.skew)
        said = date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return dataclasses.replace(response, headers={**response.headers, "date": said})

    def _authenticated(self, request: Request, operation: Operation, key: str) -> Caller:
        cloud, service = self._cloud, operation.service
        caller = cloud.callers.get(key)
        token = request.headers.get("x-amz-security-token")
        if caller is None or (caller.session_token or None) != token:
            message = "The security token included in the request is invalid."
            raise operations.common(service, "Unknown", message)
        if caller.session_token and cloud.faults.expired:
            message = "The security token included in the request is expired"
            raise operations.common(service, "Expired", message)
        made = _parsed(request.headers.get("x-amz-date", ""))
        skew = (datetime.now(UTC) - made).total_seconds() + cloud.faults.skew
        if abs(skew) > _SKEW_ALLOWED:
            when = "expired" if skew > 0 else "not yet current"
            raise operations.common(service, "Signature", f"Signature {when}: {made:{_DATE}}")
        if not signature.fits(request, caller):
            message = (
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            )
            raise operations.common(service, "Signature", message)
        return caller

    def _allowed(self, operation: Operation, caller: Caller, by: str) -> None:
        cloud, action = self._cloud, operation.action
        if by == "client" and (failure := cloud.faults.failure(action)):
            raise failure
        wanted = [action]
        if operation.name in ("CreateAgentRuntime", "UpdateAgentRuntime"):
            wanted.append("iam:PassRole")
        for each in wanted:
            if cloud.faults.denies(each):
                raise denied(operation.service, caller, each)

    def _answer(
        self,
        request: Request,
        operation: Operation,
        region: str,
        caller: Caller,
        by: str,
        request_id: str,
    ) -> Response:
        handler = self._handlers.get((operation.service, operation.name))
        handler = handler or self._handlers.get((operation.service, "*"))
        # A function that is asked something asks other services for more.
        alone = (operation.service, operation.name) not in _BESIDE_OTHERS
        with self._cloud.lock if alone else nullcontext():
            if operation.service != "s3":
                operations.check_request(operation)
            if handler is None:
                return self._moto.ask(request, caller.account)

            def moto() -> dict[str, Any]:
                return operations.understand(operation, self._moto.ask(request, caller.account))

            call = Call(
                operation.service, operation.name, operation.params, region, caller, by, moto
            )
            return operations.answer(operation, handler(self._cloud, call), request_id)


def denied(service: str, caller: Caller, action: str, resource: str = "*") -> Refused:
    """How AWS refuses what no policy allows."""
    message = (
        f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    if service == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
    return operations.common(service, "AccessDenied", message)


def _code_of(operation: Operation, response: Response) -> str:
    try:
        operations.understand(operation, response)
    except Refused as refused:
        return refused.kind
    return str(response.status)


def _regions() -> frozenset[str]:
    partitions = Loader().load_data("endpoints")["partitions"]
    return frozenset(region for each in partitions for region in each["regions"]) | {"aws-global"}


def _parsed(date: str) -> datetime:
    try:
        return datetime.strptime(date, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
