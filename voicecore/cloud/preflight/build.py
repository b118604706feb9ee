"""Owns the check that AWS can build an image in the stage's region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from voicecore.catalog import regions
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.console.errors import VoicecoreError


class PlannedImage(Protocol):
    """An image of which it is known whether it must be built, and where."""

    @property
    def refusal(self) -> VoicecoreError | None:
        """Error of its files; the other properties raise it."""
        ...

    @property
    def uri(self) -> str:
        """The image's URI; empty if it must be built."""
        ...

    @property
    def note(self) -> str:
        """Reason for building it in AWS; empty for a build on this machine."""
        ...


def build_results(region: str, image: PlannedImage) -> Iterator[CheckResult]:
    """Yield a failure for an image that only CodeBuild can build, where it cannot."""
    if region in regions.ARM_BUILDS or image.refusal or not image.note or image.uri:
        return
    yield CheckResult(
        "build",
        CheckOutcome.FAILED,
        f"AWS CodeBuild must build the image, and has no arm64 machines in {region}",
        "Build it here: leave out --builder codebuild, and choose versions that have arm64 wheels, "
        f"in agent/pyproject.toml. Or deploy to one of: {', '.join(regions.ARM_BUILDS)}.",
    )
