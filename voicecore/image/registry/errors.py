"""What can go wrong at a registry, and what to type next. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference


class RegistryUnreachable(VoicecoreError):
    """No answer from a registry, or none any more, though it was tried again and again."""


class RegistryNotTrusted(VoicecoreError):
    """A registry's certificate is not known to be good."""


class NotLoggedIn(VoicecoreError):
    """A registry wants to know who we are, or does not believe it."""


class RegistryDenied(VoicecoreError):
    """A registry knows who we are and does not let us do this."""


class RepositoryMissing(VoicecoreError):
    """A registry has no such repository, and makes none by itself."""


class ImageMissing(VoicecoreError):
    """A repository has no such image."""


class NoSuchPlatform(VoicecoreError):
    """An image is not made for the platform that is needed; names those it is made for."""


class RegistryFull(VoicecoreError):
    """A registry has no room for the image, or takes no blob of its size."""


class PullLimit(VoicecoreError):
    """A registry lets nobody, or nobody without a login, pull more for some hours."""


class TagTaken(VoicecoreError):
    """The tag is another image's, and the repository does not let it be moved."""


class RegistryRefused(VoicecoreError):
    """A registry refused for a reason of its own; carries its words."""


class Corrupt(VoicecoreError):
    """What came is not what its digest promises."""


def refusal(
    status: int, errors: Sequence[tuple[str, str]], said: str, reference: Reference
) -> VoicecoreError:
    """The error for an answer that is no success.

    `errors` are the (code, message) pairs in it, `said` is what it says in one line.
    """
    codes = {code for code, _ in errors}
    code = _code(reference)
    if is_full(status, said):
        return RegistryFull(
            f"{reference.registry} has no room for the image: {said}",
            "Make room there, or make the image smaller: `voicecore build` lists its largest "
            "packages.",
        )
    if is_limit(status, said):
        return PullLimit(
            f"{reference.registry} lets you pull no more for now: {said}",
            f"{_login_command(reference)}\n"
            "or take the same image from AWS:  "
            "voicecore upgrade-base public.ecr.aws/docker/library/python:3.13-slim-trixie",
        )
    # Amazon ECR User Guide, "Preventing image tags from being overwritten".
    if "TAG_INVALID" in codes or "immutable" in said:
        return TagTaken(
            f"{reference} is another image, and its repository lets no tag be moved: {said}",
            "Push to another repository, or delete that image.",
            code,
        )
    if "NAME_UNKNOWN" in codes or status == 404:
        return repository_missing(reference)
    # 400 DENIED: ECR's answer to a token that never was one (apple/container#847).
    if status == 401 or (status == 400 and "DENIED" in codes):
        return not_logged_in(reference, said)
    if status == 403:
        return RegistryDenied(
            f"{reference.registry} does not let you do this in {reference.repository}: {said}",
            _ECR_ACTIONS if ecr_host(reference.registry) else _login_command(reference),
            code,
        )
    return RegistryRefused(f"{reference.name} refused: {said}", None, code)


def is_full(status: int, said: str) -> bool:
    """Whether an answer means that there is no room, which trying again does not change."""
    return status in {413, 507} or "no space left on device" in said


def is_limit(status: int, said: str) -> bool:
    """Whether an answer means a limit of hours: Docker Hub's, or public.ecr.aws's for nobody."""
    # Docker's documentation, "Usage and limits"; Amazon ECR public service quotas.
    return status == 429 and ("pull rate limit" in said or "Data limit" in said)


def not_logged_in(reference: Reference, said: str = "") -> NotLoggedIn:
    """The error for a registry that does not know us."""
    ecr = ecr_host(reference.registry)
    hint = (
        f"The registry is of account {ecr.account}. See whom AWS takes you for:  "
        "aws sts get-caller-identity"
        if ecr
        else _login_command(reference)
    )
    reason = f": {said}" if said else "."
    return NotLoggedIn(
        f"You are not logged in to {reference.registry}{reason}", hint, _code(reference)
    )


def repository_missing(reference: Reference) -> RepositoryMissing:
    """The error for a repository that somebody must make first."""
    ecr = ecr_host(reference.registry)
    create = (
        f"Make it:  aws ecr create-repository --repository-name {reference.repository} "
        f"--region {ecr.region}"
        if ecr
        else None
    )
    return RepositoryMissing(
        f"{reference.registry} has no repository {reference.repository}.", create, _code(reference)
    )


def image_missing(reference: Reference, version: str) -> ImageMissing:
    """The error for a tag or digest that the repository does not have."""
    ecr = ecr_host(reference.registry)
    command = (
        f"See which there are:  aws ecr list-images --repository-name {reference.repository} "
        f"--region {ecr.region}"
        if ecr
        else None
    )
    return ImageMissing(f"There is no image {reference.named(version)}.", command)


def no_such_platform(name: str, wanted: str, known: Sequence[str]) -> NoSuchPlatform:
    """The error that tells which platforms there are."""
    return NoSuchPlatform(
        f"{name} is not made for {wanted}; it is made for "
        f"{', '.join(known) or 'no platform that it names'}.",
        "AgentCore needs that platform: name another base in agent/Dockerfile (ARG BASE=...).",
        ExitCode.BAD_PROJECT,
    )


def unreachable(host: str, reason: str, answered: bool) -> RegistryUnreachable:
    """The error for a registry that is silent; `answered` tells whether it once was not."""
    return RegistryUnreachable(
        f"The registry {host} {'was lost' if answered else 'cannot be reached'}: {reason}.",
        "Check the network, VPN and proxy (HTTPS_PROXY), then run the same command again; "
        "what the registry has is not sent twice.",
    )


def not_trusted(host: str, reason: str) -> RegistryNotTrusted:
    """The error for a certificate that nobody vouches for."""
    return RegistryNotTrusted(
        f"The certificate of {host} is not trusted: {reason}.",
        "Behind a company's proxy, name the file of its certificates:  "
        "export SSL_CERT_FILE=/path/to/certificates.pem",
    )


def corrupt(reference: Reference, digest: str) -> Corrupt:
    """The error for bytes that are others than asked for."""
    return Corrupt(
        f"{reference.name} gave something else for {digest}: damaged on the way, or by a proxy.",
        "Run the same command again.",
    )


def _code(reference: Reference) -> ExitCode:
    return ExitCode.AWS_REFUSED if ecr_host(reference.registry) else ExitCode.FAILED


def _login_command(reference: Reference) -> str:
    # Docker Hub is what `docker login` means without a name.
    host = "" if reference.registry == "docker.io" else f" {reference.registry}"
    return f"Log in as somebody who may:  docker login{host}"


# Amazon ECR User Guide, "IAM permissions for pushing an image to an Amazon ECR private repository".
_ECR_ACTIONS = (
    "A push needs these actions on the repository:\n"
    "  ecr:BatchCheckLayerAvailability  ecr:InitiateLayerUpload  ecr:UploadLayerPart\n"
    "  ecr:CompleteLayerUpload  ecr:PutImage\n"
    "and a pull these:  ecr:BatchGetImage  ecr:GetDownloadUrlForLayer"
)
