"""Base images resolved from the cache, without a network."""

import asyncio
import json
from pathlib import Path

from voicecore.aws.login import AwsLogin
from voicecore.image.inputs.base_image import resolve
from voicecore.image.registry.credentials import RegistryLogins

DIGEST = f"sha256:{'a' * 64}"


def test_cached_base_keeps_name_of_mirror(tmp_path: Path) -> None:
    manifest, config = {"layers": []}, {"rootfs": {"diff_ids": []}}
    cached = {"name": "public.ecr.aws/python:3.13", "digest": DIGEST}
    cached |= {"manifest": manifest, "config": config}
    (tmp_path / f"{'a' * 64}.json").write_text(json.dumps(cached))
    base = asyncio.run(
        resolve(f"mirror.example/python:3.13@{DIGEST}", tmp_path, RegistryLogins(AwsLogin()))
    )
    assert base.reference == f"mirror.example/python:3.13@{DIGEST}"
