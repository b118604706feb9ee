"""Owns the zones that AgentCore supports, by ID (AgentCore Developer Guide, agentcore-vpc)."""

from __future__ import annotations

_THREE = (
    ("us-east-2", "use2"), ("us-west-2", "usw2"), ("sa-east-1", "sae1"),
    ("ap-northeast-2", "apne2"),
    ("ap-southeast-1", "apse1"), ("ap-southeast-2", "apse2"), ("ap-southeast-7", "apse7"),
    ("eu-west-1", "euw1"), ("eu-west-2", "euw2"), ("eu-west-3", "euw3"), ("eu-south-1", "eus1"),
    ("eu-south-2", "eus2"), ("eu-north-1", "eun1"), ("eu-central-1", "euc1"),
    ("ap-south-1", "aps1"), ("ap-south-2", "aps2"), ("ap-southeast-5", "apse5"),
    ("us-gov-west-1", "usgw1"),
)  # fmt: skip

SUPPORTED = {region: tuple(f"{zone}-az{n}" for n in (1, 2, 3)) for region, zone in _THREE} | {
    "us-east-1": ("use1-az1", "use1-az2", "use1-az4"),
    "us-west-1": ("usw1-az1", "usw1-az3"),
    "ca-central-1": ("cac1-az1", "cac1-az2", "cac1-az4"),
    "ap-northeast-1": ("apne1-az1", "apne1-az2", "apne1-az4"),
}
