"""Checks the exported policies against the calls that reached AWS, and records what those need.

The records are golden files: with them `tests/golden/test_permissions.py` checks the policies in
milliseconds. `UPDATE_GOLDEN=1` adds to them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.golden import FILES
from tests.standins.aws import Aws
from tests.standins.aws.access import Access, accesses, granted
from voicecore.console.errors import ExitCode

RECORDS = FILES / "permissions"

# IDs that AWS chooses, and their stand-in in a record.
_IDS = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "0"),
    (r"(runtimes?/\w+)-\w{10}\b", r"\1-0123456789"),
    (r"(:secret:.*)-\w{6}$", r"\1-012345"),
    (r"(:channel/.*)/\d+$", r"\1/0"),
    (r"(:task/.*)/\w{32}$", r"\1/0"),
    (r"(distribution/|vpcorigin/)\w+", r"\g<1>0"),
    (r"(loadbalancer/app|listener/app|listener-rule/app|targetgroup)/[\w-]+", r"\1/0"),
    (r"/[0-9a-f]{16}\b", "/0"),
)


def use_exported_policies(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, deployer: Deployer, server: bool = False
) -> None:
    """Let commands run as an identity that has the exported policies and nothing else."""
    caller = aws.new_caller(policies=_exported(deployer, server))
    for name, value in caller.environment().items():
        monkeypatch.setenv(name, value)


def _exported(deployer: Deployer, server: bool) -> list[Mapping[str, Any]]:
    assert deployer.deploy(export=True, server=server).code == ExitCode.OK
    files = deployer.root.rglob("deployer-policy-*.json")
    return [s for file in files for s in json.loads(file.read_text())["Statement"]]


def expect_granted(aws: Aws, deployer: Deployer, record: str, server: bool = False) -> None:
    """Check that the exported policies allow every call so far, on exactly its resource."""
    needed = accesses(aws.journal)
    statements = _exported(deployer, server)
    denied = [str(access) for access in sorted(needed) if not granted(statements, access)]
    assert not denied, denied
    expect_recorded(needed, record)


def expect_recorded(needed: set[Access], record: str) -> None:
    """Check that the record has these accesses, so that fast tests check the policies for them."""
    path = RECORDS / f"{record}.txt"
    found = {_without_ids(str(access)) for access in needed}
    known = set(path.read_text().splitlines()) if path.exists() else set[str]()
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in sorted(found | known)))
        return
    assert found <= known, f"UPDATE_GOLDEN=1 adds these calls to {path.name}: {found - known}"


def _without_ids(text: str) -> str:
    for pattern, replacement in _IDS:
        text = re.sub(pattern, replacement, text)
    return text
