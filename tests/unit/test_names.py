import pytest

from voicecore.catalog import regions
from voicecore.project import aws_names


@pytest.mark.parametrize("name", ["ab", "my-agent", "a1", "support-line-2", "a" * 30])
def test_names_that_fit_every_aws_limit(name: str) -> None:
    assert aws_names.mistakes_in(name) == []


@pytest.mark.parametrize(
    "name",
    ["", "a", "bad name!!/../x", "-x", "x-", "ä", "a" * 31, "a" * 200, "A", "9a", "a--b", "a_b",
     "con", "nul", "com1", ".", "..", "a/b", "a\nb"],
)  # fmt: skip
def test_names_that_cannot_be(name: str) -> None:
    assert aws_names.mistakes_in(name)


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
def test_a_name_like_it_is_suggested_when_there_is_one(name: str, suggestion: str | None) -> None:
    assert aws_names.suggestion_for(name) == suggestion


def test_the_longest_name_and_stage_still_fit_a_runtime() -> None:
    assert (
        len(aws_names.runtime_name_for("a" * aws_names.NAME_LIMIT, "x" * aws_names.STAGE_LIMIT))
        <= 48
    )


def test_agentcore_gets_no_hyphens() -> None:
    assert aws_names.runtime_name_for("support-line", "dev") == "support_line_dev"


def test_stacks_of_different_projects_and_stages_never_meet() -> None:
    projects = ("a-b", "a-b-dev", "a-b-network", "a-b-images")
    made = [
        stack
        for name in projects
        for stack in (
            aws_names.network_stack_name_for(name),
            aws_names.images_stack_name_for(name),
            *(aws_names.stack_name_for(name, stage) for stage in ("dev", "prod")),
        )
    ]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("stage", ["dev", "prod", "test2", "x", "a" * aws_names.STAGE_LIMIT])
def test_stages(stage: str) -> None:
    assert aws_names.stage_mistakes_in(stage) == []


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
        "shared",
        "local",
        "a" * 9,
    ],
)
def test_stages_that_cannot_be(stage: str) -> None:
    assert aws_names.stage_mistakes_in(stage)


def test_logs_are_where_agentcore_puts_them() -> None:
    assert (
        aws_names.log_group_for("support_line_dev-Ab12345678", "DEFAULT")
        == "/aws/bedrock-agentcore/runtimes/support_line_dev-Ab12345678-DEFAULT"
    )


def test_the_longest_name_still_fits_a_bucket_and_a_role_of_the_longest_region() -> None:
    longest = "a" * aws_names.NAME_LIMIT
    region = max(regions.AGENTCORE, key=len)
    assert len(aws_names.builder_bucket_for(longest, "1" * 12, region)) <= 63
    assert len(aws_names.builder_role_for(longest, region)) <= 64


def test_two_projects_share_no_name_of_a_builder() -> None:
    for derive in (aws_names.builder_for, aws_names.builder_log_group_for):
        assert derive("one") != derive("two")
    assert aws_names.builder_bucket_for(
        "one", "1" * 12, "us-east-1"
    ) != aws_names.builder_bucket_for("two", "1" * 12, "us-east-1")
