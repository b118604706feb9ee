"""Sessions with AWS: what its services are like is read from the disk once, for all of them."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import create_loader
from botocore.session import Session


def new_session(profile: str | None = None) -> Any:
    """A session as boto3's own chain finds it: flags, environment, profile, SSO, instance.

    By botocore, boto3's own base: boto3 adds resources and transfers to S3, which take a tenth of
    a second to import. Raises ProfileNotFound.
    """
    session = Session(profile=profile)
    session.register_component("data_loader", _reader(session.get_config_variable("data_path")))
    return session


@cache
def _reader(path: str | None) -> Any:
    """Of descriptions of services in `path`, too: to parse one takes up to a third of a second."""
    return create_loader(path)
