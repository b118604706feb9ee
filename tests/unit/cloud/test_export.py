"""Exported templates: the YAML and its header."""

import json
from typing import Any

import yaml

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment, make_agent_stack
from voicecore.cloud.deploy.export import as_json, as_yaml, exported_files
from voicecore.cloud.deploy.request import DeployRequest
from voicecore.cloud.stacks.env_split import Environment

STACK = make_agent_stack(deployment("cascade", WEBRTC, network="vpc"), KEY="x")


def test_yaml_is_the_template() -> None:
    assert yaml.safe_load(as_yaml(STACK)) == STACK.document
    assert json.loads(as_json(STACK)) == STACK.document


def test_header_explains_every_parameter_and_deploys_with_voicecores_tags() -> None:
    header = [line for line in as_yaml(STACK).splitlines() if line.startswith("#")]
    text = "\n".join(header)
    for name, parameter in STACK.template["Parameters"].items():
        assert f"{name} ({parameter['Type']}" in text and parameter["Description"] in text
    assert "aws cloudformation deploy" in text
    assert "voicecore:project=support-line" in text
    assert "put-secret-value --secret-id voicecore/support-line/dev" in text
    assert "put-secret-value" not in as_yaml(make_agent_stack(deployment()))


def test_files_are_named_after_their_stacks() -> None:
    stage = deployment("nova-sonic", WEBSOCKET, network="vpc")
    project: Any = None
    request = DeployRequest(project, stage, Environment(), None, "", ())
    names = [name for name in exported_files(request) if name.endswith(".yaml")]
    assert names == [
        "voicecore-support-line-images.yaml",
        "voicecore-support-line-network.yaml",
        "voicecore-support-line-dev.yaml",
    ]
