"""Mends of moto's EC2: gateways that take their time, quotas, and what may not be deleted yet."""

from __future__ import annotations

from typing import Any

from tests.lab.aws import quotas
from tests.lab.aws.agentcore import settle_all
from tests.lab.aws.settling import Settling, starting
from tests.lab.aws.world import Call, World
from tests.lab.aws.refusal import Refused

HANDLERS: dict[tuple[str, str], Any] = {}
