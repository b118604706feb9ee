"""Owns the refusal of resources that have our name and are another project's."""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.aws.errors import AwsRefused
from voicecore.project import aws_names
from voicecore.project.identity import Owner


class ForeignResource(AwsRefused):
    """A resource with a name of ours is another project's, or was not created by voicecore."""


def require_own(owner: Owner, resource: str, tags: Mapping[str, str]) -> None:
    """Return if the tags of a resource, such as "stack NAME", are the owner's.

    Raises ForeignResource.
    """
    if owner.owns(tags):
        return
    rename = f'Choose another project name in voicecore.toml, such as:  name = "{owner.project}-2"'
    if tags.get(aws_names.TAG_PROJECT) != owner.project:
        raise ForeignResource(
            f"A {resource} exists, and voicecore did not create it for {owner.project}.",
            f"{rename}\nOr delete that {resource.partition(' ')[0]}.",
        )
    theirs = tags.get(aws_names.TAG_ID, "")
    take_over = f'set its ID there:  id = "{theirs}"' if theirs else "delete the line of id there."
    raise ForeignResource(
        f"The {resource} belongs to another project named {owner.project}: its ID is "
        f"{theirs or 'missing'}, and voicecore.toml has {owner.id or 'none'}.",
        f"{rename}\nIf it is this project's, {take_over}",
    )
