"""Owns CloudWatch's Transaction Search: whether it is on, and the commands that switch it on.

Without it, the spans of all programs in the account and region go to X-Ray alone (developer guide,
observability-configure). voicecore does not switch it on: it changes what the whole account pays.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import json
import shlex
from enum import StrEnum

from botocore.exceptions import ClientError

from voicecore.aws.errors import is_denied
from voicecore.aws.session import Aws
from voicecore.project import aws_names


class TransactionSearch(StrEnum):
    """State of Transaction Search in an account and region."""

    ON = "on"
    PENDING = "pending"
    OFF = "off"
    UNKNOWN = "unknown"
    """The identity may not ask."""


def state_of(aws: Aws) -> TransactionSearch:
    """Return the state of Transaction Search (GetTraceSegmentDestination)."""
    try:
        answer = aws.client("xray").get_trace_segment_destination()
    except ClientError as error:
        if not is_denied(error):
            raise
        return TransactionSearch.UNKNOWN
    if answer.get("Destination") != "CloudWatchLogs":
        return TransactionSearch.OFF
    active = answer.get("Status") == "ACTIVE"
    return TransactionSearch.ON if active else TransactionSearch.PENDING


def fix_for(aws: Aws, state: TransactionSearch) -> str:
    """Return what to do so that AWS collects spans; empty if nothing is known to be wrong."""
    match state:
        case TransactionSearch.OFF:
            return "Switch it on, for all programs in this account and region:\n" + "\n".join(
                commands(aws)
            )
        case TransactionSearch.PENDING:
            return "AWS switches it on within some minutes; calls after that are traced."
        case _:
            return ""


def commands(aws: Aws) -> tuple[str, str]:
    """Return the commands of the AWS CLI that switch it on."""
    arn, here = f"arn:{aws.partition}", f"{aws.region}:{aws.account}"
    groups = (aws_names.SPAN_GROUP, "/aws/application-signals/data")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "xray.amazonaws.com"},
                "Action": "logs:PutLogEvents",
                "Resource": [f"{arn}:logs:{here}:log-group:{group}:*" for group in groups],
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"{arn}:xray:{here}:*"},
                    "StringEquals": {"aws:SourceAccount": aws.account},
                },
            }
        ],
    }
    document = shlex.quote(json.dumps(policy, separators=(",", ":")))
    return (
        f"aws logs put-resource-policy --region {aws.region} "
        f"--policy-name TransactionSearchXRayAccess --policy-document {document}",
        f"aws xray update-trace-segment-destination --region {aws.region} "
        "--destination CloudWatchLogs",
    )
