"""Owns how callers reach a session server on ECS: load balancer, HTTPS, and CloudFront.

With a domain of its own, the load balancer serves HTTPS with the given certificate. Without one,
CloudFront does, and reaches the load balancer by plain HTTP, which carries keys, webhooks and
calls. That leg is private: a VPC origin leads to an internal load balancer (CloudFront Developer
Guide, private-content-vpc-origins; it passes WebSockets since May 2026). Without VPC origins in the
region, and in stacks of before, the load balancer is public and admits only CloudFront's addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicecore.catalog import regions
from voicecore.cloud.stacks import network_stack
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.network_stack import ANYWHERE, PUBLIC_SUBNETS, SUBNETS, VPC_ID
from voicecore.cloud.stacks.server_stack import generated_secret
from voicecore.cloud.stacks.stack import Json, Resource, get_att, ref, sub
from voicecore.project import aws_names

PORT = 8080
"""The port of the server's image."""

DRAIN_ATTRIBUTE = "deregistration_delay.timeout_seconds"
"""Attribute of the target group: how long a task that is being stopped keeps its calls."""

# A call sends 50 frames a second. An idle connection counts as open while a task drains, and must
# be closed before the server itself closes it (at 150 s), or a webhook meets a closed connection
# now and then (ELB User Guide, edit-load-balancer-attributes).
_IDLE_SECONDS = 120
_LIFETIME_SECONDS = 28_800  # of a connection to the load balancer: AgentCore's longest session
ORIGIN_ADDRESSES = "OriginAddresses"
"""Parameter with the prefix list of the addresses from which CloudFront calls origins."""

PRIVATE_ORIGIN = "PrivateOrigin"

_LATEST_TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"

# CloudFront proves itself to the load balancer by this header; the secret holds its value.
_ORIGIN_HEADER = "X-Origin-Key"
_ORIGIN_KEY = "OriginKey"

# CloudFront Developer Guide, managed policies: CachingDisabled, and AllViewer, which passes on what
# signatures are computed from and what makes a WebSocket.
_CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
_ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
# SecurityHeadersPolicy: the server does not know that its callers use TLS, so CloudFront adds
# Strict-Transport-Security. The server's own headers stay as they are.
_SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"


def server_origin(deployment: Deployment) -> Any:
    """Return the origin at which the server is called: https:// and its host."""
    domain = deployment.stage.server.domain
    return f"https://{domain}" if domain else sub("https://${Distribution.DomainName}")


def entry_id(deployment: Deployment) -> str:
    """Return the logical ID of the resource that forwards requests to the target group."""
    return "Listener" if deployment.stage.server.domain else "FromCloudFront"


def is_private(deployment: Deployment, deployed: Mapping[str, Json]) -> bool:
    """Return True when the load balancer is internal; `deployed` are the resources that exist.

    A deployed public one stays: AWS cannot change its scheme, and its target group cannot belong to
    two load balancers, so new calls would find no server for the minutes of a move.
    """
    balancer = deployed.get("LoadBalancer", {}).get("Properties", {})
    public = balancer.get("Scheme") == "internet-facing"
    stage = deployment.stage
    return not (stage.server.domain or public) and stage.region in regions.VPC_ORIGINS


def entry_resources(deployment: Deployment, private: bool) -> dict[str, Resource]:
    """Return the listener; without a domain, CloudFront as well."""
    return (
        _https_listener(deployment)
        if deployment.stage.server.domain
        else _cloudfront(deployment, private)
    )


def load_balancer(deployment: Deployment, private: bool) -> dict[str, Resource]:
    """Return the load balancer in the public subnets, or the private ones; and its target group."""
    domain = deployment.stage.server.domain
    callers = (
        security_rule("Callers", 443, {"CidrIp": ANYWHERE})
        if domain
        # Also for a VPC origin: its requests do not come from addresses of the VPC.
        else security_rule("CloudFront", 80, {"SourcePrefixListId": ref(ORIGIN_ADDRESSES)})
    )
    # CloudFront has added the caller's address already; otherwise the load balancer adds it.
    forwarded = "append" if domain else "preserve"
    return {
        "DoorGroup": Resource(
            "AWS::EC2::SecurityGroup",
            {
                # EC2 replaces a group whose description changes, so this one stays as it is.
                "GroupDescription": f"What the load balancer of {deployment.name} takes",
                "VpcId": ref(VPC_ID),
                "SecurityGroupIngress": [callers],
                "SecurityGroupEgress": [
                    security_rule("The server", PORT, {"CidrIp": network_stack.CIDR})
                ],
            },
        ),
        "LoadBalancer": Resource(
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            {
                "Type": "application",
                "Scheme": "internal" if private else "internet-facing",
                "IpAddressType": "ipv4",
                "Subnets": ref(SUBNETS if private else PUBLIC_SUBNETS),
                "SecurityGroups": [get_att("DoorGroup", "GroupId")],
                "LoadBalancerAttributes": _attributes(
                    {
                        "idle_timeout.timeout_seconds": _IDLE_SECONDS,
                        "client_keep_alive.seconds": _LIFETIME_SECONDS,
                        "routing.http.drop_invalid_header_fields.enabled": "true",
                        "routing.http.xff_header_processing.mode": forwarded,
                    }
                ),
            },
        ),
        "Targets": Resource(
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            {
                "TargetType": "ip",
                "Protocol": "HTTP",
                "Port": PORT,
                "VpcId": ref(VPC_ID),
                "HealthCheckPath": "/health",
                "HealthCheckIntervalSeconds": 10,
                "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "Matcher": {"HttpCode": "200"},
                "TargetGroupAttributes": _attributes(
                    {
                        # A draining task takes no new calls and keeps those that it has. ECS stops
                        # it when the load balancer has finished draining, and an update is not
                        # complete before (ECS, load-balancer-connection-draining).
                        DRAIN_ATTRIBUTE: 60 * deployment.stage.server.drain_minutes,
                        # With round robin, a new task would get as many calls as a full one.
                        "load_balancing.algorithm.type": "least_outstanding_requests",
                    }
                ),
            },
        ),
    }


def security_rule(description: str, port: int, peer: Json) -> Json:
    """Return a rule of a security group: TCP on one port, from or to `peer`."""
    rule: Json = {"Description": description, "IpProtocol": "tcp"}
    return rule | {"FromPort": port, "ToPort": port} | peer


def _https_listener(deployment: Deployment) -> dict[str, Resource]:
    return {
        "Listener": Resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Protocol": "HTTPS",
                "Port": 443,
                "SslPolicy": _LATEST_TLS,
                "Certificates": [{"CertificateArn": deployment.stage.server.certificate}],
                "DefaultActions": [_forward()],
            },
        )
    }


def _cloudfront(deployment: Deployment, private: bool) -> dict[str, Resource]:
    """Return HTTPS with CloudFront's own certificate; the listener rejects everyone else."""
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    return {
        _ORIGIN_KEY: generated_secret(
            deployment,
            aws_names.origin_key_for(deployment.name, deployment.stage.name),
            "Key with which CloudFront proves itself to the load balancer, as JSON",
            "KEY",
        ),
        "Listener": Resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Protocol": "HTTP",
                "Port": 80,
                "DefaultActions": [
                    {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {
                            "StatusCode": "403",
                            "ContentType": "text/plain",
                            "MessageBody": "Call by HTTPS.",
                        },
                    }
                ],
            },
        ),
        "FromCloudFront": Resource(
            "AWS::ElasticLoadBalancingV2::ListenerRule",
            {
                "ListenerArn": ref("Listener"),
                "Priority": 1,
                "Conditions": [
                    {
                        "Field": "http-header",
                        "HttpHeaderConfig": {
                            "HttpHeaderName": _ORIGIN_HEADER,
                            "Values": [_origin_key()],
                        },
                    }
                ],
                "Actions": [_forward()],
            },
        ),
        **({PRIVATE_ORIGIN: _private_origin(server)} if private else {}),
        "Distribution": _distribution(server, private),
    }


def _private_origin(name: str) -> Resource:
    return Resource(
        "AWS::CloudFront::VpcOrigin",
        {
            "VpcOriginEndpointConfig": {
                "Name": name,
                "Arn": ref("LoadBalancer"),
                "HTTPPort": 80,
                "OriginProtocolPolicy": "http-only",
            }
        },
    )


def _distribution(comment: str, private: bool) -> Resource:
    # A session may take 30 s to start.
    timeout = {"OriginReadTimeout": 60}
    origin = (
        {"VpcOriginConfig": {"VpcOriginId": ref(PRIVATE_ORIGIN), **timeout}}
        if private
        else {
            "CustomOriginConfig": {
                "OriginProtocolPolicy": "http-only",
                "HTTPPort": 80,
                **timeout,
            }
        }
    )
    return Resource(
        "AWS::CloudFront::Distribution",
        {
            "DistributionConfig": {
                "Comment": comment,
                "Enabled": True,
                "Origins": [
                    {
                        "Id": "balancer",
                        "DomainName": get_att("LoadBalancer", "DNSName"),
                        **origin,
                        "OriginCustomHeaders": [
                            {"HeaderName": _ORIGIN_HEADER, "HeaderValue": _origin_key()}
                        ],
                    }
                ],
                "DefaultCacheBehavior": {
                    "TargetOriginId": "balancer",
                    "ViewerProtocolPolicy": "https-only",
                    "AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"],
                    "CachePolicyId": _CACHING_DISABLED,
                    "OriginRequestPolicyId": _ALL_VIEWER,
                    "ResponseHeadersPolicyId": _SECURITY_HEADERS,
                },
            }
        },
    )


def _forward() -> Json:
    return {"Type": "forward", "TargetGroupArn": ref("Targets")}


def _origin_key() -> Json:
    """Return a reference that CloudFormation resolves: the key is in no template or parameter."""
    return sub(f"{{{{resolve:secretsmanager:${{{_ORIGIN_KEY}}}:SecretString:KEY}}}}")


def _attributes(values: Mapping[str, Any]) -> list[Json]:
    return [{"Key": key, "Value": str(value)} for key, value in values.items()]
