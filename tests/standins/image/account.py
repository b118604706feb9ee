"""An AWS session whose services are the stand-ins of CodeBuild and moto."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from botocore.config import Config
from botocore.session import Session

from tests.standins.image.codebuild import CodeBuild
from tests.standins.models.sigv4 import Keys
from voicecore.aws.session import Aws, Identity


class StandinSession(Session):
    """A botocore session that reaches the stand-ins, and retries nothing by itself."""

    def __init__(self, lab: CodeBuild, keys: Keys) -> None:
        super().__init__()
        self._lab = lab
        self.set_credentials(keys.access_key_id, keys.secret_access_key)

    def create_client(self, service_name: str, *args: Any, **options: Any) -> Any:
        own = service_name in ("codebuild", "s3")
        config = Config(retries={"mode": "standard", "total_max_attempts": 1})
        return super().create_client(
            service_name,
            region_name=options["region_name"],
            endpoint_url=self._lab.endpoint if own else self._lab.moto,
            config=config,
        )


def account_of(lab: CodeBuild, region: str, keys: Keys) -> Aws:
    """Return the stand-ins' account in a region, with these keys."""
    identity = Identity(lab.account, f"arn:aws:iam::{lab.account}:user/tester", timedelta())
    return Aws(StandinSession(lab, keys), region, None, identity)
