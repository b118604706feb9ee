"""Templates like those that voicecore deploys, and a short client of CloudFormation."""

from __future__ import annotations

import json
import time
from typing import Any

Json = dict[str, Any]


def ref(name: str) -> Json:
    return {"Ref": name}


def att(name: str, attribute: str) -> Json:
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str) -> Json:
    return {"Fn::Sub": text}


def resource(kind: str, *depends_on: str, **properties: Any) -> Json:
    return {"Type": f"AWS::{kind}", "Properties": properties} | (
        {"DependsOn": list(depends_on)} if depends_on else {}
    )


def template(resources: Json, parameters: Json | None = None, **outputs: Any) -> Json:
    return {
        "Parameters": {name: {"Type": kind} for name, kind in (parameters or {}).items()},
        "Resources": resources,
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


def network(zone: str = "us-east-1b") -> Json:
    anywhere = "0.0.0.0/0"
    return template(
        {
            "Vpc": resource("EC2::VPC", CidrBlock="10.0.0.0/16", EnableDnsHostnames=True),
            "Gateway": resource("EC2::InternetGateway"),
            "Attachment": resource(
                "EC2::VPCGatewayAttachment", VpcId=ref("Vpc"), InternetGatewayId=ref("Gateway")
            ),
            "Public": resource(
                "EC2::Subnet", VpcId=ref("Vpc"), CidrBlock="10.0.0.0/24", AvailabilityZone=zone
            ),
            "Private": resource(
                "EC2::Subnet", VpcId=ref("Vpc"), CidrBlock="10.0.16.0/20", AvailabilityZone=zone
            ),
            "Address": resource("EC2::EIP", "Attachment", Domain="vpc"),
            "Nat": resource(
                "EC2::NatGateway",
                SubnetId=ref("Public"),
                AllocationId=att("Address", "AllocationId"),
            ),
            "Out": resource("EC2::RouteTable", VpcId=ref("Vpc")),
            "OutRoute": resource(
                "EC2::Route",
                "Attachment",
                RouteTableId=ref("Out"),
                DestinationCidrBlock=anywhere,
                GatewayId=ref("Gateway"),
            ),
            "OutPublic": resource(
                "EC2::SubnetRouteTableAssociation",
                RouteTableId=ref("Out"),
                SubnetId=ref("Public"),
            ),
            "Inner": resource("EC2::RouteTable", VpcId=ref("Vpc")),
            "InnerRoute": resource(
                "EC2::Route",
                RouteTableId=ref("Inner"),
                DestinationCidrBlock=anywhere,
                NatGatewayId=ref("Nat"),
            ),
            "InnerPrivate": resource(
                "EC2::SubnetRouteTableAssociation",
                RouteTableId=ref("Inner"),
                SubnetId=ref("Private"),
            ),
            "S3": resource(
                "EC2::VPCEndpoint",
                VpcId=ref("Vpc"),
                ServiceName=sub("com.amazonaws.${AWS::Region}.s3"),
                VpcEndpointType="Gateway",
                RouteTableIds=[ref("Inner")],
            ),
            "Group": resource(
                "EC2::SecurityGroup",
                GroupDescription="agent",
                VpcId=ref("Vpc"),
                SecurityGroupEgress=[
                    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": anywhere}
                ],
            ),
        },
        Subnets=ref("Private"),
        Groups=ref("Group"),
    )


def images() -> Json:
    repository = resource(
        "ECR::Repository",
        RepositoryName="voicecore/line",
        EmptyOnDelete=True,
        ImageScanningConfiguration={"ScanOnPush": True},
    )
    return template({"Repository": repository}, Uri=att("Repository", "RepositoryUri"))


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "bedrock-agentcore.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
PULL = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ecr:GetAuthorizationToken",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            "Resource": "*",
        }
    ],
}


def agent(environment: Json | None = None) -> Json:
    return template(
        {
            "Role": resource(
                "IAM::Role",
                RoleName="line",
                AssumeRolePolicyDocument=TRUST,
                Policies=[{"PolicyName": "agent", "PolicyDocument": PULL}],
            ),
            "Secret": resource("SecretsManager::Secret", Name="line/dev"),
            "Channel": resource(
                "KinesisVideo::SignalingChannel", Name="line-1", Type="SINGLE_MASTER"
            ),
            "Runtime": resource(
                "BedrockAgentCore::Runtime",
                "Role",
                AgentRuntimeName="line_dev",
                AgentRuntimeArtifact={"ContainerConfiguration": {"ContainerUri": ref("Image")}},
                RoleArn=att("Role", "Arn"),
                NetworkConfiguration={
                    "NetworkMode": "VPC",
                    "NetworkModeConfig": {
                        "Subnets": ref("Subnets"),
                        "SecurityGroups": ref("Groups"),
                    },
                },
                ProtocolConfiguration="HTTP",
                EnvironmentVariables=environment or {"MOOD": "good"},
            ),
            "Endpoint": resource(
                "BedrockAgentCore::RuntimeEndpoint",
                AgentRuntimeId=ref("Runtime"),
                Name="live",
                AgentRuntimeVersion=att("Runtime", "AgentRuntimeVersion"),
            ),
            "Logs": resource(
                "Logs::LogGroup",
                LogGroupName=sub("/aws/bedrock-agentcore/runtimes/${Runtime}-live"),
                RetentionInDays=30,
            ),
        },
        {"Image": "String", "Subnets": "CommaDelimitedList", "Groups": "CommaDelimitedList"},
        Arn=att("Runtime", "AgentRuntimeArn"),
        Version=att("Endpoint", "LiveVersion"),
    )


def manifest(size: int = 12) -> str:
    oci = "application/vnd.oci.image"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{oci}.manifest.v1+json",
            "config": {
                "mediaType": f"{oci}.config.v1+json",
                "size": 2,
                "digest": f"sha256:{'1' * 64}",
            },
            "layers": [
                {
                    "mediaType": f"{oci}.layer.v1.tar+gzip",
                    "size": size,
                    "digest": f"sha256:{'2' * 64}",
                }
            ],
        }
    )


class Stacks:
    """CloudFormation as a deploy uses it: create a change set, execute it, wait."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._number = 0

    def create_change_set(
        self, name: str, body: Json, kind: str = "CREATE", **parameters: str
    ) -> Json:
        """Create a change set and return its description."""
        self._number += 1
        created = self.client.create_change_set(
            StackName=name,
            ChangeSetName=f"change-{self._number}",
            ChangeSetType=kind,
            TemplateBody=json.dumps(body),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Tags=[{"Key": "voicecore:project", "Value": "line"}],
        )
        return self.client.describe_change_set(
            ChangeSetName=created["Id"], IncludePropertyValues=True
        )

    def execute(self, change_set: Json, **more: Any) -> None:
        assert change_set["Status"] == "CREATE_COMPLETE", change_set
        self.client.execute_change_set(ChangeSetName=change_set["ChangeSetId"], **more)

    def deploy(self, name: str, body: Json, kind: str = "CREATE", **parameters: str) -> Json:
        """Deploy a stack and return it when it is complete."""
        self.execute(self.create_change_set(name, body, kind, **parameters))
        return self.wait(name)

    def wait(self, name: str) -> Json:
        deadline = time.monotonic() + 60
        while (stack := self.stack(name))["StackStatus"].endswith("IN_PROGRESS"):
            assert time.monotonic() < deadline, stack
            time.sleep(0.02)
        return stack

    def stack(self, name: str) -> Json:
        return self.client.describe_stacks(StackName=name)["Stacks"][0]

    def delete(self, name: str, **more: Any) -> Json:
        id = self.stack(name)["StackId"]
        self.client.delete_stack(StackName=name, **more)
        return self.wait(id)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return (logical ID, status) of all events, oldest first."""
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=name)
        told = [event for page in pages for event in page["StackEvents"]]
        return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(told)]

    def reasons(self, name: str) -> str:
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=name)
        return "\n".join(
            event.get("ResourceStatusReason", "") for page in pages for event in page["StackEvents"]
        )


def outputs(stack: Json) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
