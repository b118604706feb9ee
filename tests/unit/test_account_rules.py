"""An administrator's rules in voicecore.toml: values, inheritance, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_project import GOOD, written
from voicecore.project.project import BadProject, load_project
from voicecore.project.settings.account_rules import TAGS_MAX, repository_arn

KEY = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/voice"
RULES = f"""
role = "arn:aws:iam::123456789012:role/teams/agent"
permissions_boundary = "arn:aws:iam::aws:policy/PowerUserAccess"
role_path = "/teams/voice/"
kms_key = "{KEY}"
repository = "{URI}"
"""


def settings(top: str, tables: str = "") -> str:
    head, services, rest = GOOD.partition("[services]")
    return f"{head}{top}\n{services}{rest}\n{tables}"


def test_longest_tags_of_aws_are_accepted(tmp_path: Path) -> None:
    tables = f'[tags]\n{"x" * 128} = "{"y" * 256}"'
    project = load_project(written(tmp_path, settings("", tables)))
    assert project.stage().tags == {"x" * 128: "y" * 256}


def test_stage_has_the_rules_of_the_project_and_its_own(tmp_path: Path) -> None:
    tables = """
[tags]
CostCenter = "42"

[stages.prod]
role = "arn:aws:iam::210987654321:role/agent"
kms_key = ""

[stages.prod.tags]
CostCenter = "43"
Environment = "prod"
"""
    project = load_project(written(tmp_path, settings(RULES, tables)))
    dev, prod = project.stage(), project.stage("prod")
    assert (dev.kms_key, prod.kms_key, project.rules.kms_key) == (KEY, "", KEY)
    assert prod.role_path == dev.role_path == "/teams/voice/"
    assert prod.role != dev.role
    assert dev.tags == project.rules.tags == {"CostCenter": "42"}
    assert prod.tags == {"CostCenter": "43", "Environment": "prod"}
    assert repository_arn(dev.repository, "aws").endswith(":123456789012:repository/team/voice")


@pytest.mark.parametrize(
    ("top", "tables", "text"),
    [
        ('role = "voice-agent"', "", "role: 'voice-agent' is not of the form 'arn:"),
        ("role_path = 7", "", "role_path: 7 is not of the form '/teams/voice/'"),
        ('role_path = "/a"', "", "role_path: '/a' is not of the form"),
        ('permissions_boundary = "arn:aws:iam::1:role/x"', "", "permissions_boundary:"),
        ('service_role = "arn:aws:iam::123456789012:user/x"', "", "service_role:"),
        ('repository = "team/voice"', "", "repository: 'team/voice' is not of the form"),
        (f'kms_key = "{KEY.replace("us-east-1", "eu-west-1")}"', "", "kms_key: is in eu-west-1"),
        (f'kms_key = "{KEY}"', '[stages.p]\nregion = "eu-west-1"', "stages.p.kms_key: is in us-"),
        ("tags = 7", "", "tags: must be a table of texts"),
        ("", "[tags]\nCostCenter = 42", "tags.CostCenter: must be a text in quotes"),
        ("", '[tags]\n"aws:x" = "y"', "has a prefix that is AWS's own"),
        ("", '[tags]\n"voicecore:id" = "y"', "has a prefix that is voicecore's own"),
        ("", '[tags]\nName = "line"', "tags.Name: names single resources"),
        ("", '[tags]\nTeam = "R&D"', "tags.Team: may have letters, digits, spaces and"),
        ("", f'[tags]\nTeam = "{"x" * 257}"', "tags.Team: is too long"),
        ("", f'[tags]\n{"x" * 129} = ""', "is too long: 128 characters"),
        ("", "[tags]\n" + "".join(f't{n} = "x"\n' for n in range(21)), f"most {TAGS_MAX}"),
        ("", '[stages.p]\nrole_pth = "/x/"', "did you mean 'role_path'?"),
        ('role_arn = "arn:aws:iam::1:role/x"', "", "did you mean 'role'?"),
    ],
)
def test_reports_rules_that_aws_would_refuse(
    tmp_path: Path, top: str, tables: str, text: str
) -> None:
    with pytest.raises(BadProject) as raised:
        load_project(written(tmp_path, settings(top, tables)))
    assert text in raised.value.message
