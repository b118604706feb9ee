"""The stacks as files, for those who deploy by other means."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from voicecore.cloud.iam.codebuild import codebuild_statements
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.iam.server_deployer import server_deployer_statements
from voicecore.cloud.iam.statements import policy_documents
from voicecore.cloud.stacks.agent_stack import SECRET
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Stack


def as_json(stack: Stack) -> str:
    """The template as JSON text."""
    return json.dumps(stack.template, indent=2) + "\n"


def as_yaml(stack: Stack) -> str:
    """The template as YAML text, headed by what it takes and the command that deploys it."""
    import yaml

    head = "".join(f"# {line}".rstrip() + "\n" for line in _explained(stack))
    body: str = yaml.safe_dump(stack.template, sort_keys=False, width=4096, allow_unicode=True)
    return head + body


def files_of(stacks: Sequence[Stack], form: str = "yaml") -> dict[str, str]:
    """Text by file name for each of the stacks; `form` is "yaml" or "json"."""
    write = as_json if form == "json" else as_yaml
    return {f"{stack.name}.{form}": write(stack) for stack in stacks}


def policies_of(deployment: Deployment, bridged: bool = False) -> dict[str, str]:
    """Text by file name of the policies for who deploys the stage, in whatever account.

    `bridged`: with a server that carries calls.
    """
    account = deployment.stage.account or "*"
    statements = [
        *deployer_statements(deployment, account),
        *server_deployer_statements(deployment, account, on_ecs=bridged),
        *codebuild_statements(deployment, account),
    ]
    return {
        f"deployer-policy-{n}.json": json.dumps(policy, indent=2) + "\n"
        for n, policy in enumerate(policy_documents(statements), start=1)
    }


def _explained(stack: Stack) -> list[str]:
    lines = [stack.template["Description"] + ".", ""]
    declared: Mapping[str, Mapping[str, str]] = stack.template.get("Parameters", {})
    if declared:
        lines.append("Parameters:")
        for name, parameter in declared.items():
            value = stack.parameters.get(name) or "yours to give"
            lines.append(f"  {name} ({parameter['Type']}; {value}): {parameter['Description']}")
        lines.append("")
    lines += ["To deploy it:", *(f"  {line}" for line in _command(stack))]
    if SECRET in stack.resources:
        name = stack.resources[SECRET]["Properties"]["Name"]
        lines += [
            "",
            "Then give the secret its value, a JSON object of variables:",
            f"  aws secretsmanager put-secret-value --secret-id {name} --secret-string file://...",
        ]
    return lines


def _command(stack: Stack) -> list[str]:
    """AWS CLI's command, with the tags by which voicecore knows its own."""
    values = [
        f"{name}={stack.parameters.get(name) or '...'}"
        for name in stack.template.get("Parameters", {})
    ]
    tags = [f"{key}={value}" for key, value in stack.tags.items()]
    options = [
        ["aws", "cloudformation", "deploy"],
        ["--stack-name", stack.name, "--template-file", f"{stack.name}.yaml"],
        ["--capabilities", "CAPABILITY_NAMED_IAM"],
        *([["--parameter-overrides", *values]] if values else []),
        ["--tags", *tags],
    ]
    return " \\\n  ".join(shlex.join(option) for option in options).splitlines()
