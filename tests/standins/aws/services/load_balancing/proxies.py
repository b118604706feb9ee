"""Owns load balancers and CloudFront distributions: which target gets a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from tests.standins.aws.services.load_balancing.forwarding import end_to_end
from tests.standins.aws.services.load_balancing.traffic import Target, Traffic


class LoadBalancer:
    """A load balancer in moto, with one listener."""

    def __init__(self, traffic: Traffic, backend: Any, arn: str) -> None:
        self._traffic, self._backend, self._arn = traffic, backend, arn
        self._indexes: dict[str, int] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer by the first matching rule."""
        found = self._backend.load_balancers[self._arn]
        (listener,) = found.listeners.values()
        rules = sorted(listener._non_default_rules.values(), key=lambda rule: int(rule.priority))
        rule = next((r for r in rules if all(_matches(c, request) for c in r.conditions)), None)
        action = (rule.actions if rule else listener.default_actions)[-1].data
        if action["Type"] == "fixed-response":
            said = action["FixedResponseConfig"]
            return web.Response(
                status=int(said["StatusCode"]),
                text=said.get("MessageBody", ""),
                content_type=said.get("ContentType", "text/plain"),
            )
        assert action["Type"] == "forward", f"{action['Type']} is not imitated"
        target = self._choose(self._backend.target_groups[action["TargetGroupArn"]])
        if target is None:
            return web.Response(status=503, text="503 Service Temporarily Unavailable")
        task = asyncio.current_task()
        assert task is not None
        target.open.add(task)
        try:
            headers = self._headers(request, found.attrs, listener)
            return await self._traffic.forward(request, target.address, headers)
        finally:
            target.open.discard(task)

    def _choose(self, group: Any) -> Target | None:
        """Return the healthy target with the fewest open requests, or the next by round robin.

        Without a healthy target, unhealthy ones are used.
        """
        known = self._traffic.targets(group.arn)
        usable = [t for t in known if t.state == "healthy"]
        usable = usable or [t for t in known if t.state == "unhealthy"]
        if not usable:
            return None
        index = self._indexes[group.arn] = self._indexes.get(group.arn, -1) + 1
        usable = usable[index % len(usable) :] + usable[: index % len(usable)]
        if group.attributes["load_balancing.algorithm.type"] == "round_robin":
            return usable[0]
        return min(usable, key=lambda target: len(target.open))

    def _headers(
        self, request: web.BaseRequest, attributes: Mapping[str, str], listener: Any
    ) -> CIMultiDict[str]:
        """Return the headers for the target (ELB User Guide, x-forwarded-headers)."""
        headers = end_to_end(request.headers)
        if attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true":
            for name in [n for n in headers if not n.replace("-", "").isalnum()]:
                del headers[name]
        mode = attributes.get("routing.http.xff_header_processing.mode", "append")
        said = [*headers.getall("X-Forwarded-For", ()), request.remote or ""]
        if mode == "append":
            headers["X-Forwarded-For"] = ", ".join(said)
        elif mode == "remove":
            headers.popall("X-Forwarded-For", None)
        headers["X-Forwarded-Proto"] = listener.protocol.lower()
        headers["X-Forwarded-Port"] = str(listener.port)
        return headers


def _matches(condition: Mapping[str, Any], request: web.BaseRequest) -> bool:
    match condition["Field"]:
        case "http-header":
            config = condition["HttpHeaderConfig"]
            given = request.headers.getall(config["HttpHeaderName"], ())
            # Case is ignored (ELB User Guide, rule-condition-types).
            wanted = [value.lower() for value in config["Values"]]
            return any(fnmatchcase(each.lower(), value) for each in given for value in wanted)
        case "path-pattern":
            config = condition.get("PathPatternConfig") or condition
            return any(fnmatchcase(request.path, value) for value in config["Values"])
        case field:
            raise AssertionError(f"conditions on {field} are not imitated")


class CloudFrontDistribution:
    """A CloudFront distribution with one origin and no cache."""

    def __init__(self, traffic: Traffic, origins: Callable[[], list[Any]]) -> None:
        self._traffic, self._origins = traffic, origins

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Forward the request to the origin."""
        (origin,) = self._origins()
        headers = end_to_end(request.headers)
        for added in origin.custom_headers.get("Items") or []:
            headers[added["HeaderName"]] = added["HeaderValue"]
        said = [*headers.getall("X-Forwarded-For", ()), request.remote or ""]
        headers["X-Forwarded-For"] = ", ".join(said)
        headers.popall("X-Forwarded-Proto", None)
        headers["Via"] = "1.1 stand-in.cloudfront.net (CloudFront)"
        return await self._traffic.forward(request, origin.domain_name, headers)
