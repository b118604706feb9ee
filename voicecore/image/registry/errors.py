"""Owns the errors of registries: what failed, and what to type next."""

from __future__ import annotations

import os
from collections.abc import Sequence

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import trust_advice
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference


class RegistryUnreachable(VoicecoreError):
    """A registry did not answer, after several attempts."""


class RegistryNotTrusted(VoicecoreError):
    """A registry's certificate is not trusted."""


class NotLoggedIn(VoicecoreError):
    """A registry requires a login, or refuses the one it was given."""


class RegistryDenied(VoicecoreError):
    """A registry accepts the login but denies the request."""


class RepositoryMissing(VoicecoreError):
    """A registry does not have the repository, and does not create it on push."""


class ImageMissing(VoicecoreError):
    """A repository does not have the image."""


class PlatformMissing(VoicecoreError):
    """An image does not support the required platform; names the platforms it supports."""


class RegistryFull(VoicecoreError):
    """A registry has no space for the image, or refuses a blob of its size."""


class PullLimitReached(VoicecoreError):
    """A registry allows no more pulls for hours, at least without a login."""


class TagTaken(VoicecoreError):
    """The tag belongs to another image, and the repository's tags are immutable."""


class RegistryRefused(VoicecoreError):
    """A registry refused for another reason; shows its message."""


class ImageMalformed(VoicecoreError):
    """A registry's manifest or config is not one that image-spec allows."""


class BlobCorrupt(VoicecoreError):
    """Downloaded content does not match its digest."""


def refusal(
    status: int, errors: Sequence[tuple[str, str]], summary: str, reference: Reference
) -> VoicecoreError:
    """Return the error for an answer that is not a success.

    `errors` are its (code, message) pairs, and `summary` is its message in one line.
    """
    codes = {code for code, _ in errors}
    code = _exit_code(reference)
    if is_full(status, summary):
        return RegistryFull(
            f"{reference.registry} has no space for the image: {summary}",
            "Free space there, or make the image smaller; `voicecore build` lists its largest "
            "packages.",
        )
    if is_pull_limit(status, summary):
        return PullLimitReached(
            f"{reference.registry} allows no more pulls for now: {summary}",
            f"{_login_hint(reference)}\n"
            "or use the same image from AWS:  "
            "voicecore upgrade-base public.ecr.aws/docker/library/python:3.13-slim-trixie",
        )
    # Amazon ECR User Guide, "Preventing image tags from being overwritten".
    if "TAG_INVALID" in codes or "immutable" in summary:
        return TagTaken(
            f"{reference} exists with another image, and the repository's tags are immutable: "
            f"{summary}",
            "Push to another repository, or delete that image.",
            code,
        )
    if "NAME_UNKNOWN" in codes or status == 404:
        return repository_missing(reference)
    # ECR answers 400 DENIED to an invalid token (apple/container#847).
    if status == 401 or (status == 400 and "DENIED" in codes):
        return not_logged_in(reference, summary)
    if status == 403:
        return RegistryDenied(
            f"{reference.registry} denies access to {reference.repository}: {summary}",
            _ECR_ACTIONS if ecr_host(reference.registry) else _login_hint(reference),
            code,
        )
    return RegistryRefused(f"{reference.name} refused the request: {summary}", None, code)


def is_full(status: int, summary: str) -> bool:
    """Return whether an answer means "no space left", which a retry does not change."""
    return status in {413, 507} or "no space left on device" in summary


def is_pull_limit(status: int, summary: str) -> bool:
    """Return whether an answer means a pull limit that lasts hours.

    Docker Hub has one, and public.ecr.aws for anonymous pulls (Docker's documentation, "Usage and
    limits"; Amazon ECR public service quotas).
    """
    return status == 429 and ("pull rate limit" in summary or "Data limit" in summary)


def not_logged_in(reference: Reference, summary: str = "") -> NotLoggedIn:
    """Return the error for a registry that refuses our login, or that we have no login for."""
    ecr = ecr_host(reference.registry)
    hint = (
        f"The registry belongs to account {ecr.account}. Check your AWS identity:  "
        "aws sts get-caller-identity"
        if ecr
        else _login_hint(reference)
    )
    reason = f": {summary}" if summary else "."
    return NotLoggedIn(
        f"You are not logged in to {reference.registry}{reason}", hint, _exit_code(reference)
    )


def repository_missing(reference: Reference) -> RepositoryMissing:
    """Return the error for a repository that must be created before a push."""
    ecr = ecr_host(reference.registry)
    create = (
        f"Create it:  aws ecr create-repository --repository-name {reference.repository} "
        f"--region {ecr.region}"
        if ecr
        else None
    )
    return RepositoryMissing(
        f"{reference.registry} has no repository {reference.repository}.",
        create,
        _exit_code(reference),
    )


def image_missing(reference: Reference, version: str) -> ImageMissing:
    """Return the error for a tag or digest that the repository does not have."""
    ecr = ecr_host(reference.registry)
    command = (
        f"List its images:  aws ecr list-images --repository-name {reference.repository} "
        f"--region {ecr.region}"
        if ecr
        else None
    )
    return ImageMissing(f"Image {reference.named(version)} does not exist.", command)


def platform_missing(name: str, required: str, supported: Sequence[str]) -> PlatformMissing:
    """Return the error that names the platforms an image supports."""
    return PlatformMissing(
        f"{name} does not support {required}, which AgentCore requires; it supports "
        f"{', '.join(supported) or 'no platform that it names'}.",
        "Name another base in agent/Dockerfile (ARG BASE=...).",
        ExitCode.BAD_PROJECT,
    )


def unreachable(host: str, reason: str, answered: bool) -> RegistryUnreachable:
    """Return the error for a registry that does not answer; `answered` if it did before."""
    return RegistryUnreachable(
        f"Lost the connection to the registry {host}: {reason}."
        if answered
        else f"Could not connect to the registry {host}: {reason}.",
        "Check the network, VPN and proxy (HTTPS_PROXY), then run the same command again"
        f"{'; layers that the registry has are not pushed again' * answered}.",
    )


def not_trusted(host: str, reason: str) -> RegistryNotTrusted:
    """Return the error for a certificate that is not trusted."""
    return RegistryNotTrusted(
        f"The certificate of {host} is not trusted: {reason}.",
        trust_advice(os.environ),
    )


def corrupt(reference: Reference, digest: str) -> BlobCorrupt:
    """Return the error for content that does not match its digest."""
    return BlobCorrupt(
        f"{reference.name} returned other content for {digest}; a proxy may have changed it.",
        "Run the same command again.",
    )


def malformed(reference: Reference, version: str, reason: str) -> ImageMalformed:
    """Return the error for a manifest or config that cannot be used."""
    return ImageMalformed(
        f"{reference.named(version)} is not a valid image: {reason}.",
        "Name another base in agent/Dockerfile (ARG BASE=...).",
        ExitCode.BAD_PROJECT,
    )


def _exit_code(reference: Reference) -> ExitCode:
    return ExitCode.AWS_REFUSED if ecr_host(reference.registry) else ExitCode.FAILED


def _login_hint(reference: Reference) -> str:
    # `docker login` without a name means Docker Hub.
    host = "" if reference.registry == "docker.io" else f" {reference.registry}"
    return f"Log in with an account that has access:  docker login{host}"


# Amazon ECR User Guide, "IAM permissions for pushing an image to an Amazon ECR private repository".
_ECR_ACTIONS = (
    "A push needs these actions on the repository:\n"
    "  ecr:BatchCheckLayerAvailability  ecr:InitiateLayerUpload  ecr:UploadLayerPart\n"
    "  ecr:CompleteLayerUpload  ecr:PutImage\n"
    "and a pull these:  ecr:BatchGetImage  ecr:GetDownloadUrlForLayer"
)
