"""Owns the doubts about AgentCore's control plane, and about Bedrock's models."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.aws.settle.account import Account, code_of
from tests.aws.settle.runtimes import Runtime

PING_BODIES = {
    "lower": '{"status": "healthy"}',
    "ok": '{"status": "ok"}',
    "text": "Healthy",
    "busy": '{"status": "HealthyBusy"}',
}


def platform_when_unsaid(runtime: Runtime) -> str:
    """Return the platform of a runtime that was created without one."""
    return str(runtime.describe().get("platformVersion"))


def mmdsv2_when_created(runtime: Runtime) -> str:
    """Return whether a new runtime requires MMDSv2."""
    return _mmdsv2(runtime.describe())


def mmdsv2_after_update(runtime: Runtime) -> str:
    """Return what an update that does not name MMDSv2 makes of it, and of the next invocation."""
    described = runtime.update(description="an update without metadataConfiguration")
    return f"{_mmdsv2(described)}; invoked: {runtime.outcome()}"


def platform_after_update(runtime: Runtime) -> str:
    """Return the platform of a V2 runtime after an update that names none."""
    described = runtime.update(metadataConfiguration={"requireMMDSV2": True})
    return str(described.get("platformVersion"))


def ping_accepted(runtime: Runtime) -> str:
    """Return whether a runtime whose /ping answers with another body is READY and answers."""
    status = runtime.describe()["status"]
    return runtime.outcome() if status == "READY" else status


def model_ids(account: Account) -> str:
    """Return which IDs of Nova 2.5 Sonic Bedrock knows, with their lifecycle."""
    bedrock = account.client("bedrock")
    found: list[str] = []
    for model in ("amazon.nova-2-5-sonic", "amazon.nova-2-5-sonic-v1:0"):
        try:
            details = bedrock.get_foundation_model(modelIdentifier=model)["modelDetails"]
        except ClientError as error:
            found.append(f"{model} {code_of(error)}")
        else:
            lifecycle = details.get("modelLifecycle", {})
            ends = lifecycle.get("endOfLifeTime", "no end")
            found.append(f"{model} {lifecycle.get('status')}, {ends}")
    return "; ".join(found)


def _mmdsv2(described: dict[str, Any]) -> str:
    return str(described.get("metadataConfiguration", {}).get("requireMMDSV2"))
