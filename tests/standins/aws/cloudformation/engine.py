"""Owns operations on stacks: create, update, roll back and delete, in parallel by dependency."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable

from botocore.exceptions import ClientError

from tests.standins.aws.clock import Stopped
from tests.standins.aws.cloud import Cloud
from tests.standins.aws.cloudformation import schemas
from tests.standins.aws.cloudformation.stacks import (
    DesiredStack,
    Resource,
    Stack,
    context_of,
    desired_resource,
    included,
    record_event,
    scope_of,
)
from tests.standins.aws.cloudformation.template import UNKNOWN
from tests.standins.aws.cloudformation.types.base import Failed, event_reason
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES
from tests.standins.models.refusal import Refused

_CANCELLED = "Resource creation cancelled"


class Engine:
    """Carries out operations on stacks, each in its own thread."""

    def __init__(self, cloud: Cloud, imported: Callable[[Stack, str], str]) -> None:
        self._cloud = cloud
        self._imported = imported

    # ---- operations; each returns at once, with the stack in progress

    def create(self, stack: Stack, desired: DesiredStack, on_failure: str) -> None:
        self._begin(stack, desired, "CREATE_IN_PROGRESS")
        self._run(stack, lambda: self._create(stack, desired, on_failure))

    def update(self, stack: Stack, desired: DesiredStack, changed_ids: set[str]) -> None:
        self._begin(stack, desired, "UPDATE_IN_PROGRESS")
        stack.updated = self._cloud.clock.now()
        self._run(stack, lambda: self._update(stack, desired, changed_ids))

    def delete(self, stack: Stack, retain: Iterable[str], force: bool) -> None:
        running, kept = stack.busy, set(retain)
        stack.cancelled = running
        record_event(self._cloud, stack, None, "DELETE_IN_PROGRESS", "User Initiated")
        stack.operations += 1
        mine = stack.operations

        def work() -> None:
            # The current operation ends first.
            self._cloud.clock.until(lambda: self._next_operation(stack) == mine)
            self._delete(stack, kept, force)

        self._run(stack, work, queued=True)

    def roll_back(self, stack: Stack, skip: Iterable[str] = ()) -> None:
        """Continue a failed rollback, or roll back a failed operation."""
        creating = stack.status in ("CREATE_FAILED", "ROLLBACK_FAILED")
        status = "ROLLBACK_IN_PROGRESS" if creating else "UPDATE_ROLLBACK_IN_PROGRESS"
        record_event(self._cloud, stack, None, status)
        self._run(
            stack,
            (lambda: self._roll_back_create(stack, "ROLLBACK"))
            if creating
            else (lambda: self._roll_back_update(stack, set(skip))),
        )

    # ---- threads

    def _begin(self, stack: Stack, desired: DesiredStack, status: str) -> None:
        stack.target, stack.cancelled = desired, False
        stack.before = copy.deepcopy(stack.resources)
        record_event(self._cloud, stack, None, status, "User Initiated")

    def _next_operation(self, stack: Stack) -> int:
        return self._cloud.setdefault(dict, "turns").get(stack.id, 0) + 1

    def _run(self, stack: Stack, work: Callable[[], None], queued: bool = False) -> None:
        if not queued:
            stack.operations += 1

        def guarded() -> None:
            try:
                work()
            except Stopped:
                return
            except Exception as e:  # a bug of the stand-in: the test must fail
                self._cloud.bugs.append(e)
                raise
            finally:
                turns = self._cloud.setdefault(dict, "turns")
                turns[stack.id] = turns.get(stack.id, 0) + 1

        self._cloud.start(guarded, f"stack {stack.name}")

    # ---- create

    def _create(self, stack: Stack, desired: DesiredStack, on_failure: str) -> None:
        failed = self._apply(stack, desired)
        if stack.cancelled:
            return
        if not failed:
            self._finish(stack, desired, "CREATE_COMPLETE")
            return
        reason = f"The following resource(s) failed to create: [{', '.join(failed)}]. "
        if on_failure == "DO_NOTHING" or stack.disable_rollback:
            record_event(self._cloud, stack, None, "CREATE_FAILED", reason)
            return
        if on_failure == "DELETE":
            record_event(
                self._cloud, stack, None, "DELETE_IN_PROGRESS", f"{reason}Delete requested by user."
            )
            self._delete(stack, set(), force=False)
            return
        record_event(
            self._cloud, stack, None, "ROLLBACK_IN_PROGRESS", f"{reason}Rollback requested by user."
        )
        self._roll_back_create(stack, "ROLLBACK")

    def _roll_back_create(self, stack: Stack, name: str) -> None:
        failed = self._remove(stack, list(stack.resources.values()))
        if stack.cancelled:
            return
        reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
        record_event(self._cloud, stack, None, f"{name}_FAILED" if failed else f"{name}_COMPLETE",
             reason if failed else None)  # fmt: skip

    # ---- update

    def _update(self, stack: Stack, desired: DesiredStack, changed_ids: set[str]) -> None:
        failed = self._apply(stack, desired, changed_ids)
        if failed or stack.cancelled:
            reason = f"The following resource(s) failed to update: [{', '.join(failed)}]. "
            if stack.disable_rollback:
                record_event(self._cloud, stack, None, "UPDATE_FAILED", reason)
                return
            if stack.cancelled:
                reason = "User Initiated"
            record_event(self._cloud, stack, None, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
            self._roll_back_update(stack, set())
            return
        self._finish(stack, desired, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ended=False)
        removed = [
            r
            for name, r in stack.resources.items()
            if name not in self._included_names(stack, desired)
        ]
        self._remove(stack, [*removed, *stack.leftovers])
        stack.leftovers = [r for r in stack.leftovers if r.status == "DELETE_FAILED"]
        record_event(self._cloud, stack, None, "UPDATE_COMPLETE")

    def _roll_back_update(self, stack: Stack, skip: set[str]) -> None:
        """Restore every resource, and delete new ones."""
        stack.cancelled = False
        cloud, before = self._cloud, stack.before
        created: list[Resource] = []
        failed: list[str] = []
        for logical, resource in list(stack.resources.items()):
            old = before.get(logical)
            if old is None:
                created.append(resource)
            elif old.physical != resource.physical and old.physical:
                if resource.physical:
                    created.append(resource)
                stack.leftovers = [r for r in stack.leftovers if r.physical != old.physical]
                stack.resources[logical] = old
            elif (old.props, old.tags) != (resource.props, resource.tags):
                if logical in skip:
                    stack.resources[logical] = old
                    record_event(cloud, stack, old, "UPDATE_COMPLETE")
                    continue
                reverted = copy.deepcopy(old)
                stack.resources[logical] = reverted
                record_event(cloud, stack, reverted, "UPDATE_IN_PROGRESS")
                error = self._guarded(
                    stack,
                    reverted,
                    "UPDATE",
                    lambda r=reverted, n=resource: self._update_resource(stack, n, r),
                )
                if error:
                    resource.physical = old.physical
                    stack.resources[logical] = resource
                    record_event(cloud, stack, resource, "UPDATE_FAILED", error)
                    failed.append(logical)
                else:
                    record_event(cloud, stack, reverted, "UPDATE_COMPLETE")
        if failed:
            reason = f"The following resource(s) failed to update: [{', '.join(failed)}]. "
            record_event(cloud, stack, None, "UPDATE_ROLLBACK_FAILED", reason)
            return
        record_event(cloud, stack, None, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self._remove(stack, created)
        record_event(cloud, stack, None, "UPDATE_ROLLBACK_COMPLETE")

    # ---- delete

    def _delete(self, stack: Stack, retain: set[str], force: bool) -> None:
        cloud = self._cloud
        stack.cancelled = False
        for logical in retain:
            if resource := stack.resources.pop(logical, None):
                record_event(cloud, stack, resource, "DELETE_SKIPPED")
        failed = self._remove(stack, [*stack.resources.values(), *stack.leftovers])
        if failed and not force:
            reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            record_event(cloud, stack, None, "DELETE_FAILED", reason)
            return
        stack.deleted = cloud.clock.now()
        record_event(cloud, stack, None, "DELETE_COMPLETE")

    # ---- steps

    def _included_names(self, stack: Stack, desired: DesiredStack) -> set[str]:
        scope = scope_of(self._cloud, stack, desired, lambda n: self._imported(stack, n))
        return set(included(scope, desired.template))

    def _finish(self, stack: Stack, desired: DesiredStack, status: str, ended: bool = True) -> None:
        scope = scope_of(self._cloud, stack, desired, lambda n: self._imported(stack, n))
        outputs = []
        for name, declared in desired.template.outputs.items():
            if "Condition" in declared and not scope.condition(declared["Condition"]):
                continue
            value = scope.resolve(declared["Value"])
            assert UNKNOWN not in str(value), f"output {name} is unknown"
            output = {"OutputKey": name, "OutputValue": str(value)}
            if "Description" in declared:
                output["Description"] = declared["Description"]
            if "Export" in declared:
                output["ExportName"] = scope.resolve(declared["Export"]["Name"])
            outputs.append(output)
        stack.outputs, stack.current = outputs, desired
        record_event(self._cloud, stack, None, status)

    def _apply(
        self, stack: Stack, desired: DesiredStack, changed_ids: set[str] | None = None
    ) -> list[str]:
        """Create and update the changed resources (None: all); return the IDs that failed."""
        scope = scope_of(self._cloud, stack, desired, lambda n: self._imported(stack, n))
        names = included(scope, desired.template)
        if changed_ids is not None:
            names = [name for name in names if name in changed_ids]
        tasks: dict[str, tuple[set[str], Callable[[], bool]]] = {
            logical: (
                desired.template.needs(logical) & set(names),
                lambda logical=logical: self._apply_resource(stack, desired, logical),
            )
            for logical in names
        }
        return self._in_order(stack, tasks)

    def _apply_resource(self, stack: Stack, desired: DesiredStack, logical: str) -> bool:
        """Create or update one resource; return True on success."""
        cloud = self._cloud
        scope = scope_of(cloud, stack, desired, lambda n: self._imported(stack, n))
        old = stack.resources.get(logical)
        try:
            new = desired_resource(scope, desired, logical, stack.region)
        except (Failed, Refused, ClientError) as e:
            new = Resource(logical, desired.template.resources[logical]["Type"], needs=set())
            stack.resources.setdefault(logical, new)
            verb = "UPDATE" if old else "CREATE"
            record_event(cloud, stack, stack.resources[logical], f"{verb}_FAILED", str(e))
            return False
        if old is None or not old.exists:
            return self._create_resource(stack, new)
        if old.kind == new.kind and not self._replaces(stack, old, new):
            old.needs, old.retain = new.needs, new.retain
            if (old.props, old.tags) == (new.props, new.tags):
                return True
            new.physical = old.physical
            stack.resources[logical] = new
            record_event(cloud, stack, new, "UPDATE_IN_PROGRESS")
            error = self._guarded(
                stack, new, "UPDATE", lambda: self._update_resource(stack, old, new)
            )
            record_event(cloud, stack, new, "UPDATE_FAILED" if error else "UPDATE_COMPLETE", error)
            return not error
        named = RESOURCE_TYPES[new.kind].named_by
        if (
            named
            and old.kind == new.kind
            and named in new.props
            and old.props.get(named) == new.props[named]
        ):
            reason = (
                "CloudFormation cannot update a stack when a custom-named resource requires "
                f"replacing. Rename {new.props[named]} and update the stack again."
            )
            record_event(cloud, stack, old, "UPDATE_FAILED", reason)
            return False
        reason = "Requested update requires the creation of a new physical resource; creating one."
        record_event(cloud, stack, old, "UPDATE_IN_PROGRESS", reason)
        stack.leftovers.append(old)
        return self._create_resource(stack, new, "UPDATE")

    def _replaces(self, stack: Stack, old: Resource, new: Resource) -> bool:
        schema = schemas.schema_of(new.kind, stack.region)
        assert schema is not None
        if RESOURCE_TYPES[new.kind].update is None and old.props != new.props:
            return True
        return any(old.props.get(n) != new.props.get(n) for n in schemas.replacing(schema))

    def _create_resource(self, stack: Stack, new: Resource, verb: str = "CREATE") -> bool:
        cloud, kind = self._cloud, RESOURCE_TYPES[new.kind]
        stack.resources[new.logical] = new
        record_event(cloud, stack, new, f"{verb}_IN_PROGRESS")
        context = context_of(cloud, stack, new.logical, new.tags)

        def make() -> None:
            new.physical = kind.create(context, new.props)
            record_event(cloud, stack, new, f"{verb}_IN_PROGRESS", "Resource creation Initiated")
            self._settle(stack, new, lambda: kind.settled(context, new.physical))

        error = self._guarded(stack, new, "CREATE", make)
        record_event(cloud, stack, new, f"{verb}_FAILED" if error else f"{verb}_COMPLETE", error)
        return not error

    def _update_resource(self, stack: Stack, old: Resource, new: Resource) -> None:
        cloud, kind = self._cloud, RESOURCE_TYPES[new.kind]
        context = context_of(cloud, stack, new.logical, new.tags)
        if old.props != new.props:
            assert kind.update is not None
            kind.update(context, new.physical, old.props, new.props)
        if old.tags != new.tags:
            gone = sorted(old.tags.keys() - new.tags.keys())
            kind.retag(context, new.physical, new.tags, gone)
        self._settle(stack, new, lambda: kind.settled(context, new.physical))

    def _settle(self, stack: Stack, resource: Resource, settled: Callable[[], bool]) -> None:
        cloud = self._cloud
        cloud.clock.sleep(cloud.durations.resource)

        def done() -> bool:
            if stack.cancelled:
                raise Failed(_CANCELLED)
            return not cloud.faults.holds(resource.kind, resource.logical) and settled()

        cloud.clock.until(done)

    def _guarded(
        self, stack: Stack, resource: Resource, during: str, step: Callable[[], None]
    ) -> str | None:
        """Run a step; return why it failed, or None."""
        reason = self._cloud.faults.resource_failure(resource.kind, resource.logical, during)
        if reason is not None:
            return reason
        try:
            step()
        except Failed as e:
            return str(e)
        except ClientError as e:
            return event_reason(e, resource.kind.split("::")[1])
        return None

    def _remove(self, stack: Stack, doomed: list[Resource]) -> list[str]:
        """Delete resources in reverse order of their dependencies; return those that failed."""
        order: dict[str, tuple[set[str], Callable[[], bool]]] = {}
        for resource in doomed:
            key = f"{resource.logical}\n{resource.physical}"
            users = {
                f"{other.logical}\n{other.physical}"
                for other in doomed
                if resource.logical in other.needs and other is not resource
            }
            order[key] = (users, lambda resource=resource: self._unmake(stack, resource))
        failed = self._in_order(stack, order, keep_going=True)
        for resource in doomed:
            if resource.status in ("DELETE_COMPLETE", "DELETE_SKIPPED") and (
                stack.resources.get(resource.logical) is resource
            ):
                del stack.resources[resource.logical]
        return [key.partition("\n")[0] for key in failed]

    def _unmake(self, stack: Stack, resource: Resource) -> bool:
        cloud, kind = self._cloud, RESOURCE_TYPES[resource.kind]
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

        error = self._guarded(stack, resource, "DELETE", step)
        record_event(cloud, stack, resource, "DELETE_FAILED" if error else "DELETE_COMPLETE", error)
        return not error

    def _in_order(
        self,
        stack: Stack,
        tasks: dict[str, tuple[set[str], Callable[[], bool]]],
        keep_going: bool = False,
    ) -> list[str]:
        """Run tasks in parallel, each after those it depends on; return the keys that failed.

        After a failure no more tasks are started, and running ones are cancelled. With
        `keep_going`, only those that depend on the failed one are skipped.
        """
        waiting, done, failed = dict(tasks), set[str](), list[str]()
        changed = threading.Condition()
        running: set[str] = set()

        def work(key: str, task: Callable[[], bool]) -> None:
            good = False
            try:
                good = task()
            except Stopped:
                pass
            except Exception as e:  # a bug of the stand-in
                self._cloud.bugs.append(e)
            with changed:
                running.discard(key)
                if good:
                    done.add(key)
                else:
                    failed.append(key)
                    if not keep_going and not stack.cancelled:
                        stack.cancelled = True
                        cancelled_here.append(key)
                changed.notify_all()

        cancelled_here: list[str] = []
        with changed:
            while True:
                if keep_going or not (failed or stack.cancelled):
                    for key in [k for k, (needs, _) in waiting.items() if needs <= done]:
                        _, task = waiting.pop(key)
                        running.add(key)
                        self._cloud.start(lambda k=key, t=task: work(k, t), f"{stack.name} {key}")
                if not running:
                    break
                changed.wait()
        if cancelled_here:
            stack.cancelled = False  # it was a failure, not a cancellation by the user
        return failed


def _is_absence(code: str) -> bool:
    return "NotFound" in code or code in ("NoSuchEntity", "NatGatewayMalformed")
