"""Everything that exists in the stand-in's AWS, in all accounts and regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.agentcore import settle_all
from tests.standins.aws.images import pull_in
from tests.standins.aws.world import World

_GONE = ("deleted", "failed")


@dataclass(frozen=True, order=True)
class Thing:
    """One resource. Equal if it is the same one, whatever its tags."""

    kind: str  # "ec2:vpc", as in Resource Groups Tagging
    id: str
    region: str
    account: str
    arn: str = field(default="", compare=False)
    tags: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.kind:<40} {self.id} ({self.region})"


def inventory(world: World) -> frozenset[Thing]:
    """All that there is now, but for what is the account's own.

    That is: default VPCs and service-linked roles.
    """
    with world.lock:
        settle_all(world)
        return frozenset([*_own(world), *_motos(world)])


def _own(world: World) -> Iterator[Thing]:
    for (account, region), place in world.every("agentcore"):
        for runtime in place.runtimes.values():
            tags = tuple(place.tags.get(runtime.arn, {}).items())
            yield Thing("bedrock-agentcore:runtime", runtime.id, region, account, runtime.arn, tags)
            for endpoint in runtime.endpoints.values():
                if endpoint.name != "DEFAULT":
                    arn = f"{runtime.arn}/runtime-endpoint/{endpoint.name}"
                    tags = tuple(place.tags.get(arn, {}).items())
                    kind = "bedrock-agentcore:runtime-endpoint"
                    yield Thing(kind, f"{runtime.id}/{endpoint.name}", region, account, arn, tags)
    for (account, region), place in world.every("video"):
        for channel in place.channels.values():
            if channel.state.now(world.clock) != "GONE":
                tags = tuple(channel.tags.items())
                yield Thing(
                    "kinesisvideo:channel", channel.name, region, account, channel.arn, tags
                )
    for (account, region), functions in world.every("functions"):
        for function in functions.values():
            tags = tuple(function.tags.items())
            yield Thing("lambda:function", function.name, region, account, function.arn, tags)
    for (account, region), stacks in world.every("stacks"):
        for stack in stacks:
            if stack.alive:
                wanted = stack.current or stack.target
                tags = tuple(wanted.tags.items()) if wanted else ()
                yield Thing("cloudformation:stack", stack.name, region, account, stack.id, tags)


def _motos(world: World) -> Iterator[Thing]:
    for account, region, b in _backends("ec2"):
        yield from _ec2(world, account, region, b)
    for account, _, b in _backends("iam"):
        for role in b.roles.values():
            if role.path.startswith("/aws-service-role/"):
                continue  # the account's, and shared by all that is in it
            tags = _pairs(role.tags or [])
            yield Thing("iam:role", role.name, "", account, role.arn, tags)
    for account, region, b in _backends("ecr"):
        pull_in(world, account, region)
        for repository in b.repositories.values():
            arn = f"arn:aws:ecr:{region}:{account}:repository/{repository.name}"
            tags = _pairs(b.list_tags_for_resource(arn)["tags"])
            yield Thing("ecr:repository", repository.name, region, account, arn, tags)
            for image in repository.images:
                yield Thing(
                    "ecr:image", f"{repository.name}@{image.get_image_digest()}", region, account
                )
    for account, region, b in _backends("logs"):
        for group in b.groups.values():
            arn = group.arn.removesuffix(":*")
            tags = tuple(b.list_tags_for_resource(arn).items())
            yield Thing("logs:log-group", group.name, region, account, arn, tags)
    for account, region, b in _backends("secretsmanager"):
        for secret in b.secrets.values():
            tags = _pairs(secret.tags or [])
            name = secret.name + (" (to be deleted)" if secret.is_deleted() else "")
            yield Thing("secretsmanager:secret", name, region, account, secret.arn, tags)
    for account, _, b in _backends("s3"):
        for bucket in b.buckets.values():
            yield Thing("s3:bucket", bucket.name, "", account, bucket.arn)
    for account, region, b in _backends("codebuild"):
        for name, project in b.codebuild_projects.items():
            yield Thing("codebuild:project", name, region, account, project.arn)
    yield from _of_servers()


def _of_servers() -> Iterator[Thing]:
    """What servers on Fargate are made of."""
    for account, region, b in _backends("ecs"):
        for cluster in b.clusters.values():
            if cluster.status == "ACTIVE":
                tags = _lower_pairs(cluster.tags or [])
                yield Thing("ecs:cluster", cluster.name, region, account, cluster.arn, tags)
        for service in b.services.values():
            if service.status == "ACTIVE":
                tags = _lower_pairs(service.tags or [])
                yield Thing("ecs:service", service.name, region, account, service.arn, tags)
        for family in b.task_definitions.values():
            for task in family.values():
                if task.status == "ACTIVE":
                    yield Thing("ecs:task-definition", task.arn, region, account, task.arn)
    for account, region, b in _backends("elbv2"):
        for arn, balancer in b.load_balancers.items():
            tags = tuple(b.tagging_service.get_tag_dict_for_resource(arn).items())
            kind = "elasticloadbalancing:loadbalancer/app"
            yield Thing(kind, balancer.name, region, account, arn, tags)
        for arn, group in b.target_groups.items():
            tags = tuple(b.tagging_service.get_tag_dict_for_resource(arn).items())
            kind = "elasticloadbalancing:targetgroup"
            yield Thing(kind, group.name, region, account, arn, tags)
    for account, region, b in _backends("applicationautoscaling"):
        for found in b.targets.values():
            yield from (
                Thing("application-autoscaling:scalable-target", resource, region, account)
                for resource in found
            )
    for account, _, b in _backends("cloudfront"):
        for distribution in b.distributions.values():
            tags = _pairs(b.list_tags_for_resource(distribution.arn)["Tags"])
            kind = "cloudfront:distribution"
            yield Thing(kind, distribution.distribution_id, "", account, distribution.arn, tags)


def _lower_pairs(tags: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((tag["key"], tag["value"]) for tag in tags)


def _pairs(tags: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((tag["Key"], tag["Value"]) for tag in tags)


def _backends(service: str) -> Iterator[tuple[str, str, Any]]:
    for account, regions in list(get_backend(service).items()):
        for region, backend in list(regions.items()):
            yield account, region, backend


def _ec2(world: World, account: str, region: str, b: Any) -> Iterator[Thing]:
    usual = {
        vpc.id for vpc in b.vpcs.values() if vpc.is_default == "true" or vpc.is_default is True
    }
    states = world.of(dict, "nat gateways")

    def thing(kind: str, found: Any) -> Thing:
        arn = f"arn:aws:ec2:{region}:{account}:{kind}/{found.id}"
        tags = tuple((t["key"], t["value"]) for t in found.get_tags())
        return Thing(f"ec2:{kind}", found.id, region, account, arn, tags)

    for vpc in b.vpcs.values():
        if vpc.id not in usual:
            yield thing("vpc", vpc)
    for subnets in b.subnets.values():
        yield from (thing("subnet", s) for s in subnets.values() if s.vpc_id not in usual)
    yield from (thing("internet-gateway", g) for g in b.internet_gateways.values())
    for gateway in b.nat_gateways.values():
        state = states.get(gateway.id)
        if (state.now(world.clock) if state else gateway.state) not in _GONE:
            yield thing("natgateway", gateway)
    for table in b.route_tables.values():
        if table.vpc_id not in usual and not table.main_association_id:
            yield thing("route-table", table)
    for groups in b.groups.values():
        for group in groups.values():
            if group.name != "default":
                yield thing("security-group", group)
    for endpoint in b.vpc_end_points.values():
        if endpoint.state != "deleted":
            yield thing("vpc-endpoint", endpoint)
    for eni in b.enis.values():
        yield thing("network-interface", eni)
    for address in b.addresses:
        arn = f"arn:aws:ec2:{region}:{account}:elastic-ip/{address.allocation_id}"
        tags = tuple(
            (t["key"], t["value"])
            for t in b.describe_tags({"resource-id": [address.allocation_id]})
        )
        yield Thing("ec2:elastic-ip", address.allocation_id, region, account, arn, tags)
