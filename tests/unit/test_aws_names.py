import pytest

from voicecore.catalog import regions
from voicecore.project import aws_names


@pytest.mark.parametrize("name", ["ab", "my-agent", "a1", "support-line-2", "a" * 30])
def test_accepts_names_that_fit_every_aws_limit(name: str) -> None:
    assert aws_names.name_problems(name) == []


@pytest.mark.parametrize(
    "name",
    ["", "a", "bad name!!/../x", "-x", "x-", "ä", "a" * 31, "a" * 200, "A", "9a", "a--b", "a_b",
     "con", "nul", "prn", "aux", "com1", "lpt9", ".", "..", "a/b", "a\nb"],
)  # fmt: skip
def test_rejects_invalid_names(name: str) -> None:
    assert aws_names.name_problems(name)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("bad name!!/../x", "bad-name-x"),
        ("My Agent", "my-agent"),
        ("Ärger", "arger"),
        ("a" * 200, "a" * 30),
        ("ä", None),
        ("con", None),
    ],
)
def test_suggests_closest_valid_name(name: str, suggestion: str | None) -> None:
    assert aws_names.suggestion_for(name) == suggestion


# With another name, a deploy would leave what is there and create a second one.
@pytest.mark.parametrize(
    ("found", "name"),
    [
        (aws_names.repository_for("line"), "voicecore/line"),
        (aws_names.stack_name_for("line", "dev"), "voicecore-line-dev"),
        (aws_names.network_stack_name_for("line"), "voicecore-line-network"),
        (aws_names.images_stack_name_for("line"), "voicecore-line-images"),
        (aws_names.endpoint_name_for("dev"), "dev"),
        (aws_names.secret_name_for("line", "dev"), "voicecore/line/dev"),
        (aws_names.server_for("line", "dev"), "voicecore-line-dev-server"),
        (aws_names.server_role_for("line", "dev", "eu-west-1"), "vc-line-dev-server-eu-west-1"),
        (
            aws_names.server_start_role_for("line", "dev", "eu-west-1"),
            "vc-line-dev-start-eu-west-1",
        ),
        (aws_names.lambda_log_group_for("s"), "/aws/lambda/s"),
        (aws_names.ecs_log_group_for("s"), "/ecs/s"),
        (aws_names.server_secret_for("line", "dev"), "voicecore/line/dev/server"),
        (aws_names.session_key_for("line", "dev"), "voicecore/line/dev/session"),
        (aws_names.origin_key_for("line", "dev"), "voicecore/line/dev/origin"),
        (aws_names.role_name_for("line", "dev", "eu-west-1"), "voicecore-line-dev-eu-west-1"),
        (aws_names.channel_name_for("line", "dev", 2), "voicecore-line-dev-2"),
        (aws_names.builder_for("line"), "voicecore-line-builder"),
        (aws_names.builder_log_group_for("line"), "/aws/codebuild/voicecore-line-builder"),
        (aws_names.builder_role_for("line", "eu-west-1"), "voicecore-line-builder-eu-west-1"),
        (
            aws_names.builder_bucket_for("line", "1" * 12, "eu-west-1"),
            f"vc-line-{'1' * 12}-eu-west-1",
        ),
        (aws_names.stage_flag("dev"), ""),
        (aws_names.stage_flag("prod"), " --stage prod"),
    ],
)
def test_names_of_resources_stay(found: str, name: str) -> None:
    assert found == name


def test_longest_name_and_stage_fit_runtime_name() -> None:
    assert (
        len(aws_names.runtime_name_for("a" * aws_names.NAME_LIMIT, "x" * aws_names.STAGE_LIMIT))
        <= 48
    )


def test_runtime_name_has_no_hyphens() -> None:
    assert aws_names.runtime_name_for("support-line", "dev") == "support_line_dev"


def test_stacks_of_different_projects_and_stages_have_different_names() -> None:
    projects = ("a-b", "a-b-dev", "a-b-network", "a-b-images")
    names = [
        stack
        for name in projects
        for stack in (
            aws_names.network_stack_name_for(name),
            aws_names.images_stack_name_for(name),
            *(aws_names.stack_name_for(name, stage) for stage in ("dev", "prod")),
        )
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("stage", ["dev", "prod", "test2", "x", "a" * aws_names.STAGE_LIMIT])
def test_accepts_stage_names(stage: str) -> None:
    assert aws_names.stage_name_problems(stage) == []


@pytest.mark.parametrize(
    "stage",
    [
        "",
        "Dev",
        "pre-prod",
        "2nd",
        "a_b",
        "network",
        "images",
        "builder",
        "server",
        "shared",
        "local",
        "a" * 9,
    ],
)
def test_rejects_invalid_stage_names(stage: str) -> None:
    assert aws_names.stage_name_problems(stage)


def test_log_group_is_the_one_agentcore_writes_to() -> None:
    assert (
        aws_names.log_group_for("support_line_dev-Ab12345678", "DEFAULT")
        == "/aws/bedrock-agentcore/runtimes/support_line_dev-Ab12345678-DEFAULT"
    )


def test_longest_name_fits_bucket_and_role_in_region_with_longest_name() -> None:
    longest = "a" * aws_names.NAME_LIMIT
    region = max(regions.AGENTCORE, key=len)
    assert len(aws_names.builder_bucket_for(longest, "1" * 12, region)) <= 63
    assert len(aws_names.builder_role_for(longest, region)) <= 64


def test_builder_names_differ_between_projects() -> None:
    for derive in (aws_names.builder_for, aws_names.builder_log_group_for):
        assert derive("one") != derive("two")
    assert aws_names.builder_bucket_for(
        "one", "1" * 12, "us-east-1"
    ) != aws_names.builder_bucket_for("two", "1" * 12, "us-east-1")
