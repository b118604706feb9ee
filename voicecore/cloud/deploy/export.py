"""Owns the export of templates and policies, for deploying by other means."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from voicecore.catalog import regions
from voicecore.cloud.deploy.parts.agent_state import DesiredAgent
from voicecore.cloud.deploy.parts.shared_stacks import CurrentShared, desired_shared
from voicecore.cloud.deploy.request import DeployRequest
from voicecore.cloud.iam.codebuild import codebuild_statements
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.iam.server_deployer import server_deployer_statements
from voicecore.cloud.iam.statements import policy_documents
from voicecore.cloud.stacks import zones
from voicecore.cloud.stacks.agent_stack import SECRET
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Stack


def exported_files(request: DeployRequest) -> dict[str, str]:
    """Return the templates of all stacks and the deployer policies: text by file name.

    AWS is not asked: zones are the first that AgentCore supports in the region.
    """
    deployment, server = request.deployment, request.server
    zone_ids = zones.SUPPORTED_ZONES[deployment.stage.region][: zones.ZONES_PER_NETWORK]
    shared = desired_shared(deployment, zone_ids, CurrentShared())
    agent = DesiredAgent(deployment, request.environment).stack("", None)
    server_stack = server.stack("", "", "") if server else None
    stacks = [shared.images, shared.network, agent, server_stack]
    carries_calls = bool(server and server.carries_calls)
    templates = {f"{stack.name}.yaml": as_yaml(stack) for stack in stacks if stack}
    return templates | policies_of(deployment, carries_calls)


def as_yaml(stack: Stack) -> str:
    """Return the template as YAML, below its parameters and the command that deploys it."""
    import yaml

    head = "".join(f"# {line}".rstrip() + "\n" for line in _header(stack))
    body: str = yaml.safe_dump(stack.template, sort_keys=False, width=4096, allow_unicode=True)
    return head + body


def policies_of(deployment: Deployment, carries_calls: bool = False) -> dict[str, str]:
    """Return the IAM policies for the deploying identity by file name, for any account.

    `carries_calls`: with a session server that carries calls.
    """
    account = deployment.stage.account or "*"
    partition = regions.partition_of(deployment.stage.region)
    statements = [
        *deployer_statements(deployment, account, partition),
        *server_deployer_statements(deployment, account, partition, on_ecs=carries_calls),
        *codebuild_statements(deployment, account, partition),
    ]
    return {
        f"deployer-policy-{n}.json": json.dumps(policy, indent=2) + "\n"
        for n, policy in enumerate(policy_documents(statements), start=1)
    }


def _header(stack: Stack) -> list[str]:
    lines = [stack.template["Description"] + ".", ""]
    declared: Mapping[str, Mapping[str, str]] = stack.template.get("Parameters", {})
    if declared:
        lines.append("Parameters:")
        for name, parameter in declared.items():
            value = stack.parameters.get(name) or "set it yourself"
            lines.append(f"  {name} ({parameter['Type']}; {value}): {parameter['Description']}")
        lines.append("")
    lines += ["To deploy it:", *(f"  {line}" for line in _command(stack))]
    if SECRET in stack.resources:
        name = stack.resources[SECRET]["Properties"]["Name"]
        lines += [
            "",
            "Then set the secret's value, a JSON object of variables:",
            f"  aws secretsmanager put-secret-value --secret-id {name} --secret-string file://...",
        ]
    return lines


def _command(stack: Stack) -> list[str]:
    """Return the AWS CLI's command, with the tags by which voicecore finds its stacks."""
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
