"""A base that is known by its digest, without a network."""

import asyncio
import json
from pathlib import Path

from voicecore.image.inputs.base_image import resolve

DIGEST = f"sha256:{'a' * 64}"


def test_a_mirror_s_name_stays_its_own(tmp_path: Path) -> None:
    kept = {"name": "public.ecr.aws/python:3.13", "digest": DIGEST, "manifest": {}, "config": {}}
    (tmp_path / f"{'a' * 64}.json").write_text(json.dumps(kept))
    base = asyncio.run(resolve(f"mirror.example/python:3.13@{DIGEST}", tmp_path))
    assert base.reference == f"mirror.example/python:3.13@{DIGEST}"
