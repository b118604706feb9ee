"""Owns Service Quotas: those that a voice agent can reach, with AWS's defaults.

Codes and values of AgentCore are from bedrock-agentcore-limits and release notes (August 2026), of
EC2 and VPC from Amazon VPC quotas. Other quotas are answered as AWS answers unknown ones.
"""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.models.refusal import Refused

SERVICE = "service-quotas"

# (service, code): name, default, adjustable
QUOTAS = {
    ("bedrock-agentcore", "L-3E5722B2"): ("Active session workloads per account", 2500.0, True),
    ("bedrock-agentcore", "L-F4575653"): ("Total agents per account", 1000.0, True),
    ("bedrock-agentcore", "L-9B442722"): ("Endpoints (aliases) per agent", 10.0, True),
    ("bedrock-agentcore", "L-8EE2AEA2"): ("New sessions per second", 25.0, True),
    ("bedrock-agentcore", "L-46ED137C"): ("Runtime data plane requests per second", 1000.0, True),
    ("bedrock-agentcore", "L-0A9E32B3"): ("Docker image size in GB", 2.0, False),
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", 5.0, True),
    ("vpc", "L-F678F1CE"): ("VPCs per Region", 5.0, True),
    ("vpc", "L-A4707A72"): ("Internet gateways per Region", 5.0, True),
    ("vpc", "L-FE5A380F"): ("NAT gateways per Availability Zone", 5.0, True),
    ("lambda", "L-B99A9384"): ("Concurrent executions", 1000.0, True),
    ("transcribe", "L-0599F82B"): ("Number of concurrent streaming sessions", 25.0, True),
    ("polly", "L-7E184727"): ("Generative SynthesizeSpeech requests per second", 8.0, True),
}
_LARGE = ("us-east-1", "us-west-2")
_UNLISTED = {("bedrock-agentcore", "versions"): 1000.0}


def value(cloud: Cloud, account: str, region: str, service: str, code: str) -> float:
    """Return the account's quota."""
    key = (service, code)
    applied = cloud.setdefault(dict, "quotas")
    default = _UNLISTED.get(key) or _default(key, region)
    return applied.get((account, region, *key), applied.get(("*", "*", *key), default))


def set_quota(cloud: Cloud, service: str, code: str, quota: float, region: str = "*") -> None:
    """Set the account's quota, everywhere or in one region."""
    account = "*" if region == "*" else _account(cloud)
    cloud.setdefault(dict, "quotas")[account, region, service, code] = quota


def _account(cloud: Cloud) -> str:
    return next(iter(cloud.callers.values())).account


def _default(key: tuple[str, str], region: str) -> float:
    return 5000.0 if key[1] == "L-3E5722B2" and region in _LARGE else QUOTAS[key][1]


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    key = (call.params["ServiceCode"], call.params["QuotaCode"])
    if key not in QUOTAS:
        raise Refused(
            "NoSuchResourceException",
            "The request failed because the specified quota does not exist.",
        )
    return {"Quota": _quota(cloud, call, key)}


def get_default(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = get(cloud, call)
    key = (call.params["ServiceCode"], call.params["QuotaCode"])
    return {"Quota": {**answer["Quota"], "Value": _default(key, call.region)}}


def list_all(cloud: Cloud, call: Call) -> dict[str, Any]:
    service = call.params["ServiceCode"]
    listed = [_quota(cloud, call, key) for key in QUOTAS if key[0] == service]
    if not listed:
        raise Refused(
            "NoSuchResourceException",
            "The request failed because the specified service does not exist.",
        )
    wanted = call.params.get("QuotaCode")
    return {"Quotas": [quota for quota in listed if wanted in (None, quota["QuotaCode"])]}


def _quota(cloud: Cloud, call: Call, key: tuple[str, str]) -> dict[str, Any]:
    service, code = key
    name, _, adjustable = QUOTAS[key]
    return {
        "ServiceCode": service,
        "ServiceName": service,
        "QuotaArn": (
            f"arn:{call.partition}:servicequotas:{call.region}:{call.account}:{service}/{code}"
        ),
        "QuotaCode": code,
        "QuotaName": name,
        "Value": value(cloud, call.account, call.region, service, code),
        "Unit": "None",
        "Adjustable": adjustable,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


HANDLERS = {
    (SERVICE, "GetServiceQuota"): get,
    (SERVICE, "GetAWSDefaultServiceQuota"): get_default,
    (SERVICE, "ListServiceQuotas"): list_all,
    (SERVICE, "ListAWSDefaultServiceQuotas"): list_all,
}
