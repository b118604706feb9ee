"""Owns the steps on one resource: create, update and delete it, and wait until it is settled."""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import ClientError

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.cloudformation import schemas
from tests.standins.aws.cloudformation.stacks import Resource, Stack, context_of, record_event
from tests.standins.aws.cloudformation.types.base import Failed, event_reason
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES

_CANCELLED = "Resource creation cancelled"


def create_resource(cloud: Cloud, stack: Stack, new: Resource, verb: str = "CREATE") -> bool:
    """Create the resource, and wait until it is settled; return True on success."""
    kind = RESOURCE_TYPES[new.kind]
    stack.resources[new.logical] = new
    record_event(cloud, stack, new, f"{verb}_IN_PROGRESS")
    context = context_of(cloud, stack, new.logical, new.tags)

    def make() -> None:
        new.physical = kind.create(context, new.props)
        record_event(cloud, stack, new, f"{verb}_IN_PROGRESS", "Resource creation Initiated")
        _settle(cloud, stack, new, lambda: kind.settled(context, new.physical))

    error = guarded(cloud, stack, new, "CREATE", make)
    record_event(cloud, stack, new, f"{verb}_FAILED" if error else f"{verb}_COMPLETE", error)
    return not error


def update_resource(cloud: Cloud, stack: Stack, old: Resource, new: Resource) -> None:
    """Change what differs between `old` and `new`, and wait until it is settled."""
    kind = RESOURCE_TYPES[new.kind]
    context = context_of(cloud, stack, new.logical, new.tags)
    if old.props != new.props:
        assert kind.update is not None
        kind.update(context, new.physical, old.props, new.props)
    if old.tags != new.tags:
        gone = sorted(old.tags.keys() - new.tags.keys())
        kind.retag(context, new.physical, new.tags, gone)
    _settle(cloud, stack, new, lambda: kind.settled(context, new.physical))


def delete_resource(cloud: Cloud, stack: Stack, resource: Resource) -> bool:
    """Delete the resource, unless it is retained; return True on success."""
    kind = RESOURCE_TYPES[resource.kind]
    if not resource.physical:
        record_event(cloud, stack, resource, "DELETE_COMPLETE")
        return True
    if resource.retain:
        record_event(cloud, stack, resource, "DELETE_SKIPPED")
        return True
    context = context_of(cloud, stack, resource.logical, {})
    record_event(cloud, stack, resource, "DELETE_IN_PROGRESS")

    def step() -> None:
        patience = cloud.clock.seconds() + cloud.durations.interfaces_retry
        while True:
            try:
                kind.delete(context, resource.physical, resource.props)
                break
            except ClientError as e:
                code = e.response["Error"]["Code"]
                if _is_absence(code):
                    return
                if code not in kind.in_use or cloud.clock.seconds() >= patience:
                    raise
            except Failed:  # already deleted
                return
            cloud.clock.sleep(1.0)
        cloud.clock.sleep(cloud.durations.resource)
        cloud.clock.until(
            lambda: (
                not cloud.faults.holds(resource.kind, resource.logical)
                and kind.gone(context, resource.physical)
            )
        )

    error = guarded(cloud, stack, resource, "DELETE", step)
    record_event(cloud, stack, resource, "DELETE_FAILED" if error else "DELETE_COMPLETE", error)
    return not error


def is_replaced(stack: Stack, old: Resource, new: Resource) -> bool:
    """Return whether the change needs another resource in place of the old one."""
    schema = schemas.schema_of(new.kind, stack.region)
    assert schema is not None
    if RESOURCE_TYPES[new.kind].update is None and old.props != new.props:
        return True
    return any(old.props.get(n) != new.props.get(n) for n in schemas.replacing(schema))


def guarded(
    cloud: Cloud, stack: Stack, resource: Resource, during: str, step: Callable[[], None]
) -> str | None:
    """Run a step; return why it failed, or None."""
    reason = cloud.faults.resource_failure(resource.kind, resource.logical, during)
    if reason is not None:
        return reason
    try:
        step()
    except Failed as e:
        return str(e)
    except ClientError as e:
        return event_reason(e, resource.kind.split("::")[1])
    return None


def _settle(cloud: Cloud, stack: Stack, resource: Resource, settled: Callable[[], bool]) -> None:
    cloud.clock.sleep(cloud.durations.resource)

    def done() -> bool:
        if stack.cancelled:
            raise Failed(_CANCELLED)
        return not cloud.faults.holds(resource.kind, resource.logical) and settled()

    cloud.clock.until(done)


def _is_absence(code: str) -> bool:
    return "NotFound" in code or code in ("NoSuchEntity", "NatGatewayMalformed")
