"""The resource type of ECR repositories."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Properties,
    ResourceType,
    is_true,
    json_text,
    tag_pairs,
)


def _repository(c: Context, p: Properties) -> str:
    name = p.get("RepositoryName") or c.name(256).lower()
    chosen: dict[str, Any] = {}
    if "ImageScanningConfiguration" in p:
        on = is_true(p["ImageScanningConfiguration"].get("ScanOnPush", False))
        chosen["imageScanningConfiguration"] = {"scanOnPush": on}
    if "ImageTagMutability" in p:
        chosen["imageTagMutability"] = p["ImageTagMutability"]
    if "EncryptionConfiguration" in p:
        given = p["EncryptionConfiguration"]
        chosen["encryptionConfiguration"] = {"encryptionType": given["EncryptionType"]} | (
            {"kmsKey": given["KmsKey"]} if "KmsKey" in given else {}
        )
    c.client("ecr").create_repository(repositoryName=name, tags=c.pairs(), **chosen)
    _repository_policies(c, name, {}, p)
    return name


def _repository_policies(c: Context, name: str, old: Properties, p: Properties) -> None:
    ecr = c.client("ecr")
    lifecycle = p.get("LifecyclePolicy", {}).get("LifecyclePolicyText")
    if lifecycle is not None:
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json_text(lifecycle))
    elif old.get("LifecyclePolicy"):
        ecr.delete_lifecycle_policy(repositoryName=name)
    if "RepositoryPolicyText" in p:
        ecr.set_repository_policy(
            repositoryName=name, policyText=json_text(p["RepositoryPolicyText"])
        )


def _repository_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    ecr = c.client("ecr")
    scanning = p.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
    ecr.put_image_scanning_configuration(
        repositoryName=physical, imageScanningConfiguration={"scanOnPush": is_true(scanning)}
    )
    if old.get("ImageTagMutability") != p.get("ImageTagMutability"):
        ecr.put_image_tag_mutability(
            repositoryName=physical, imageTagMutability=p.get("ImageTagMutability", "MUTABLE")
        )
    _repository_policies(c, physical, old, p)


def _repository_delete(c: Context, physical: str, p: Properties) -> None:
    force = is_true(p.get("EmptyOnDelete", False))
    c.client("ecr").delete_repository(repositoryName=physical, force=force)


def _repository_attributes(c: Context, physical: str) -> dict[str, Any]:
    ecr = c.client("ecr")
    found = ecr.describe_repositories(repositoryNames=[physical])["repositories"][0]
    return {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}


def _repository_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    ecr, arn = c.client("ecr"), _repository_attributes(c, physical)["Arn"]
    if gone:
        ecr.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        ecr.tag_resource(resourceArn=arn, tags=tag_pairs(tags))


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::ECR::Repository": ResourceType(
        _repository, _repository_delete, _repository_attributes, _repository_update,
        retag=_repository_retag, named_by="RepositoryName",
    ),
}  # fmt: skip
