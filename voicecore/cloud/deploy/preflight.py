"""What would fail later in a deploy, found before anything is made.

Each check is a question to AWS and a pure verdict on the answer. A question that this identity
may not ask leaves a note and stops nothing: the deploy may be allowed what the check is not.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from math import ceil
from typing import Any, cast

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, allowing, code_of, is_denied
from voicecore.aws.session import CLOCK_TOLERANCE, Aws, clock_is_wrong, refusal_of
from voicecore.aws.task_group import Together
from voicecore.catalog import regions
from voicecore.cloud.deploy import inventory
from voicecore.cloud.deploy.inventory import Thing
from voicecore.cloud.stacks import iam, zones
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import VCPUS, tasks_of
from voicecore.cloud.stacks.iam import Statement
from voicecore.cloud.stacks.network_stack import Egress, closed, egress_of
from voicecore.project import aws_names
from voicecore.project.project import Server

MODELS = {
    "nova-2-sonic": regions.NOVA_SONIC_MODEL,
    "nova-lite": regions.NOVA_LITE_MODEL,
}
"""The Bedrock model behind a service of the registry of pipelines."""


class Verdict(StrEnum):
    """What a check found."""

    GOOD = "good"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One check's verdict."""

    check: str
    verdict: Verdict
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Quota:
    """A quota of AWS, as Service Quotas knows it, with what it counts."""

    title: str
    service: str
    code: str
    default: int


# Service Quotas: Amazon VPC and EC2 (vpc-limits, autumn 2026).
ADDRESSES = Quota("Elastic IP addresses", "ec2", "L-0263D0A3", 5)
VPCS = Quota("VPCs", "vpc", "L-F678F1CE", 5)
# bedrock-agentcore-limits; some new accounts have less, even none.
SESSIONS = Quota("AgentCore sessions at once", "bedrock-agentcore", "L-3E5722B2", 2500)
# Their default is what a new account has (ECS and ELB service quotas).
TASK_CPUS = Quota("vCPUs of Fargate", "fargate", "L-3032A538", 6)
BALANCERS = Quota("load balancers", "elasticloadbalancing", "L-53DA6B97", 50)
RUNTIMES = Quota("AgentCore runtimes", "bedrock-agentcore", "L-F4575653", 1000)


class NotReady(AwsRefused):
    """Something would make the deploy fail."""

    def __init__(self, refused: Sequence[Finding]) -> None:
        count = "1 thing" if len(refused) == 1 else f"{len(refused)} things"
        super().__init__(
            "\n  ".join(
                [f"{count} would make the deploy fail; nothing was changed:"]
                + [f"{finding.check}: {finding.message}" for finding in refused]
            ),
            "\n".join(dict.fromkeys(finding.fix for finding in refused if finding.fix)),
        )


Check = tuple[str, Callable[[], Iterable[Finding]]]
"""A check's name, and what asks and judges."""


def checks_for(aws: Aws, deployment: Deployment, standing: Collection[str]) -> list[Check]:
    """All checks that this deployment needs, but for its session server.

    `standing` are the names of the stacks that are there: what they hold needs no room any more.
    """
    stage, images, network = (
        aws_names.stack_name_for(deployment.name, deployment.stage.name),
        aws_names.images_stack_name_for(deployment.name),
        aws_names.network_stack_name_for(deployment.name),
    )
    checks: list[Check] = [
        ("clock", lambda: [of_clock(aws.identity.skew)]),
        ("sessions", lambda: [of_sessions(_quota(aws, SESSIONS))]),
    ]
    for model in models_of(deployment):
        checks += [(f"model {model}", lambda model=model: [_model(aws, model)])]
    if images not in standing:
        checks += [("names", lambda: of_names(inventory.of_images(aws, deployment.name)))]
    if stage not in standing:
        checks += [
            (
                "names",
                lambda: of_names(inventory.of_stage(aws, deployment.name, deployment.stage.name)),
            ),
            ("runtimes", lambda: [of_quota(RUNTIMES, _quota(aws, RUNTIMES), _runtimes(aws), 1)]),
            # Who made a stage may change it: the simulator's dozen answers take seconds.
            ("permissions", lambda: _permissions(aws, iam.deployer_statements, deployment)),
        ]
    if deployment.makes_network and network not in standing:
        gateways = 2 if deployment.vpc.ha else 1
        checks += [
            ("zones", lambda: [of_zones(aws.region, zones_of(aws))]),
            ("VPCs", lambda: [of_quota(VPCS, _quota(aws, VPCS), _vpcs(aws), 1)]),
            (
                "addresses",
                lambda: [of_quota(ADDRESSES, _quota(aws, ADDRESSES), _addresses(aws), gateways)],
            ),
        ]
    if deployment.vpc.given:
        checks += [("network", lambda: _given_network(aws, deployment))]
    return checks


def checks_of_server(aws: Aws, deployment: Deployment, bridged: bool, new: bool) -> list[Check]:
    """What a session server needs besides; `bridged`: one that carries calls, `new`: not there."""
    name, server = deployment.name, deployment.stage.server
    checks: list[Check] = []
    if bridged and server.domain:
        checks += [("certificate", lambda: [_certificate(aws, server)])]
    if not new:
        return checks
    needed = partial(iam.server_deployer_statements, bridged=bridged)
    checks += [
        ("names", lambda: of_names(inventory.of_server(aws, name, deployment.stage.name, bridged))),
        ("permissions", lambda: _permissions(aws, needed, deployment)),
    ]
    if not bridged:
        return checks
    checks += [
        (
            "load balancers",
            lambda: [of_quota(BALANCERS, _quota(aws, BALANCERS), _balancers(aws), 1)],
        ),
        ("Fargate", lambda: [of_vcpus(_quota(aws, TASK_CPUS), _vcpus(aws), tasks_of(deployment))]),
    ]
    return checks


def look(checks: Sequence[Check], together: Together, again: str) -> list[Finding]:
    """The findings of all checks, asked at once."""
    answers = [
        together.start(lambda name=name, check=check: _asked(name, check, again))
        for name, check in checks
    ]
    return [finding for answer in answers for finding in together.result(answer)]


def refuse(findings: Iterable[Finding]) -> None:
    """Raise NotReady, which names everything that would fail at once, if anything would."""
    refused = [finding for finding in findings if finding.verdict is Verdict.REFUSED]
    if refused:
        raise NotReady(refused)


def models_of(deployment: Deployment) -> list[str]:
    """The Bedrock models that the agent calls."""
    return [MODELS[service.name] for service in deployment.uses if service.name in MODELS]


def of_clock(skew: timedelta) -> Finding:
    """Whether AWS will take signatures of this clock."""
    if abs(skew) <= CLOCK_TOLERANCE:
        return Finding("clock", Verdict.GOOD, f"{abs(skew).total_seconds():.0f} s from AWS's")
    wrong = clock_is_wrong(skew)
    return Finding("clock", Verdict.REFUSED, wrong.message, wrong.hint or "")


def of_quota(quota: Quota, allowed: float, used: int, wanted: int) -> Finding:
    """Whether `wanted` more fit into a quota."""
    if used + wanted <= allowed:
        return Finding(quota.title, Verdict.GOOD, f"{used} of {allowed:.0f} used")
    return Finding(
        quota.title,
        Verdict.REFUSED,
        f"{used} of {allowed:.0f} are used in this region, and {wanted} more are needed",
        f"Free some, or ask for more:\n{_request(quota, used + wanted)}",
    )


def of_vcpus(allowed: float, used: int, tasks: int) -> Finding:
    """Whether a server fits into what Fargate lends: the first task, and its successor beside it.

    That so many do not fit which the most calls would take is told, and stops nothing.
    """
    first = of_quota(TASK_CPUS, allowed, used, 2 * VCPUS)
    most = used + tasks * VCPUS
    if first.verdict is not Verdict.GOOD or most <= allowed:
        return first
    return Finding(
        TASK_CPUS.title,
        Verdict.UNKNOWN,
        f"peak_calls takes {tasks} tasks, and there is room for {allowed - used:.0f} of them. More "
        f"calls than they carry will be heard badly; ask for more:  {_request(TASK_CPUS, most)}",
    )


def of_certificate(server: Server, region: str, found: Mapping[str, Any] | None) -> Finding:
    """Whether a certificate is one for the server's domain, and good; None: there is none."""
    of_it = f"--region {region} --certificate-arn {server.certificate}"
    again = (
        f"Ask for one, and name it under [server]:\naws acm request-certificate --region {region} "
        f"--validation-method DNS --domain-name {server.domain}"
    )
    if found is None:
        why, fix = "there is none of that ARN in this account", again
    elif found.get("Status") == "PENDING_VALIDATION":
        why = "it is PENDING_VALIDATION"
        fix = (
            "Make the record that proves that the domain is yours, and wait for it:\n"
            f"aws acm describe-certificate {of_it} "
            "--query Certificate.DomainValidationOptions\n"
            f"aws acm wait certificate-validated {of_it}"
        )
    elif found.get("Status") != "ISSUED":
        why, fix = f"it is {found.get('Status')}", again
    elif not covers(names_in := sorted(_names_in(found)), server.domain):
        why, fix = f"it is for {', '.join(names_in)}, not for {server.domain}", again
    else:
        return Finding("certificate", Verdict.GOOD, f"for {server.domain}")
    return Finding("certificate", Verdict.REFUSED, why, fix)


def covers(names: Iterable[str], domain: str) -> bool:
    """Whether one of a certificate's names is the domain's; a star is one label (RFC 6125)."""
    above = domain.lower().partition(".")[2]
    return bool({name.lower() for name in names} & {domain.lower(), f"*.{above}"})


def _names_in(certificate: Mapping[str, Any]) -> set[str]:
    return {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", ())}


def of_sessions(allowed: float) -> Finding:
    """Whether this account may have sessions at all; new ones sometimes may not."""
    if allowed >= 1:
        return Finding(SESSIONS.title, Verdict.GOOD, f"{allowed:.0f}")
    return Finding(
        SESSIONS.title,
        Verdict.REFUSED,
        "this account may have none in this region, as some new accounts",
        f"Ask for some:\n{_request(SESSIONS, 10)}",
    )


def of_zones(region: str, found: Mapping[str, str]) -> Finding:
    """Whether the account has the zones for a network; `found` maps names to ids."""
    try:
        chosen = zones.choose(region, found)
    except zones.TooFewZones as error:
        return Finding("zones", Verdict.REFUSED, error.message, error.hint or "")
    return Finding("zones", Verdict.GOOD, ", ".join(chosen))


def of_model(model: str, region: str, availability: Mapping[str, Any]) -> Finding:
    """Whether Bedrock lets this account call the model here (GetFoundationModelAvailability)."""
    check = f"model {model}"
    if availability.get("regionAvailability") == "NOT_AVAILABLE":
        return Finding(
            check,
            Verdict.REFUSED,
            f"Bedrock does not offer it in {region}",
            "Choose another region in voicecore.toml.",
        )
    refused = (
        availability.get("authorizationStatus") == "NOT_AUTHORIZED"
        or availability.get("entitlementAvailability") == "NOT_AVAILABLE"
    )
    if refused:
        return Finding(
            check,
            Verdict.REFUSED,
            "this account has no access to it",
            "Open it in the Bedrock console: "
            f"https://{region}.console.aws.amazon.com/bedrock/home?region={region}#/modelaccess",
        )
    return Finding(check, Verdict.GOOD, "open to this account")


def of_names(taken: Iterable[Thing]) -> Iterator[Finding]:
    """Whether the names of a new stack are free; `taken` is what has one of them."""
    for thing in taken:
        # AgentCore leaves log groups behind; they are in nobody's way.
        if thing.kind != "log group":
            yield Finding(
                "names",
                Verdict.REFUSED,
                f"there is a {thing.kind} {thing.name} already, which no stack of voicecore holds",
                f"Delete that {thing.kind}, or give the project another name in voicecore.toml.",
            )


def of_groups(
    needed: Sequence[Egress], vpc: str, groups: Mapping[str, tuple[str, Sequence[Egress]]]
) -> Iterator[Finding]:
    """Whether given security groups (id → its VPC and what it lets out) let the agent speak."""
    for group, (place, _) in groups.items():
        if place != vpc:
            yield Finding(
                "network",
                Verdict.REFUSED,
                f"{group} is in {place}, but the subnets are in {vpc}",
                "Name security groups of the subnets' own VPC under [vpc] in voicecore.toml.",
            )
    shut = closed(needed, [rule for _, rules in groups.values() for rule in rules])
    if shut:
        yield Finding(
            "network",
            Verdict.REFUSED,
            f"{', '.join(groups)} let out no {', '.join(map(str, shut))}",
            "Add these rules for outgoing traffic to 0.0.0.0/0.",
        )


def zones_of(aws: Aws) -> dict[str, str]:
    """The account's availability zones: name → id."""
    answer = aws.client("ec2").describe_availability_zones(
        Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
    )
    return {zone["ZoneName"]: zone["ZoneId"] for zone in answer["AvailabilityZones"]}


def _asked(name: str, check: Callable[[], Iterable[Finding]], again: str) -> list[Finding]:
    try:
        return list(check())
    except ClientError as error:
        if not is_denied(error):
            raise
        words = refusal_of(error, again).message
        return [Finding(name, Verdict.UNKNOWN, f"could not be checked: {words}")]


def _request(quota: Quota, value: int) -> str:
    return (
        "aws service-quotas request-service-quota-increase "
        f"--service-code {quota.service} --quota-code {quota.code} --desired-value {value}"
    )


def _quota(aws: Aws, quota: Quota) -> float:
    with allowing("NoSuchResourceException"):
        answer = aws.client("service-quotas").get_service_quota(
            ServiceCode=quota.service, QuotaCode=quota.code
        )
        return float(answer["Quota"]["Value"])
    # An account for which a quota was never changed may have no record of it.
    return quota.default


def _addresses(aws: Aws) -> int:
    return len(aws.client("ec2").describe_addresses()["Addresses"])


def _vpcs(aws: Aws) -> int:
    pages = aws.client("ec2").get_paginator("describe_vpcs").paginate()
    return sum(len(page["Vpcs"]) for page in pages)


def _runtimes(aws: Aws) -> int:
    control = aws.client("bedrock-agentcore-control")
    pages = control.get_paginator("list_agent_runtimes").paginate()
    return sum(len(page["agentRuntimes"]) for page in pages)


def _balancers(aws: Aws) -> int:
    """Application load balancers of the account here."""
    pages = aws.client("elbv2").get_paginator("describe_load_balancers").paginate()
    return sum(each["Type"] == "application" for page in pages for each in page["LoadBalancers"])


def _vcpus(aws: Aws) -> int:
    """What tasks take of Fargate's quota, as CloudWatch last knew (monitoring-fargate-usage)."""
    now = datetime.now(UTC)
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Usage",
        MetricName="ResourceCount",
        Dimensions=[
            {"Name": "Service", "Value": "Fargate"},
            {"Name": "Type", "Value": "Resource"},
            {"Name": "Resource", "Value": "vCPU"},
            {"Name": "Class", "Value": "Standard/OnDemand"},
        ],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )["Datapoints"]
    return ceil(max((point["Maximum"] for point in points), default=0))


def _certificate(aws: Aws, server: Server) -> Finding:
    found = None
    with allowing("ResourceNotFoundException"):
        answer = aws.client("acm").describe_certificate(CertificateArn=server.certificate)
        found = answer["Certificate"]
    return of_certificate(server, aws.region, found)


def _model(aws: Aws, model: str) -> Finding:
    answer = aws.client("bedrock").get_foundation_model_availability(modelId=model)
    return of_model(model, aws.region, answer)


def _permissions(
    aws: Aws, needed: Callable[[Deployment, str, str], Sequence[Statement]], deployment: Deployment
) -> Iterator[Finding]:
    """What IAM's simulator says of each permission that a deploy needs."""
    who = principal_of(aws.identity.arn)
    if who is None:
        return
    wanted = needed(deployment, aws.account, aws.identity.partition)
    lacking: list[str] = []
    for statement in wanted:
        try:
            answer = aws.client("iam").simulate_principal_policy(
                PolicySourceArn=who,
                ActionNames=list(statement.actions),
                ResourceArns=list(statement.resources),
                ContextEntries=list(context_of(statement.condition or {})),
            )
        except ClientError as error:
            yield Finding("permissions", Verdict.UNKNOWN, f"could not be checked: {error}")
            return
        lacking += denied(answer["EvaluationResults"])
    if lacking:
        yield Finding(
            "permissions",
            Verdict.UNKNOWN,
            f"IAM's simulator says that {aws.identity.arn} may not do {', '.join(lacking)}",
        )


def denied(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """The actions that SimulatePrincipalPolicy says are not allowed."""
    return [r["EvalActionName"] for r in results if r["EvalDecision"] != "allowed"]


def principal_of(arn: str) -> str | None:
    """Whose policies IAM can simulate: the user or the role; None for the account's root.

    A session's ARN does not tell the path of its role: such a role IAM does not find, and the
    check remains open.
    """
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind == "assumed-role":
        partition, account = arn.split(":")[1], arn.split(":")[4]
        return f"arn:{partition}:iam::{account}:role/{name.split('/')[0]}"
    return arn if kind in ("user", "role") else None


def context_of(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A statement's condition as the simulator takes it."""
    for values in condition.values():
        for key, value in values.items():
            values_of_key = cast("list[Any]", value) if isinstance(value, list) else [value]
            yield {
                "ContextKeyName": key,
                "ContextKeyValues": values_of_key,
                "ContextKeyType": "stringList" if len(values_of_key) > 1 else "string",
            }


def _given_network(aws: Aws, deployment: Deployment) -> Iterator[Finding]:
    ec2 = aws.client("ec2")
    try:
        subnets = _subnets(ec2, deployment.vpc.subnets)
        groups = _groups(ec2, deployment.vpc.security_groups)
    except ClientError as error:
        if not code_of(error).endswith(".NotFound"):
            raise
        yield Finding(
            "network",
            Verdict.REFUSED,
            f"[vpc] names what is not in {aws.region}: {error}",
            "Name subnets and security groups of this account and region in voicecore.toml.",
        )
        return
    mistakes = zones.mistakes_in(aws.region, subnets)
    for mistake in mistakes:
        yield Finding(
            "network", Verdict.REFUSED, mistake, "Mend [vpc] in voicecore.toml, or leave it out."
        )
    yield from of_groups(egress_of(deployment), subnets[0].vpc, groups)
    if not mistakes:
        yield Finding("network", Verdict.GOOD, ", ".join(s.zone_id for s in subnets))


def _subnets(ec2: Any, ids: Sequence[str]) -> list[zones.Subnet]:
    described = ec2.describe_subnets(SubnetIds=list(ids))["Subnets"]
    vpcs = sorted({subnet["VpcId"] for subnet in described})
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": vpcs}])["RouteTables"]
    return [
        zones.Subnet(
            id=subnet["SubnetId"],
            vpc=subnet["VpcId"],
            zone_id=subnet["AvailabilityZoneId"],
            way_out=way_out(subnet["SubnetId"], subnet["VpcId"], tables),
        )
        for subnet in described
    ]


def way_out(subnet: str, vpc: str, tables: Sequence[Mapping[str, Any]]) -> str:
    """Where the subnet's route to 0.0.0.0/0 leads, by its own route table or the VPC's main one."""
    own = [t for t in tables for a in t["Associations"] if a.get("SubnetId") == subnet]
    main = [t for t in tables for a in t["Associations"] if t["VpcId"] == vpc and a.get("Main")]
    for table in (own or main)[:1]:
        for route in table["Routes"]:
            if route.get("DestinationCidrBlock") == "0.0.0.0/0":
                return next((route[key] for key in _TARGETS if route.get(key)), "")
    return ""


# EC2 API Reference, Route: where a route may lead.
_TARGETS = (
    "NatGatewayId", "GatewayId", "TransitGatewayId", "InstanceId", "NetworkInterfaceId",
    "VpcPeeringConnectionId", "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn",
)  # fmt: skip


def _groups(ec2: Any, ids: Sequence[str]) -> dict[str, tuple[str, list[Egress]]]:
    described = ec2.describe_security_groups(GroupIds=list(ids))["SecurityGroups"]
    return {
        group["GroupId"]: (
            group["VpcId"],
            [
                Egress(rule["IpProtocol"], rule.get("FromPort", 0), rule.get("ToPort", 65535))
                for rule in group["IpPermissionsEgress"]
                if any(r["CidrIp"] == "0.0.0.0/0" for r in rule.get("IpRanges", ()))
            ],
        )
        for group in described
    }
