"""What a registry or a stranger's project says, however malformed, ends in an error for people."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import lzma
import string
import tarfile
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fuzz.rounds import rounds
from tests.standins.image.in_process_registry import FakeRegistry
from tests.unit.image.sample_project import LIBRARY, PYTHON, make_base
from voicecore.console.errors import VoicecoreError
from voicecore.image.blob_store import blob_path
from voicecore.image.builders.stdlib import extract
from voicecore.image.inputs import dockerfile, fingerprint
from voicecore.image.inputs.dockerfile import FinalStage
from voicecore.image.inputs.dockerignore import IgnoreRules
from voicecore.image.inputs.secret_scan import find_secrets
from voicecore.image.model import BaseImage
from voicecore.image.plan import python_of
from voicecore.image.registry.client import Repository
from voicecore.image.registry.manifests import (
    OCI_INDEX,
    OCI_MANIFEST,
    base_layers,
    config_of,
    encoded,
    image_of,
    manifest_of,
)
from voicecore.image.registry.reference import Reference

pytestmark = pytest.mark.slow

SHARE = 1 / 5  # these five are one of the fuzzers

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 2**70, 1e308, "", "x" * 5000, "sha256:/root/.aws/credentials",
    "sha256:../../x", "../../x", "/etc/passwd", "\ud800", "\x1b[2J", [], {}, [[]], {"": {}},
    ["a", 1], "sha256:" + "a" * 64, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "PATH",
    "PYTHON_VERSION=3.13.1", ["PYTHON_VERSION=" + "9" * 9], {"os": 1}, float("nan"),
)  # fmt: skip


PIECES = (b"[" * 3000, b'{"a":' * 3000, b"\xff", b"\0", b"\\")
MEMBERS = ("os.py", "a/b.py", "a", ".wh.", ".wh..", ".wh...", ".wh.os.py", ".wh..wh..opq",
           "../../x.py", "a.py/b.py", "a.py")  # fmt: skip
KINDS = (*(tarfile.REGTYPE,) * 4, tarfile.DIRTYPE, tarfile.SYMTYPE)
WORDS = ("api_key", "=", ":", '"', "'", "token", "\n", "\\", " ", "://", "@", "-----BEGIN ",
         "PRIVATE" + " KEY-----")  # fmt: skip


def mutated(document: Any, random: Random) -> Any:
    """Return a copy of a JSON document with a few values replaced, deleted or repeated."""
    copy = json.loads(json.dumps(document))
    for _ in range(random.randint(1, 3)):
        place: Any = copy
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(place[key], dict | list) and random.random() < 0.7:
                place = place[key]
                continue
            match random.randrange(4):
                case 0:
                    del place[key]
                case 1 if isinstance(place, list):
                    place.append(place[key])
                case _:
                    place[key] = deepcopy(random.choice(VALUES))
            break
    return copy


def damaged(raw: bytes, random: Random) -> bytes:
    """Return bytes of which some are changed, cut off or repeated."""
    content = bytearray(raw)
    for _ in range(random.randint(1, 8)):
        at = random.randrange(len(content) + 1)
        match random.randrange(4):
            case 0:
                content[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del content[at : at + random.randrange(40)]
            case 2:
                content[at:at] = content[at : at + random.randrange(40)]
            case _:
                content[at:at] = random.choice(PIECES)
    return bytes(content)


def use(base: BaseImage, store: Path) -> None:
    """Do with an accepted base what a build does."""
    for layer in base_layers(base):
        assert blob_path(store, layer.digest).parent == store / "blobs/sha256"
    python_of(base)
    fingerprint.epoch_of(base)
    fingerprint.age_of(base, datetime.now(UTC))
    config = encoded(config_of(base, FinalStage(env={"A": "b"}), {"c": "d"}, ()))
    manifest_of(base, config, ())
    image_of("tag", base.digest, base.manifest, base.config, base_layers=1)


def test_manifests_are_used_or_refused(tmp_path: Path) -> None:
    registry = FakeRegistry()
    base = make_base(registry, "python")
    entry = {"platform": {"os": "linux", "architecture": "arm64"}, "digest": base.digest}
    index = {"schemaVersion": 2, "manifests": [entry]}
    used = 0

    def publish(random: Random) -> None:
        config, manifest = base.config, base.manifest
        if random.random() < 0.6:
            config = mutated(config, random)
        raw = json.dumps(config).encode()
        raw = damaged(raw, random) if random.random() < 0.1 else raw
        known = {**manifest["config"], "digest": registry.add("python", raw)}
        manifest = {**manifest, "config": known}
        if random.random() < 0.6:
            manifest = mutated(manifest, random)
        content = json.dumps(manifest).encode()
        content = damaged(content, random) if random.random() < 0.2 else content
        registry.manifests["python/t"] = (OCI_MANIFEST, content)
        if random.random() < 0.3:
            digest = registry.add_manifest("python", "child", OCI_MANIFEST, manifest)
            named = {**index, "manifests": [{**entry, "digest": digest}]}
            raw = json.dumps(mutated(named, random)).encode()
            registry.manifests["python/t"] = (OCI_INDEX, raw)

    async def work() -> None:
        nonlocal used
        async with registry.serving():
            reference = Reference(registry.host, "python", "t")
            async with Repository(reference, lambda: None, pauses=()) as repository:
                for seed, random in rounds(SHARE):
                    publish(random)
                    try:
                        found = await repository.image("t")
                        image = BaseImage("python:t", found.digest, found.manifest, found.config)
                        use(image, tmp_path)
                        used += 1
                    except VoicecoreError as error:
                        assert error.message
                    except Exception as error:
                        raise AssertionError(f"FUZZ_SEED={seed}") from error
                    registry.log.clear()
                    registry.blobs["python"] = dict(list(registry.blobs["python"].items())[:3])

    asyncio.run(work())
    assert used, "no image was accepted: the mutations are too strong"


def each_round(check: Callable[[Random], object], *refusals: type[Exception]) -> None:
    for seed, random in rounds(SHARE):
        try:
            check(random)
        except refusals:
            pass
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={seed}") from error


TEMPLATE = "ARG BASE=x\nFROM $BASE AS build\nRUN make\nFROM $BASE\n"
FINAL = """\
ENV A=b C="d e" \\
    F=g
LABEL team=voice
COPY --from=build /image/app/../opt /opt
WORKDIR /app
USER 1000
EXPOSE 8080 9000/udp
ENTRYPOINT ["python"]
CMD ["-m", "internal.app"]
"""


def test_dockerfiles_are_read_or_refused() -> None:
    def check(random: Random) -> None:
        text = damaged(FINAL.encode(), random).decode(errors="replace")
        stage = dockerfile.final_stage(TEMPLATE + text, TEMPLATE)
        for source, target in stage.copies:
            assert source.startswith("/") and ".." not in source.split("/")
            assert target.startswith("/") and ".." not in target.split("/")
        assert all(isinstance(word, str) for word in stage.command + stage.entrypoint)

    each_round(check, VoicecoreError)


def test_ignore_patterns_are_read_or_refused() -> None:
    def check(random: Random) -> None:
        letters = "ab*?/[]^-\\!#. é\0"
        lines = ["".join(random.choices(letters, k=random.randrange(30))) for _ in range(5)]
        rules = IgnoreRules(lines)
        state = rules.after(rules.start, "".join(random.choices("ab/é", k=60)))
        rules.excludes(state.last)

    each_round(check, ValueError)


def test_base_layers_are_read_or_refused(tmp_path: Path) -> None:
    def check(random: Random) -> None:
        plain = io.BytesIO()
        compress = random.choice([bytes, gzip.compress, lzma.compress])
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for _ in range(random.randint(1, 6)):
                name = random.choice(MEMBERS)
                entry = tarfile.TarInfo(f"{LIBRARY}/{name}")
                entry.size = random.choice([0, 3])
                entry.type = random.choice(KINDS)
                entry.linkname = "/etc"
                tar.addfile(entry, io.BytesIO(b"abc"))
        content = compress(plain.getvalue())
        layer = tmp_path / "layer"
        layer.write_bytes(damaged(content, random) if random.random() < 0.5 else content)
        folder = tmp_path / "work/deep/library"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            extract([layer], PYTHON, folder)
        finally:
            assert {path.name for path in tmp_path.iterdir()} == {"layer", "work"}
            assert [path.name for path in (tmp_path / "work").iterdir()] == ["deep"]

    each_round(check, VoicecoreError)


def test_files_are_scanned_whatever_they_contain(tmp_path: Path) -> None:
    def check(random: Random) -> None:
        words = [*WORDS, "".join(random.choices(string.printable, k=40))]
        text = "".join(random.choices(words, k=random.randrange(200)))
        encoding = random.choice(["utf-8", "utf-16", "utf-16-be", "utf-32", "latin-1"])
        raw = text.encode(encoding, "replace")
        (tmp_path / "file").write_bytes(damaged(raw, random))
        find_secrets(tmp_path, ["file"], {"API_KEY": "a1b2c3d4e5f6"})

    each_round(check)
