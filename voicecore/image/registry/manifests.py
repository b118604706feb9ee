"""The documents of an OCI image, its config and its manifest. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from voicecore.image.inputs.dockerfile import Stage
from voicecore.image.model import Base, Image, Layer, title_of

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

# image-spec, media-types.md ("Compatibility Matrix"): the same bytes under OCI's names.
_OCI_NAMES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": _LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}

# Of a base's config: what BuildKit takes over (moby/docker-image-spec, specs-go/v1, and OCI's).
_TOP = ("author", "architecture", "variant", "os", "os.version", "os.features")
_RUN = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "Healthcheck", "StopTimeout", "Shell",
)  # fmt: skip

_EPOCH = "1970-01-01T00:00:00Z"


def digest_of(content: bytes) -> str:
    """The name of `content` in a registry."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest_of(base: Base, config: bytes, layers: Sequence[Layer]) -> bytes:
    """The manifest of the base's layers and `layers`; the same bytes for the same image."""
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [
                *({**entry, "mediaType": _oci_name(entry)} for entry in base.manifest["layers"]),
                *(
                    {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}
                    for layer in layers
                ),
            ],
        }
    )


def base_layers(base: Base) -> tuple[Layer, ...]:
    """The base's layers; how large they are unpacked its manifest does not say."""
    return tuple(
        Layer("base", diff_id, 0, entry["digest"], entry["size"])
        for entry, diff_id in zip(
            base.manifest["layers"], base.config["rootfs"]["diff_ids"], strict=True
        )
    )


def image_of(
    tag: str, digest: str, manifest: Mapping[str, Any], config: Mapping[str, Any], base_layers: int
) -> Image:
    """An image as a registry describes it, of which the lowest `base_layers` are its base's."""
    history = cast("list[dict[str, Any]]", config.get("history") or [])
    made = [str(entry.get("created_by", "")) for entry in history if not entry.get("empty_layer")]
    layers = tuple(
        Layer("base" if n < base_layers else title_of(by), diff_id, 0, blob["digest"], blob["size"])
        for n, (blob, diff_id, by) in enumerate(
            zip(manifest["layers"], config["rootfs"]["diff_ids"], made, strict=True)
        )
    )
    return Image(tag, digest, config, layers, packages=())


def config_of(
    base: Base, stage: Stage, labels: Mapping[str, str], layers: Sequence[Layer]
) -> dict[str, Any]:
    """The base's config as the Dockerfile's last stage changes it (image-spec, config.md)."""
    created = base.created or _EPOCH
    told = cast("dict[str, Any]", base.config.get("config") or {})
    run: dict[str, Any] = {name: told[name] for name in _RUN if told.get(name)}
    env: dict[str, str] = dict(entry.split("=", 1) for entry in run.get("Env", []))
    run["Env"] = [f"{name}={value}" for name, value in {**env, **stage.env}.items()]
    if stage.workdir:
        run["WorkingDir"] = stage.workdir
    if stage.user:
        run["User"] = stage.user
    if stage.ports:
        run["ExposedPorts"] = {**run.get("ExposedPorts", {}), **{port: {} for port in stage.ports}}
    if stage.entrypoint:
        # Docker: an entry point takes the place of the base's, and of its command.
        run["Entrypoint"] = list(stage.entrypoint)
        run.pop("Cmd", None)
    if stage.command:
        run["Cmd"] = list(stage.command)
    if stage.labels or labels:
        run["Labels"] = {**run.get("Labels", {}), **stage.labels, **labels}
    return {
        **{name: base.config[name] for name in _TOP if name in base.config},
        "created": created,
        "config": run,
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base.config["rootfs"]["diff_ids"], *(layer.diff_id for layer in layers)],
        },
        "history": [*base.config.get("history", []), *_history(stage, labels, created)],
    }


def _history(stage: Stage, labels: Mapping[str, str], created: str) -> list[dict[str, Any]]:
    """What `docker history` shows, one entry for each instruction."""

    def entry(instruction: str, empty: bool = True) -> dict[str, Any]:
        told: dict[str, Any] = {"created": created, "created_by": instruction}
        return {**told, "empty_layer": True} if empty else told

    told: list[dict[str, Any]] = []
    if stage.env:
        told.append(entry(f"ENV {_words(stage.env)}"))
    told += [entry(f"COPY {source} {target}", empty=False) for source, target in stage.copies]
    if stage.workdir:
        told.append(entry(f"WORKDIR {stage.workdir}"))
    if stage.user:
        told.append(entry(f"USER {stage.user}"))
    told += [entry(f"EXPOSE {port}") for port in stage.ports]
    if stage.entrypoint:
        told.append(entry(f"ENTRYPOINT {json.dumps(stage.entrypoint)}"))
    if stage.command:
        told.append(entry(f"CMD {json.dumps(stage.command)}"))
    if stage.labels or labels:
        told.append(
            entry("LABEL " + " ".join(f"{n}={v}" for n, v in {**stage.labels, **labels}.items()))
        )
    return told


def _words(pairs: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs.items())


def _oci_name(entry: Mapping[str, Any]) -> str:
    media_type = str(entry["mediaType"])
    return _OCI_NAMES.get(media_type, media_type)


def encoded(document: Mapping[str, Any]) -> bytes:
    """A document as bytes, which are the same for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
