"""A project is read from its voicecore.toml and its folder."""

from pathlib import Path

import pytest

from tests.unit.project_files import GOOD, written
from voicecore.local.environments import agent_spec
from voicecore.project.dotenv import dotenv_of
from voicecore.project.project import (
    Project,
    ServerSettings,
    Stage,
    TurnSettings,
    Vpc,
    load_project,
)


def test_reads_project(tmp_path: Path) -> None:
    assert load_project(written(tmp_path, GOOD)) == Project(
        root=tmp_path,
        name="support-line",
        transports=("websocket",),
        pipeline="cascade",
        region="us-east-1",
        services={"stt": "deepgram", "llm": "nova-lite", "tts": "polly"},
        network="public",
        stages={"dev": Stage("dev", "us-east-1")},
        version="0.1.0",
    )


def test_byte_order_mark_of_an_editor_is_ignored(tmp_path: Path) -> None:
    marked = written(tmp_path, f"\N{BYTE ORDER MARK}{GOOD}")
    assert load_project(marked).name == "support-line"
    (tmp_path / ".env").write_text("\N{BYTE ORDER MARK}DEEPGRAM_API_KEY=x\n", "utf-8")
    assert dotenv_of(tmp_path) == {"DEEPGRAM_API_KEY": "x"}


@pytest.mark.parametrize(
    ("dependencies", "found"),
    [
        ('["pipecat-ai", "aws-opentelemetry-distro>=0.18"]', True),
        ('["pipecat-ai"]', False),
        ("7", False),
        ("[", False),
    ],
)
def test_package_of_aws_for_traces_is_found(tmp_path: Path, dependencies: str, found: bool) -> None:
    project = load_project(written(tmp_path, GOOD))
    project.agent.mkdir()
    assert not project.has_tracing_package
    (project.agent / "pyproject.toml").write_text(f"[project]\ndependencies = {dependencies}\n")
    assert project.has_tracing_package == found


@pytest.mark.parametrize(
    ("services", "model"),
    [
        ("", "amazon.nova-2-sonic-v1:0"),  # what projects call that are older than the choice
        ('[services]\nspeech_to_speech = "nova-2-5-sonic"\n', "amazon.nova-2-5-sonic"),
    ],
)
def test_project_without_a_chosen_model_keeps_the_one_it_was_created_with(
    tmp_path: Path, services: str, model: str
) -> None:
    text = GOOD.partition("[services]")[0].replace("cascade", "nova-sonic") + services
    project = load_project(written(tmp_path, text))
    assert project.model_variables == {"SPEECH_TO_SPEECH_MODEL": model}
    assert agent_spec(project, {}).env["SPEECH_TO_SPEECH_MODEL"] == model


def test_root_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path.parent)
    assert load_project(Path(tmp_path.name)).root == tmp_path


SETTINGS = """
account = "123456789012"
network = "vpc"
platform = "v2"

[vpc]
ha = true

[turn]
peak_calls = 200

[stages.dev]
max_lifetime = 600

[stages.prod]
region = "eu-west-1"
account = "210987654321"
platform = "v1"
idle_timeout = 120
max_lifetime = 3600
log_retention_days = 90
"""


def test_reads_deployment_settings(tmp_path: Path) -> None:
    head, services = GOOD.split("\n\n")
    project = load_project(written(tmp_path, f"{head}\n{SETTINGS}\n{services}"))
    assert (project.network, project.vpc) == ("vpc", Vpc(ha=True))
    assert project.turn == TurnSettings("kvs", 200)
    assert list(project.stages) == ["dev", "prod"]
    # As in AWS, a lifetime below the default idle timeout lowers that too.
    assert project.stage() == Stage("dev", "us-east-1", "123456789012", 600, 600, platform="v2")
    assert project.stage("prod") == Stage("prod", "eu-west-1", "210987654321", 120, 3600, 90)


def test_subnets_imply_vpc_network(tmp_path: Path) -> None:
    vpc = """
[vpc]
subnets = ["subnet-0123456789abcdef0"]
security_groups = ["sg-0123456789abcdef0"]
"""
    project = load_project(written(tmp_path, GOOD + vpc))
    assert project.network == "vpc"
    assert project.vpc.given


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
SERVED = f"""
[server]
domain = "phone.example.com"
certificate = "{CERTIFICATE}"
peak_calls = 100

[stages.prod.server]
peak_calls = 200
"""


def test_reads_server_settings(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, GOOD + SERVED))
    assert project.stage().server == ServerSettings("phone.example.com", CERTIFICATE, 100)
    # The stage's own table replaces single settings.
    assert project.stage("prod").server == ServerSettings("phone.example.com", CERTIFICATE, 200)
