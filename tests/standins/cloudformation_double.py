"""CloudFormation as a boto3 client, in memory: enough for every path of `CloudFormation.apply`."""

import json
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError


def refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class CloudFormationDouble:
    """`outcomes` are the statuses in which operations end, in order; by default each succeeds.

    An operation ends after its events were asked for `polls` times.
    """

    def __init__(self, *outcomes: str, polls: int = 1) -> None:
        self.outcomes = list(outcomes)
        self.polls = polls
        self.stacks: dict[str, dict[str, Any]] = {}
        self.change_sets: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.reason = "the reason"
        self.template_shown: dict[str, Any] = {}
        self._in_progress: dict[str, tuple[int, str, str]] = {}

    # Set up by tests.

    def has(self, name: str, status: str, **more: Any) -> None:
        stack_id = f"arn:aws:cloudformation:us-east-1:1:stack/{name}/{len(self.stacks)}"
        self.stacks[stack_id] = {
            "StackId": stack_id, "StackName": name, "StackStatus": status, "events": [],
            "template": {}, "Tags": [{"Key": "voicecore:project", "Value": "x"}], **more,
        }  # fmt: skip
        if status != "CREATE_IN_PROGRESS":
            self._event(stack_id, name, status, of_stack=True)

    def begins(self, name: str, status: str, then: str) -> None:
        """Start an operation of somebody else on the stack."""
        stack = self._find(name)
        stack["StackStatus"] = status
        self._event(stack["StackId"], name, status, of_stack=True)
        self._in_progress[stack["StackId"]] = (self.polls, then, "")

    def status(self, name: str) -> str | None:
        found = [s["StackStatus"] for s in self.stacks.values() if s["StackName"] == name]
        return found[-1] if found else None

    @property
    def changed(self) -> list[str]:
        """The calls that change something."""
        return [c for c in self.calls if not c.startswith(("describe", "get", "list"))]

    # The client.

    def describe_stacks(self, StackName: str = "") -> Any:
        self.calls.append("describe_stacks")
        if not StackName:
            return {"Stacks": [s for s in self.stacks.values() if "Description" in s]}
        stack = self._find(StackName)
        self._advance(stack["StackId"])
        if stack["StackStatus"] == "DELETE_COMPLETE" and StackName != stack["StackId"]:
            raise refused("ValidationError", f"Stack with id {StackName} does not exist")
        return {"Stacks": [stack]}

    def get_template(self, StackName: str) -> Any:
        self.calls.append("get_template")
        return {"TemplateBody": self.template_shown or self._find(StackName)["template"]}

    def describe_stack_events(self, StackName: str) -> Any:
        self.calls.append("describe_stack_events")
        stack = self._find(StackName)
        self._advance(stack["StackId"])
        return {"StackEvents": list(reversed(stack["events"]))}

    def get_paginator(self, operation: str) -> Any:
        call = getattr(self, operation)

        class Paginator:
            def paginate(self, **arguments: Any) -> Any:
                yield call(**arguments)

        return Paginator()

    def create_change_set(self, StackName: str, ChangeSetName: str, **arguments: Any) -> Any:
        self.calls.append("create_change_set")
        stack = self._find(StackName)
        self._refuse_if_busy(stack)
        same = self._is_same(stack, arguments)
        self.change_sets[ChangeSetName] = {
            "StackName": StackName,
            "Status": "FAILED" if same else "CREATE_COMPLETE",
            "StatusReason": "The submitted information didn't contain changes." if same else "",
            "Changes": [],
        }
        return {"Id": ChangeSetName, "StackId": stack["StackId"]}

    def describe_change_set(self, ChangeSetName: str) -> Any:
        self.calls.append("describe_change_set")
        return self.change_sets[ChangeSetName]

    def delete_change_set(self, ChangeSetName: str) -> Any:
        self.calls.append("delete_change_set")
        del self.change_sets[ChangeSetName]

    def create_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        self.calls.append("create_stack")
        live = [s for s in self.stacks.values() if s["StackName"] == StackName]
        if any(s["StackStatus"] != "DELETE_COMPLETE" for s in live):
            raise refused("AlreadyExistsException", f"Stack [{StackName}] already exists")
        self.has(StackName, "CREATE_IN_PROGRESS", events=[])
        self._change(self._find(StackName), arguments)
        self._start(self._find(StackName), "CREATE", ClientRequestToken)

    def update_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        self.calls.append("update_stack")
        if self.status(StackName) in (None, "DELETE_COMPLETE"):
            raise refused("ValidationError", f"Stack [{StackName}] does not exist")
        stack = self._find(StackName)
        self._refuse_if_busy(stack)
        if self._is_same(stack, arguments):
            raise refused("ValidationError", "No updates are to be performed.")
        self._change(stack, arguments)
        self._start(stack, "UPDATE", ClientRequestToken)

    def delete_stack(self, StackName: str, ClientRequestToken: str) -> Any:
        self.calls.append("delete_stack")
        self._start(self._find(StackName), "DELETE", ClientRequestToken)

    def rollback_stack(self, StackName: str, ClientRequestToken: str) -> Any:
        self.calls.append("rollback_stack")
        self._start(self._find(StackName), "UPDATE_ROLLBACK", ClientRequestToken)

    def continue_update_rollback(self, StackName: str, ClientRequestToken: str) -> Any:
        self.calls.append("continue_update_rollback")
        self._start(self._find(StackName), "UPDATE_ROLLBACK", ClientRequestToken)

    # Internals.

    def _refuse_if_busy(self, stack: dict[str, Any]) -> None:
        if (status := stack["StackStatus"]).endswith("_IN_PROGRESS"):
            raise refused("ValidationError", f"Stack is in {status} state and can not be updated.")

    def _is_same(self, stack: dict[str, Any], arguments: dict[str, Any]) -> bool:
        now = tuple(stack.get(key) for key in ("template", "Parameters", "Tags"))
        return now == (
            json.loads(arguments["TemplateBody"]),
            arguments["Parameters"],
            arguments["Tags"],
        )

    def _change(self, stack: dict[str, Any], arguments: dict[str, Any]) -> None:
        stack["template"] = json.loads(arguments["TemplateBody"])
        stack |= {"Parameters": arguments["Parameters"], "Tags": arguments["Tags"]}

    def _find(self, name: str) -> dict[str, Any]:
        if name in self.stacks:
            return self.stacks[name]
        found = [s for s in self.stacks.values() if s["StackName"] == name]
        live = [s for s in found if s["StackStatus"] != "DELETE_COMPLETE"]
        if not live:
            raise refused("ValidationError", f"Stack with id {name} does not exist")
        return live[-1]

    def _start(self, stack: dict[str, Any], verb: str, token: str) -> None:
        stack["StackStatus"] = f"{verb}_IN_PROGRESS"
        self._event(
            stack["StackId"], stack["StackName"], stack["StackStatus"], of_stack=True, token=token
        )
        then = self.outcomes.pop(0) if self.outcomes else f"{verb}_COMPLETE"
        self._in_progress[stack["StackId"]] = (self.polls, then, token)

    def _advance(self, stack_id: str) -> None:
        if stack_id not in self._in_progress:
            return
        left, then, token = self._in_progress[stack_id]
        if left > 0:
            self._in_progress[stack_id] = (left - 1, then, token)
            return
        del self._in_progress[stack_id]
        stack = self.stacks[stack_id]
        if "ROLLBACK" in then or then.endswith("_FAILED"):
            failed = "DELETE_FAILED" if then == "DELETE_FAILED" else "CREATE_FAILED"
            self._event(stack_id, "Other", failed, "Resource creation cancelled", token=token)
            self._event(stack_id, "Thing", failed, self.reason, token=token)
        cleanup = ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] if then == "UPDATE_COMPLETE" else []
        for status in (*cleanup, then):
            self._event(stack_id, stack["StackName"], status, of_stack=True, token=token)
        stack["StackStatus"] = then

    def _event(
        self,
        stack_id: str,
        resource: str,
        status: str,
        reason: str = "",
        of_stack: bool = False,
        token: str = "",
    ) -> None:
        stack = self.stacks[stack_id]
        stack["events"].append(
            {
                "EventId": f"event-{len(stack['events'])}",
                "StackId": stack_id,
                "StackName": stack["StackName"],
                "LogicalResourceId": resource,
                "PhysicalResourceId": stack_id if of_stack else f"physical-{resource}",
                "ResourceType": "AWS::CloudFormation::Stack" if of_stack else "AWS::X::Thing",
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
                "Timestamp": datetime.now(UTC),
                "ClientRequestToken": token,
            }
        )
