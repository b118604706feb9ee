"""Owns looking for images in ECR, by their URIs."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import code_of
from voicecore.aws.session import Aws


def find_image(aws: Aws, uri: str) -> Mapping[str, Any] | None:
    """Return the image of a URI by digest, as DescribeImages does; None if there is none.

    The URI is <account>.dkr.ecr.<region>.amazonaws.com/<repository>@<digest>.
    """
    address, _, digest = uri.partition("@")
    host, _, repository = address.partition("/")
    try:
        found = aws.client("ecr").describe_images(
            registryId=host.partition(".")[0],
            repositoryName=repository,
            imageIds=[{"imageDigest": digest}],
        )
    except ClientError as error:
        if code_of(error).endswith("NotFoundException"):
            return None
        raise
    return found["imageDetails"][0]
