"""Owns AgentCore's size limit for images."""

from __future__ import annotations

from voicecore.console.errors import VoicecoreError
from voicecore.image.model import BuiltImage

IMAGE_BYTES_MAX = 2 * 1024**3
"""Largest image that AgentCore accepts (bedrock-agentcore-limits, quota L-0A9E32B3)."""


class ImageTooLarge(VoicecoreError):
    """The image is larger than AgentCore accepts."""


def require_size(image: BuiltImage) -> None:
    """Raise ImageTooLarge, naming the ten largest packages, if AgentCore would refuse the image."""
    size = image.size or image.unpacked
    if size <= IMAGE_BYTES_MAX:
        return
    largest = "\n".join(
        f"  {f'{package.name} {package.version}':40} {package.bytes / 1e6:7.1f} MB"
        for package in image.packages[:10]
    )
    raise ImageTooLarge(
        f"The image is {gigabytes(size)}; AgentCore's limit is {gigabytes(IMAGE_BYTES_MAX)}.\n"
        f"Its largest packages:\n{largest}",
        "Exclude packages that the agent never imports: list them under [tool.uv] "
        "exclude-dependencies in agent/pyproject.toml, then run:\n"
        "  uv lock --project agent && voicecore build",
    )


def gigabytes(count: float) -> str:
    """Return bytes as gigabytes with one decimal: "2.1 GB"."""
    return f"{count / 1e9:.1f} GB"
