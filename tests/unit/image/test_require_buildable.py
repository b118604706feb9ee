"""A dry run refuses what the chosen builder would refuse, without building."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.standins.image.in_process_registry import FakeRegistry
from tests.unit.image.sample_project import PYTHON, make_base, uv_env
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import VoicecoreError
from voicecore.image.builder import require_buildable
from voicecore.image.builder_choice import BuilderChoice
from voicecore.image.builders.codebuild import NoArmBuilds
from voicecore.image.docker.endpoint import DaemonDown
from voicecore.image.inputs.build_context import context_files
from voicecore.image.model import BaseImage
from voicecore.image.plan import BuildPlan, CannotBuild
from voicecore.image.registry.credentials import RegistryLogins
from voicecore.image.registry.reference import parse_reference
from voicecore.project.project import Project
from voicecore.scaffold.render import dockerfile_of

ECR = "123456789012.dkr.ecr.{}.amazonaws.com/voicecore/ada"


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    folder = tmp_path / "ada/agent"
    (folder / "internal").mkdir(parents=True)
    (folder / "internal/prune.py").write_text("")
    (folder / "bot.py").write_text("")
    return folder


def require(
    agent: Path, builder: str | BuilderChoice, lines: str = "", target: str = "", **env: str
) -> None:
    choice = BuilderChoice(builder) if isinstance(builder, str) else builder
    base = make_base(FakeRegistry(), "python")
    run = {**base.config["config"], "Env": [f"PYTHON_VERSION={PYTHON}.0"]}
    plan = BuildPlan(
        project=Project(agent.parent, "ada", ("websocket",), "offline", "eu-west-1", {}),
        part="agent",
        dockerfile=dockerfile_of("agent") + lines,
        base=BaseImage(base.name, base.digest, base.manifest, {**base.config, "config": run}),
        files=tuple(context_files(agent)),
        tag="tag",
        labels={},
        target=parse_reference(target) if target else None,
        pushed_digest="",
        lock={},
        lock_created="",
        pins_base=False,
        logins=RegistryLogins(AwsLogin()),
    )
    require_buildable(plan, choice, {**uv_env(), "XDG_CACHE_HOME": str(agent.parent), **env})


def test_generated_dockerfile_is_buildable(agent: Path) -> None:
    for builder in ("direct", "buildx", "codebuild"):
        require(agent, builder)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('ENV A="b\n', "no closing quotation"),
        ('CMD ["a",\n', "not a JSON list"),
        ("RUN make\n", "only Docker can run this"),
        ("COPY --from=code /image/app/../../etc /x\n", "copies /etc"),
    ],
)
def test_direct_builder_refuses_dockerfile(agent: Path, lines: str, message: str) -> None:
    with pytest.raises(VoicecoreError, match=message):
        require(agent, "direct", lines)
    require(agent, "buildx", lines)


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda agent: (agent / "internal/prune.py").unlink(), "has no internal/prune.py"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_direct_builder_refuses_files(
    agent: Path, change: Callable[[Path], object], message: str
) -> None:
    change(agent)
    with pytest.raises(VoicecoreError, match=message):
        require(agent, "direct")


def test_other_builders_name_what_they_cannot_use(agent: Path) -> None:
    with pytest.raises(VoicecoreError, match="SSL_CERT_FILE"):
        require(agent, "buildx", SSL_CERT_FILE=str(agent / "missing"))
    with pytest.raises(VoicecoreError, match="not an ECR repository"):
        require(agent, "codebuild", target="docker.io/me/agent:tag")


@pytest.mark.parametrize("region", ["eu-west-2", "us-gov-west-1"])
def test_codebuild_is_refused_where_it_has_no_arm64_machines(agent: Path, region: str) -> None:
    repository = ECR
    require(agent, "codebuild", target=f"{repository.format('eu-west-1')}:tag")
    with pytest.raises(NoArmBuilds, match=region) as refused:
        require(agent, "codebuild", target=f"{repository.format(region)}:tag")
    assert f"voicecore build --push {repository.format(region)}" in (refused.value.hint or "")


def test_error_about_missing_docker_says_why_it_cannot_be_used(agent: Path) -> None:
    # The hint of the problem is to build without Docker, which would refuse the same again.
    problem = DaemonDown("The Docker daemon does not answer.", "voicecore build --builder direct")
    for lines in ("RUN make\n", "COPY --from=code /image/app/../../etc /x\n"):
        with pytest.raises(CannotBuild, match="The Docker daemon does not answer") as refused:
            require(agent, BuilderChoice("direct", problem), lines)
        hint = refused.value.hint or ""
        assert "--builder codebuild" in hint
        assert "--builder direct" not in hint


@pytest.mark.parametrize("target", ["docker.io/me/agent:tag", f"{ECR.format('eu-west-2')}:tag"])
def test_codebuild_does_not_send_back_what_only_it_can_compile(agent: Path, target: str) -> None:
    with pytest.raises(VoicecoreError) as refused:
        require(agent, "codebuild", target=target)
    assert "if every package has an arm64 wheel, build here" in (refused.value.hint or "")
