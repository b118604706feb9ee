"""Owns the documents of an OCI image: its manifest, its config and its index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from voicecore.image.inputs.dockerfile import FinalStage
from voicecore.image.model import PLATFORM, BaseImage, BuiltImage, Layer, instruction_title
from voicecore.image.registry.errors import platform_missing
from voicecore.image.registry.reference import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

# image-spec, media-types.md ("Compatibility Matrix"): the same bytes under OCI's names.
_OCI_NAMES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": _LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}

# Fields that BuildKit copies from a base's config (moby/docker-image-spec, specs-go/v1, and OCI's).
_TOP = ("author", "architecture", "variant", "os", "os.version", "os.features")
_RUN = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "Healthcheck", "StopTimeout", "Shell",
)  # fmt: skip

_EPOCH = "1970-01-01T00:00:00Z"


def digest_of(content: bytes) -> str:
    """Return the digest of `content`: "sha256:" and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encoded(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON; equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


# ---- reading


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`. Raises ValueError."""
    try:
        document = json.loads(raw)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    _require(isinstance(document, dict), "it is not a JSON object")
    return document


def require_index(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless `document` can be read as an index of platforms."""
    for entry in _list(document, "manifests"):
        _require(isinstance(entry, dict), "an entry of its index is not an object")
        _object(entry, "platform")


def require_image(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise ValueError unless a manifest and its config agree with image-spec.

    Everything that is read later is checked here: digests become paths and URLs.
    """
    layers = _list(manifest, "layers")
    for layer in layers:
        require_descriptor(layer)
    diff_ids = _list(_object(config, "rootfs"), "diff_ids")
    _require(all(map(is_digest, diff_ids)), "a diff_id is not a digest")
    _require(len(diff_ids) == len(layers), "it has not one diff_id for each layer")
    history = _list(config, "history") if config.get("history") else []
    _require(all(isinstance(entry, dict) for entry in history), "its history is not of objects")
    run = _object(config, "config")
    env = _list(run, "Env") if run.get("Env") else []
    _require(
        all(isinstance(entry, str) and "=" in entry for entry in env),
        "its Env is not a list of NAME=value",
    )
    for name in ("ExposedPorts", "Labels"):
        _object(run, name)
    created = config.get("created") or _EPOCH
    _require(isinstance(created, str), "its time of creation is not text")
    _require(datetime.fromisoformat(created).tzinfo is not None, "its time has no zone")


def require_descriptor(entry: object) -> None:
    """Raise ValueError unless `entry` has a media type, a digest and a size (descriptor.md)."""
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    _require(is_digest(fields.get("digest")), f"{str(fields.get('digest'))[:80]!r} is not a digest")
    _require(isinstance(fields.get("mediaType"), str), "a blob has no media type")
    size = fields.get("size")
    _require(type(size) is int and size >= 0, f"a blob has the size {str(size)[:80]!r}")


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    _require(isinstance(found, list), f"its {name} is not a list")
    return cast("list[Any]", found)


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = cast("object", document.get(name) or {})
    _require(isinstance(found, dict), f"its {name} is not an object")
    return cast("dict[str, Any]", found)


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


def platform_name(platform: Mapping[str, object]) -> str:
    """Return `os/architecture/variant`, without v8, the only variant of arm64 in use."""
    parts = [str(platform.get(key) or "") for key in ("os", "architecture", "variant")]
    if parts[1:] == ["arm64", "v8"]:
        parts.pop()
    return "/".join(part for part in parts if part)


def digest_for_platform(index: Mapping[str, Any], name: str, platform: str = PLATFORM) -> str:
    """Return the digest of the manifest for `platform` in an `index`. Raises PlatformMissing."""
    entries: dict[str, str] = {}
    for entry in index["manifests"]:
        name_of_entry = platform_name(entry.get("platform") or {})
        entries.setdefault(name_of_entry, str(entry.get("digest", "")))
    if platform not in entries:
        # BuildKit lists its attestations as unknown/unknown.
        raise platform_missing(name, platform, [name for name in entries if "unknown" not in name])
    return entries[platform]


def base_layers(base: BaseImage) -> tuple[Layer, ...]:
    """Return the base's layers; its manifest does not have their uncompressed size."""
    return tuple(
        Layer("base", diff_id, 0, entry["digest"], entry["size"])
        for entry, diff_id in zip(
            base.manifest["layers"], base.config["rootfs"]["diff_ids"], strict=True
        )
    )


def image_of(
    tag: str, digest: str, manifest: Mapping[str, Any], config: Mapping[str, Any], base_layers: int
) -> BuiltImage:
    """Return an image as a registry describes it; its first `base_layers` layers are its base's."""
    history = cast("list[dict[str, Any]]", config.get("history") or [])
    created_by = [str(entry.get("created_by", "")) for entry in history
                  if not entry.get("empty_layer")]  # fmt: skip
    if len(created_by) != len(manifest["layers"]):  # history is optional, and only for people
        created_by = [""] * len(manifest["layers"])
    layers = tuple(
        Layer(
            "base" if number < base_layers else instruction_title(instruction),
            diff_id,
            0,
            blob["digest"],
            blob["size"],
        )
        for number, (blob, diff_id, instruction) in enumerate(
            zip(manifest["layers"], config["rootfs"]["diff_ids"], created_by, strict=True)
        )
    )
    return BuiltImage(tag, digest, config, layers, packages=())


# ---- writing


def manifest_of(base: BaseImage, config: bytes, layers: Sequence[Layer]) -> bytes:
    """Return the manifest of the base's layers and `layers`; equal images give equal bytes."""
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


def config_of(
    base: BaseImage, stage: FinalStage, labels: Mapping[str, str], layers: Sequence[Layer]
) -> dict[str, Any]:
    """Return the base's config as the final stage changes it (image-spec, config.md)."""
    created = base.created or _EPOCH
    inherited = cast("dict[str, Any]", base.config.get("config") or {})
    run: dict[str, Any] = {name: inherited[name] for name in _RUN if inherited.get(name)}
    env: dict[str, str] = dict(entry.split("=", 1) for entry in run.get("Env", []))
    run["Env"] = [f"{name}={value}" for name, value in {**env, **stage.env}.items()]
    if stage.workdir:
        run["WorkingDir"] = stage.workdir
    if stage.user:
        run["User"] = stage.user
    if stage.ports:
        run["ExposedPorts"] = {**run.get("ExposedPorts", {}), **{port: {} for port in stage.ports}}
    if stage.entrypoint:
        # In Docker, an entry point replaces the base's entry point and its command.
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
        "history": [*(base.config.get("history") or []), *_history(stage, labels, created)],
    }


def _history(stage: FinalStage, labels: Mapping[str, str], created: str) -> list[dict[str, Any]]:
    """Return what `docker history` shows: one entry per instruction."""

    def entry(instruction: str, empty: bool = True) -> dict[str, Any]:
        fields: dict[str, Any] = {"created": created, "created_by": instruction}
        return {**fields, "empty_layer": True} if empty else fields

    entries: list[dict[str, Any]] = []
    if stage.env:
        entries.append(entry(f"ENV {_pairs(stage.env)}"))
    entries += [entry(f"COPY {source} {target}", empty=False) for source, target in stage.copies]
    if stage.workdir:
        entries.append(entry(f"WORKDIR {stage.workdir}"))
    if stage.user:
        entries.append(entry(f"USER {stage.user}"))
    entries += [entry(f"EXPOSE {port}") for port in stage.ports]
    if stage.entrypoint:
        entries.append(entry(f"ENTRYPOINT {json.dumps(stage.entrypoint)}"))
    if stage.command:
        entries.append(entry(f"CMD {json.dumps(stage.command)}"))
    if stage.labels or labels:
        entries.append(entry(f"LABEL {_pairs({**stage.labels, **labels})}"))
    return entries


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


def _oci_name(entry: Mapping[str, Any]) -> str:
    media_type = str(entry["mediaType"])
    return _OCI_NAMES.get(media_type, media_type)
