"""Owns what an engine's API says about an image: its layers, config and digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicecore.image.model import Layer, instruction_title

_LAYER_INSTRUCTIONS = ("COPY", "ADD", "RUN", "WORKDIR")


def layers_of(
    diff_ids: Sequence[str], history: Sequence[Mapping[str, Any]], base_layers: int
) -> tuple[Layer, ...]:
    """Return an image's layers: the base's as one, then one per instruction of the Dockerfile.

    `history` is the engine's, newest first. It does not mark the entries that made a layer, so
    the Dockerfile's are found by their instruction, and all others count as the base.
    """
    own = len(diff_ids) - base_layers
    made = [entry for entry in history if _makes_layer(entry["CreatedBy"])][:own]
    own_bytes = sum(entry["Size"] for entry in made)
    base = Layer("base", diff_ids[base_layers - 1], sum(e["Size"] for e in history) - own_bytes)
    pairs = zip(diff_ids[base_layers:], reversed(made), strict=True)
    return (
        base,
        *(
            Layer(instruction_title(entry["CreatedBy"]), diff_id, entry["Size"])
            for diff_id, entry in pairs
        ),
    )


def _makes_layer(created_by: str) -> bool:
    return created_by.partition(" ")[0] in _LAYER_INSTRUCTIONS


def config_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the OCI config (image-spec, config.md) that the engine reports."""
    return {
        "architecture": attributes["Architecture"],
        "os": attributes["Os"],
        "created": attributes["Created"],
        "config": attributes["Config"],
        "rootfs": {"type": "layers", "diff_ids": attributes["RootFS"]["Layers"]},
    }


def manifest_digest(attributes: Mapping[str, Any]) -> str:
    """Return the manifest's digest.

    Empty in a classic image store until the image is pushed; a containerd store always has it.
    """
    known: Sequence[str] = attributes.get("RepoDigests") or ()
    digests = [name.partition("@")[2] for name in known]
    return str(attributes["Id"]) if attributes["Id"] in digests else "".join(digests[-1:])
