"""The documents of an image: which fields of its base they keep, and what the final stage adds."""

from __future__ import annotations

from typing import Any

from voicecore.image.inputs.dockerfile import FinalStage
from voicecore.image.model import BaseImage, Layer
from voicecore.image.registry.manifests import config_of, image_of, manifest_of

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
TIME = "2026-10-01T12:00:00Z"
STAGE = FinalStage(
    env={"B": "2"},
    copies=(("/image/app", "/app"),),
    workdir="/app",
    user="1000",
    ports=("8080/tcp",),
    command=("python", "bot.py"),
    entrypoint=("/init",),
    labels={"team": "voice"},
)
RUN = {
    "User": "root",
    "ExposedPorts": {"22/tcp": {}},
    "Env": ["A=1", "B=1"],
    "Entrypoint": ["/bin/tini"],
    "Cmd": ["python3"],
    "Volumes": {"/data": {}},
    "WorkingDir": "/srv",
    "Labels": {"from": "base"},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["NONE"]},
    "StopTimeout": 3,
    "Shell": ["/bin/bash", "-c"],
}
TOP = {
    "author": "someone",
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "os.version": "6",
    "os.features": ["x"],
}


def base(**more: Any) -> BaseImage:
    config = {
        **TOP,
        "created": TIME,
        "container": "the container that built it",
        "config": RUN | {"Hostname": "abc"},
        "rootfs": {"type": "layers", "diff_ids": [ONE]},
        "history": [{"created": TIME, "created_by": "ADD rootfs.tar /"}],
    }
    layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": ONE}
    return BaseImage("python:3", ONE, {"layers": [{**layer, "size": 10}]}, config | more)


def test_config_keeps_every_field_of_its_base_that_runs() -> None:
    config = config_of(base(), FinalStage(), {}, ())
    assert config["config"] == RUN
    assert {name: config[name] for name in TOP} == TOP
    assert set(config) == {*TOP, "created", "config", "rootfs", "history"}


def test_config_is_that_of_the_base_as_the_final_stage_changes_it() -> None:
    config = config_of(base(), STAGE, {"version": "1"}, [Layer("code", TWO, 20)])
    assert config["config"] == RUN | {
        "User": "1000",
        "ExposedPorts": {"22/tcp": {}, "8080/tcp": {}},
        "Env": ["A=1", "B=2"],
        "Entrypoint": ["/init"],
        "Cmd": ["python", "bot.py"],
        "WorkingDir": "/app",
        "Labels": {"from": "base", "team": "voice", "version": "1"},
    }
    assert config["rootfs"]["diff_ids"] == [ONE, TWO]
    assert config["created"] == TIME


def test_entry_point_replaces_command_of_base() -> None:
    config = config_of(base(), FinalStage(entrypoint=("/init",)), {}, ())["config"]
    assert config["Entrypoint"] == ["/init"] and "Cmd" not in config


def test_history_has_each_instruction_and_which_of_them_made_a_layer() -> None:
    history = config_of(base(), STAGE, {"version": "1"}, ())["history"]
    assert [(each["created_by"], each.get("empty_layer")) for each in history] == [
        ("ADD rootfs.tar /", None),
        ("ENV B=2", True),
        ("COPY /image/app /app", None),
        ("WORKDIR /app", True),
        ("USER 1000", True),
        ("EXPOSE 8080/tcp", True),
        ('ENTRYPOINT ["/init"]', True),
        ('CMD ["python", "bot.py"]', True),
        ("LABEL team=voice version=1", True),
    ]
    assert {each["created"] for each in history} == {TIME}


def test_history_of_empty_stage_is_that_of_its_base() -> None:
    assert config_of(base(), FinalStage(), {}, ())["history"] == base().config["history"]
    assert config_of(base(history=None), FinalStage(), {}, ())["history"] == []


def test_image_has_layers_of_its_base_and_titles_of_its_own() -> None:
    layers = [Layer("code", TWO, 5, digest=THREE, size=20)]
    config = config_of(base(), STAGE, {}, layers)
    entries = [{"digest": ONE, "size": 10}, {"digest": THREE, "size": 20}]
    image = image_of("the-tag", TWO, {"layers": entries}, config, base_layers=1)
    assert (image.tag, image.digest, image.config, image.packages) == ("the-tag", TWO, config, ())
    assert image.layers == (Layer("base", ONE, 0, ONE, 10), Layer("code", TWO, 0, THREE, 20))


def test_image_without_history_has_layers_without_titles() -> None:
    config = config_of(base(), FinalStage(), {}, [Layer("code", TWO, 5)])
    entries = [{"digest": ONE, "size": 10}, {"digest": THREE, "size": 20}]
    image = image_of("t", TWO, {"layers": entries}, {**config, "history": None}, base_layers=1)
    assert [layer.title for layer in image.layers] == ["base", ""]


def test_manifest_has_layers_of_base_by_their_oci_names() -> None:
    written = manifest_of(base(), b"{}", [Layer("code", TWO, 5, digest=THREE, size=20)])
    assert b'"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":10' in written
    assert b'"digest":"%s"' % THREE.encode() in written and b"docker" not in written
