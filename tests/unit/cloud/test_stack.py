"""The stack as a value: its template, and what remains without some resources."""

from voicecore.cloud.resources.template_text import template_from
from voicecore.cloud.stacks.stack import (
    Parameter,
    Resource,
    Stack,
    StackOutput,
    arn,
    get_att,
    join,
    ref,
    references,
    sub,
    template,
)

STACK = Stack(
    "name",
    template(
        "About",
        {
            "Topic": Resource("AWS::SNS::Topic", {}),
            "Queue": Resource("AWS::SQS::Queue", {"QueueName": ref("Name")}, ("Topic",)),
        },
        {"Name": Parameter("What it is called"), "Other": Parameter("x", default="")},
        {"Url": StackOutput("Where", ref("Queue")), "Topic": StackOutput("What", ref("Topic"))},
    ),
    {"Name": "mine", "Other": ""},
    {},
)


def test_template_omits_empty_parts() -> None:
    assert STACK.template == {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "About",
        "Parameters": {
            "Name": {"Type": "String", "Description": "What it is called"},
            "Other": {"Type": "String", "Description": "x", "Default": ""},
        },
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "DependsOn": ["Topic"],
                "Properties": {"QueueName": {"Ref": "Name"}},
            },
        },
        "Outputs": {
            "Url": {"Description": "Where", "Value": {"Ref": "Queue"}},
            "Topic": {"Description": "What", "Value": {"Ref": "Topic"}},
        },
    }


def test_without_removes_unused_parameters_and_outputs() -> None:
    rest = STACK.without(["Queue"])
    assert list(rest.resources) == ["Topic"]
    assert list(rest.template["Outputs"]) == ["Topic"]
    assert "Parameters" not in rest.template
    assert rest.parameters == {}
    assert list(STACK.resources) == ["Topic", "Queue"]


def test_references_finds_nested_references() -> None:
    part = [
        join("/", [ref("A"), {"x": get_att("B", "Arn")}]),
        sub("${C}-${D.Arn}"),
        arn("iam", "*"),
    ]
    assert references(part) == {
        "A", "B", "C", "D", "AWS::Partition", "AWS::Region", "AWS::AccountId",
    }  # fmt: skip


def test_yaml_of_a_template_is_read_as_cloudformation_reads_it() -> None:
    text = """
AWSTemplateFormatVersion: 2010-09-09
Conditions: {Large: !Equals [!Ref Size, "2"]}
Resources:
  Thing:
    Type: AWS::X::Thing
    Properties:
      Arn: !GetAtt Role.Arn
      Name: !Sub ["${a}-b", {a: !Ref Size}]
      Kind: !If [Large, !Join ["", [a, !GetAtt [Role, Id]]], !Ref "AWS::NoValue"]
"""
    read = template_from(text)
    assert read["AWSTemplateFormatVersion"] == "2010-09-09"
    assert read["Conditions"] == {"Large": {"Fn::Equals": [{"Ref": "Size"}, "2"]}}
    joined = {"Fn::Join": ["", ["a", {"Fn::GetAtt": ["Role", "Id"]}]]}
    assert read["Resources"]["Thing"]["Properties"] == {
        "Arn": {"Fn::GetAtt": ["Role", "Arn"]},
        "Name": {"Fn::Sub": ["${a}-b", {"a": {"Ref": "Size"}}]},
        "Kind": {"Fn::If": ["Large", joined, {"Ref": "AWS::NoValue"}]},
    }
    assert template_from(read) is read
