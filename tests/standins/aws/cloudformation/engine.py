"""Owns operations on stacks: create, update, roll back and delete, in parallel by dependency."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from botocore.exceptions import ClientError

from tests.standins.aws.clock import Stopped
from tests.standins.aws.cloud import Cloud
from tests.standins.aws.cloudformation.resource_steps import (
    create_resource,
    delete_resource,
    guarded,
    is_replaced,
    update_resource,
)
from tests.standins.aws.cloudformation.stacks import (
    DesiredStack,
    Resource,
    Stack,
    desired_resource,
    included,
    record_event,
    scope_of,
)
from tests.standins.aws.cloudformation.task_order import run_in_order
from tests.standins.aws.cloudformation.template import UNKNOWN
from tests.standins.aws.cloudformation.types.base import Failed
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES
from tests.standins.models.refusal import Refused


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
                error = guarded(
                    self._cloud,
                    stack,
                    reverted,
                    "UPDATE",
                    lambda r=reverted, n=resource: update_resource(self._cloud, stack, n, r),
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
        return run_in_order(self._cloud, stack, tasks)

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
            return create_resource(self._cloud, stack, new)
        if old.kind == new.kind and not is_replaced(stack, old, new):
            old.needs, old.retain = new.needs, new.retain
            if (old.props, old.tags) == (new.props, new.tags):
                return True
            new.physical = old.physical
            stack.resources[logical] = new
            record_event(cloud, stack, new, "UPDATE_IN_PROGRESS")
            error = guarded(
                self._cloud,
                stack,
                new,
                "UPDATE",
                lambda: update_resource(self._cloud, stack, old, new),
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
        return create_resource(self._cloud, stack, new, "UPDATE")

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
            order[key] = (
                users,
                lambda resource=resource: delete_resource(self._cloud, stack, resource),
            )
        failed = run_in_order(self._cloud, stack, order, keep_going=True)
        for resource in doomed:
            if resource.status in ("DELETE_COMPLETE", "DELETE_SKIPPED") and (
                stack.resources.get(resource.logical) is resource
            ):
                del stack.resources[resource.logical]
        return [key.partition("\n")[0] for key in failed]
