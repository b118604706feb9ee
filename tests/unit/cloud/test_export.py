import json

import yaml

from tests.unit.cloud.deployments import WEBRTC, deployment, make_agent_stack
from voicecore.cloud.deploy.export import as_json, as_yaml, files_of

STACK = make_agent_stack(deployment("cascade", WEBRTC, network="vpc"), KEY="x")


def test_both_forms_are_the_template() -> None:
    assert yaml.safe_load(as_yaml(STACK)) == STACK.template
    assert json.loads(as_json(STACK)) == STACK.template


def test_the_head_explains_every_parameter_and_deploys_with_our_tags() -> None:
    head = [line for line in as_yaml(STACK).splitlines() if line.startswith("#")]
    text = "\n".join(head)
    for name, parameter in STACK.template["Parameters"].items():
        assert f"{name} ({parameter['Type']}" in text and parameter["Description"] in text
    assert "aws cloudformation deploy" in text
    assert "voicecore:project=support-line" in text
    assert "put-secret-value --secret-id voicecore/support-line/dev" in text
    assert "put-secret-value" not in as_yaml(make_agent_stack(deployment()))


def test_files_are_called_after_their_stacks() -> None:
    assert list(files_of([STACK])) == ["voicecore-support-line-dev.yaml"]
    assert list(files_of([STACK], "json")) == ["voicecore-support-line-dev.json"]
