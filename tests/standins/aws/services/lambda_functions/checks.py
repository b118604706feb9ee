"""Owns what Lambda checks: images, roles and variables."""

from __future__ import annotations

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services.ecr import Registry, sync_registry
from tests.standins.aws.services.lambda_functions.state import Function
from tests.standins.models.refusal import Refused

_ENVIRONMENT_BYTES = 4096
_RESERVED = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_RUNTIME_API")


def require_active(cloud: Cloud, function: Function) -> None:
    if function.state.now(cloud.clock) != "Active":
        message = (
            "The operation cannot be performed at this time. An update is in progress for "
            f"resource: {function.arn}"
        )
        raise Refused("ResourceConflictException", message, 409)


def check_image(cloud: Cloud, call: Call, image: str, architecture: str) -> None:
    """Raise Lambda's error for an image or settings that it rejects."""
    check_settings(cloud, call)
    repository, _, digest = image.partition("/")[2].partition("@")
    sync_registry(cloud, call.account, call.region)
    found = get_backend("ecr")[call.account][call.region].repositories.get(repository)
    if found is None or digest not in {i.get_image_digest() for i in found.images}:
        message = f"Source image {image} does not exist. Provide a valid source image."
        raise Refused("InvalidParameterValueException", message, 400)
    # Lambda would add the policy if the caller may change it; relying on that is an error here.
    if "lambda.amazonaws.com" not in str(found.policy):
        message = (
            "Lambda does not have permission to access the ECR image. Check the ECR permissions."
        )
        raise Refused("AccessDeniedException", message, 403)
    registry: Registry | None = cloud.state.get(("registry",))
    wanted = {"x86_64": "amd64"}.get(architecture, architecture)
    if registry and wanted not in registry.architectures(repository, digest):
        message = f"The image manifest is of another architecture than {architecture}."
        raise Refused("InvalidParameterValueException", message, 400)


def check_settings(cloud: Cloud, call: Call) -> None:
    p = call.params
    variables: dict[str, str] = p.get("Environment", {}).get("Variables", {})
    if reserved := [name for name in variables if name in _RESERVED]:
        message = (
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
        raise Refused("InvalidParameterValueException", message, 400)
    if sum(len(k) + len(v) for k, v in variables.items()) > _ENVIRONMENT_BYTES:
        message = (
            "Lambda was unable to configure your environment variables because the environment "
            f"variables you have provided exceeded the {_ENVIRONMENT_BYTES} bytes limit."
        )
        raise Refused("InvalidParameterValueException", message, 400)
    if "Role" not in p:
        return
    role = get_backend("iam")[call.account][call.partition].get_role_by_arn(p["Role"])
    if "lambda.amazonaws.com" not in str(role.assume_role_policy_document):
        message = "The role defined for the function cannot be assumed by Lambda."
        raise Refused("InvalidParameterValueException", message, 400)
