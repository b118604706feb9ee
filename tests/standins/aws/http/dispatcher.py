"""Owns the dispatch of requests: authentication, permissions, faults, and the handler."""

from __future__ import annotations

import dataclasses
import re
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.standins.aws import authorization
from tests.standins.aws.access import Accesses, is_of_caller
from tests.standins.aws.cloud import Call, Caller, Cloud, Handler
from tests.standins.aws.http import operations, signature
from tests.standins.aws.http.operations import LOADER, Operation, Request, Response
from tests.standins.aws.journal import JournalEntry
from tests.standins.aws.moto_app import Moto
from tests.standins.aws.services import iam, kvs
from tests.standins.aws.services.agentcore.state import REGIONS as AGENTCORE_REGIONS
from tests.standins.models.refusal import Refused

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/")
_REGIONS_OF = {"bedrock-agentcore": AGENTCORE_REGIONS, "kinesisvideo": kvs.REGIONS}
_WITHOUT_LOCK = {("lambda", "Invoke")}
_SKEW_ALLOWED = 300  # seconds; IAM User Guide, signing elements
_DATE = "%Y%m%dT%H%M%SZ"


class Dispatcher:
    """Answers requests by the stand-in's own handlers, or by moto."""

    def __init__(self, cloud: Cloud, handlers: dict[tuple[str, str], Handler]) -> None:
        self._cloud = cloud
        self._handlers = handlers
        self._moto = Moto()
        self._accesses = Accesses()
        self._regions = _regions()
        cloud.handle = self.handle

    def handle(self, request: Request, by: str, caller: Caller | None = None) -> Response | None:
        """Return the answer; None to reset the connection. Only clients must sign."""
        cloud = self._cloud
        if by == "client" and cloud.faults.down:
            return None
        found = _CREDENTIAL.search(
            request.headers.get("authorization", "") or operations.unquote(request.query)
        )
        if not found:
            return Response(403, b'{"message":"Missing Authentication Token"}')
        region, signing = found["region"], found["service"]
        if region not in _REGIONS_OF.get(signing, self._regions):
            return None  # the host does not exist
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
                caller = self._authenticate(request, operation, found["key"])
            assert caller is not None
            self._authorize(operation, caller, by, region)
            iam.ensure_linked_roles(cloud, operation, caller)
            response = self._answer(request, operation, region, caller, by, request_id)
            if response.status >= 300:
                answer = _code_of(operation, response)
        except Refused as refused:
            answer = refused.kind
            response = operations.serialize_error(operation, refused, request_id)
        except Exception as e:  # a bug of the stand-in: the test must fail, not hang
            cloud.bugs.append(e)
            answer = f"BUG {e!r}"
            response = operations.serialize_error(
                operation, Refused("InternalFailure", repr(e), 500), request_id
            )
        cloud.journal.add(JournalEntry(operation.action, region, operation.params, by, at, answer))
        if by == "client":
            lost = cloud.faults.count_call(operation.action)
            if lost or cloud.faults.resets(operation.action, after=True):
                return None
        date = datetime.now(UTC) + timedelta(seconds=cloud.faults.skew)
        said = date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return dataclasses.replace(response, headers={**response.headers, "date": said})

    def _authenticate(self, request: Request, operation: Operation, key: str) -> Caller:
        cloud, service = self._cloud, operation.service
        caller = cloud.callers.get(key)
        token = request.headers.get("x-amz-security-token")
        if caller is None or (caller.session_token or None) != token:
            message = "The security token included in the request is invalid."
            raise operations.common_error(service, "Unknown", message)
        if caller.session_token and cloud.faults.expired:
            message = "The security token included in the request is expired"
            raise operations.common_error(service, "Expired", message)
        made = _parse_date(request.headers.get("x-amz-date", ""))
        skew = (datetime.now(UTC) - made).total_seconds() + cloud.faults.skew
        if abs(skew) > _SKEW_ALLOWED:
            when = "expired" if skew > 0 else "not yet current"
            raise operations.common_error(service, "Signature", f"Signature {when}: {made:{_DATE}}")
        if not signature.is_valid(request, caller):
            message = (
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            )
            raise operations.common_error(service, "Signature", message)
        return caller

    def _authorize(self, operation: Operation, caller: Caller, by: str, region: str) -> None:
        cloud, action = self._cloud, operation.action
        if by == "client" and (failure := cloud.faults.failure(action)):
            raise failure
        actions = [action]
        if operation.name in ("CreateAgentRuntime", "UpdateAgentRuntime"):
            actions.append("iam:PassRole")
        for each in actions:
            if cloud.faults.denies(each):
                raise denied(operation.service, caller, each)
        if not is_of_caller(action, by):
            return
        if reason := authorization.wrong_tag(cloud, operation.params):
            raise Refused("TagPolicyException", reason)
        if caller.access_key_id not in cloud.policies and not cloud.control_policies:
            return
        for access in sorted(self._accesses.of(action, operation.params, region)):
            if reason := authorization.denial(cloud, caller, access):
                arn = access.arn or "*"
                raise denied(operation.service, caller, access.action, arn, reason)

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
        # A Lambda function that is invoked calls other services itself.
        locked = (operation.service, operation.name) not in _WITHOUT_LOCK
        with self._cloud.lock if locked else nullcontext():
            if operation.service != "s3":
                operations.check_request(operation)
            if handler is None:
                return self._moto.respond(request, caller.account)

            def moto() -> dict[str, Any]:
                return operations.parse_response(
                    operation, self._moto.respond(request, caller.account)
                )

            call = Call(
                operation.service, operation.name, operation.params, region, caller, by, moto
            )
            return operations.serialize(operation, handler(self._cloud, call), request_id)


def denied(
    service: str, caller: Caller, action: str, resource: str = "*", reason: str = ""
) -> Refused:
    """Return AWS's error for an action that is not allowed; by default, by no policy."""
    reason = reason or f"because no identity-based policy allows the {action} action"
    message = (
        f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} "
        f"{reason}"
    )
    if service == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
    return operations.common_error(service, "AccessDenied", message)


def _code_of(operation: Operation, response: Response) -> str:
    try:
        operations.parse_response(operation, response)
    except Refused as refused:
        return refused.kind
    return str(response.status)


def _regions() -> frozenset[str]:
    partitions = LOADER.load_data("endpoints")["partitions"]
    return frozenset(region for each in partitions for region in each["regions"]) | {"aws-global"}


def _parse_date(date: str) -> datetime:
    try:
        return datetime.strptime(date, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
