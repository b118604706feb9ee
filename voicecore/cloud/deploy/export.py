"""Owns the export of templates and policies, for deploying by other means."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence

from voicecore.catalog import regions
from voicecore.cloud.deploy.parts.agent_state import DesiredAgent
from voicecore.cloud.deploy.parts.shared_stacks import CurrentShared, desired_shared
from voicecore.cloud.deploy.request import DeployRequest
from voicecore.cloud.iam.codebuild import codebuild_statements
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.iam.server_deployer import server_deployer_statements
from voicecore.cloud.iam.service_role import caller_statements, service_role_statements
from voicecore.cloud.iam.statements import ArnScope, Statement, policy_documents
from voicecore.cloud.preflight.rules import required_policy, required_trust
from voicecore.cloud.stacks import zones
from voicecore.cloud.stacks.agent_stack import SECRET
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.project import aws_names

YAML, JSON = "yaml", "json"
FORMATS = (YAML, JSON)

ACCOUNT = "ACCOUNT"
"""Stands for the account's number where the project names none."""


README = "README.md"


def exported_files(request: DeployRequest, form: str = YAML) -> dict[str, str]:
    """Return the templates of all stacks, the policies and a README: text by file name.

    AWS is not asked: zones are the first that AgentCore supports in the region.
    """
    deployment, server = request.deployment, request.server
    zone_ids = zones.SUPPORTED_ZONES[deployment.stage.region][: zones.ZONES_PER_NETWORK]
    shared = desired_shared(deployment, zone_ids, CurrentShared())
    agent = DesiredAgent(deployment, request.environment).stack("", None)
    server_stack = server.stack("", "", "") if server else None
    stacks = [s for s in (shared.images, shared.network, agent, server_stack) if s]
    carries_calls = bool(server and server.carries_calls)
    written = as_yaml if form == YAML else as_json
    files = {
        **{f"{stack.name}.{form}": written(stack) for stack in stacks},
        **policies_of(deployment, carries_calls),
        **role_policies_of(deployment, bool(request.environment.secret)),
    }
    return files | {README: _readme(deployment, stacks, form, files)}


def as_yaml(stack: Stack) -> str:
    """Return the template as YAML, below its parameters and the command that deploys it."""
    import yaml

    head = "".join(f"# {line}".rstrip() + "\n" for line in _header(stack, YAML))
    body: str = yaml.safe_dump(stack.document, sort_keys=False, width=4096, allow_unicode=True)
    return head + body


def as_json(stack: Stack) -> str:
    """Return the template as JSON, which has no room for a header."""
    return json.dumps(stack.document, indent=2) + "\n"


def policies_of(deployment: Deployment, carries_calls: bool = False) -> dict[str, str]:
    """Return the IAM policies for the deploying identity by file name, for any account.

    With a service role, most permissions are its own. `carries_calls`: with a session server that
    carries calls.
    """
    account = deployment.stage.account or "*"
    partition = regions.partition_of(deployment.stage.region)
    statements = [
        *deployer_statements(deployment, account, partition),
        *server_deployer_statements(deployment, account, partition, on_ecs=carries_calls),
        *codebuild_statements(deployment, account, partition),
    ]
    role = deployment.stage.service_role
    files = _numbered("deployer-policy", caller_statements(statements, role))
    return files | (_numbered("service-role-policy", service_role_statements(statements)) if role
                    else {})  # fmt: skip


def role_policies_of(deployment: Deployment, has_secret: bool) -> dict[str, str]:
    """Return what an execution role of the administrator's needs, by file name."""
    partition = regions.partition_of(deployment.stage.region)
    scope = ArnScope.of(deployment, deployment.stage.account or ACCOUNT, partition)
    return {
        "execution-role-policy.json": _as_text(required_policy(deployment, scope, has_secret)),
        "execution-role-trust.json": _as_text(required_trust(scope)),
    }


def _numbered(name: str, statements: Iterable[Statement]) -> dict[str, str]:
    documents = policy_documents(statements)
    return {f"{name}-{n}.json": _as_text(each) for n, each in enumerate(documents, start=1)}


def _as_text(policy: Json) -> str:
    return json.dumps(policy, indent=2) + "\n"


def _readme(
    deployment: Deployment, stacks: Sequence[Stack], form: str, names: Iterable[str]
) -> str:
    """Return what the files are, and how the templates are deployed, in which order."""
    again = "voicecore deploy" + aws_names.stage_flag(deployment.stage.name)
    steps = [
        "\n".join(
            [
                f"### {n}. {stack.template['Description']}",
                "",
                "```sh",
                *_command(stack, form),
                *(f"# {line}" if line.endswith(":") else line for line in _secret_lines(stack)),
                "```",
                "",
            ]
        )
        for n, stack in enumerate(stacks, start=1)
    ]
    account = (
        [f"Replace `{ACCOUNT}` in the files of the execution role by the account's number.", ""]
        if not deployment.stage.account
        else []
    )
    return "\n".join(
        [
            f"# {deployment.name}, stage {deployment.stage.name}, in {deployment.stage.region}",
            "",
            f"Written by `{again} --export template`. Rewritten by the next export.",
            "",
            "| file | contents |",
            "|---|---|",
            *(f"| `{name}` | {_meaning(name)} |" for name in names),
            "",
            *account,
            "## Deploy the templates",
            "",
            "Any tool can deploy them, in this order: the AWS CLI, a pipeline, StackSets. Stacks",
            "may have other names and tags: voicecore knows a stack by its template's `Metadata`.",
            "The policy of the identity that deploys names stacks as below; for others, add their",
            "names to its statement `Stacks`.",
            "Push the image once there is a repository:  `voicecore build --push URI`",
            "",
            "CloudFormation cannot set `requireMMDSV2`, and AgentCore refuses calls of a version",
            "without it: after an update by other means, raise `LiveVersion` only when the new",
            f"version is READY and has it. `{again}` does both.",
            "",
            *steps,
            f"`voicecore status`, `logs` and `talk --remote` read these stacks, and `{again}`",
            "updates them: it shows a plan first, and keeps tags and permissions boundaries that",
            "others added.",
            "",
        ]
    )


def _meaning(name: str) -> str:
    """Return what a file is for."""
    return next(
        (meaning for start, meaning in _MEANINGS.items() if name.startswith(start)),
        "a CloudFormation template",
    )


_MEANINGS = {
    "deployer-policy": "IAM policy of the identity that deploys",
    "service-role-policy": "IAM policy of CloudFormation's service role",
    "execution-role-policy": "IAM policy of an execution role that you create (`role`)",
    "execution-role-trust": "trust policy of that role",
}


def _header(stack: Stack, form: str) -> list[str]:
    lines = [stack.template["Description"] + ".", ""]
    declared: Mapping[str, Mapping[str, str]] = stack.template.get("Parameters", {})
    if declared:
        lines.append("Parameters:")
        for name, parameter in declared.items():
            value = stack.parameters.get(name) or "set it yourself"
            lines.append(f"  {name} ({parameter['Type']}; {value}): {parameter['Description']}")
        lines.append("")
    lines += ["To deploy it:", *(f"  {line}" for line in _command(stack, form))]
    if secret := _secret_lines(stack):
        lines += ["", secret[0], f"  {secret[1]}"]
    return lines


def _secret_lines(stack: Stack) -> list[str]:
    """Return how to set the value of the stack's secret, if it has one."""
    if SECRET not in stack.resources:
        return []
    name = stack.resources[SECRET]["Properties"]["Name"]
    return [
        "Then set the secret's value, a JSON object of variables:",
        f"aws secretsmanager put-secret-value --secret-id {name} --secret-string file://...",
    ]


def _command(stack: Stack, form: str) -> list[str]:
    """Return the AWS CLI's command, with the tags by which voicecore finds its stacks."""
    values = [
        f"{name}={stack.parameters.get(name) or '...'}"
        for name in stack.template.get("Parameters", {})
    ]
    tags = [f"{key}={value}" for key, value in stack.tags.items()]
    options = [
        ["aws", "cloudformation", "deploy"],
        ["--stack-name", stack.name, "--template-file", f"{stack.name}.{form}"],
        ["--capabilities", "CAPABILITY_NAMED_IAM"],
        *([["--parameter-overrides", *values]] if values else []),
        ["--tags", *tags],
    ]
    return " \\\n  ".join(shlex.join(option) for option in options).splitlines()
