"""Translation of AWS errors: what failed, why, and what to type next."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from string import Formatter
from typing import Any

import pytest
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from voicecore.aws.credentials import CodeNeeded, CredentialsUnusable
from voicecore.aws.errors import (
    SERVICE,
    AwsRefused,
    AwsUnreachable,
    CredentialsRefused,
    NoAwsCredentials,
    NotAllowed,
    WrongClock,
    translate_error,
    translated_errors,
)
from voicecore.console.errors import ExitCode

AGAIN = "voicecore deploy --stage prod"


def client_error(
    code: str, message: str = "", skew: timedelta = timedelta(), service: str = ""
) -> botocore.ClientError:
    # Without a skew the answer has no time: cases are built long before they are tested.
    server = format_datetime(datetime.now(UTC) - skew, usegmt=True)
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPHeaders": {"date": server} if skew else {}, SERVICE: service},
    }
    return botocore.ClientError(response, "CreateStack")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (botocore.NoCredentialsError(), NoAwsCredentials, "export AWS_PROFILE="),
        (
            botocore.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
            NoAwsCredentials,
            "aws configure",
        ),
        (CredentialsUnusable("The login has ended.", "aws login"), CredentialsRefused, "aws login"),
        (client_error("ExpiredToken"), CredentialsRefused, AGAIN),
        (client_error("ExpiredTokenException"), CredentialsRefused, "expired"),
        (client_error("InvalidClientTokenId"), CredentialsRefused, "AWS_PROFILE"),
        (client_error("SignatureDoesNotMatch", "no"), CredentialsRefused, "AWS_PROFILE"),
        (botocore.EndpointConnectionError(endpoint_url="https://x"), AwsUnreachable, AGAIN),
        (botocore.ReadTimeoutError(endpoint_url="https://x"), AwsUnreachable, "continues there"),
        (
            botocore.EndpointConnectionError(endpoint_url="https://ecr-fips.eu-west-3.api.aws/"),
            AwsUnreachable,
            "unset AWS_USE_FIPS_ENDPOINT",
        ),
        (client_error("ThrottlingException", "Rate exceeded"), AwsRefused, "Wait a minute"),
        (client_error("ConflictException", "busy"), AwsRefused, "voicecore status"),
        (client_error("ValidationException", "odd"), AwsRefused, "odd"),
    ],
)
def test_error_says_what_failed_and_what_to_type(
    error: Exception, kind: type[AwsRefused], text: str
) -> None:
    translated = translate_error(error, AGAIN, "work")
    assert type(translated) is kind
    assert translated.exit_code is ExitCode.AWS_REFUSED
    assert text in f"{translated.message}\n{translated.hint}"


@pytest.mark.parametrize("profile", ["work", "'at work'"])
def test_credentials_from_a_code_take_the_place_of_the_profile(profile: str) -> None:
    again = f"voicecore deploy --profile {profile} --dry-run"
    translated = translate_error(CodeNeeded("A code is needed.", "eval …"), again)
    assert translated.hint == "eval …\nThen run:\nvoicecore deploy --dry-run"


@pytest.mark.parametrize(
    ("skew", "side"), [(timedelta(minutes=17), "ahead"), (-timedelta(minutes=17), "behind")]
)
def test_rejected_signature_is_explained_by_a_wrong_clock(skew: timedelta, side: str) -> None:
    error = client_error("SignatureDoesNotMatch", "Signature expired", skew)
    translated = translate_error(error, AGAIN)
    assert isinstance(translated, WrongClock)
    assert f"17 minutes {side}" in translated.message


def test_denial_names_the_action_and_the_statement_that_allows_it() -> None:
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/dev/ada is not authorized to perform: "
        "ecr:CreateRepository on resource: arn:aws:ecr:us-east-1:123456789012:repository/x "
        "because no identity-based policy allows the ecr:CreateRepository action"
    )
    translated = translate_error(client_error("AccessDeniedException", message), AGAIN)
    assert isinstance(translated, NotAllowed)
    assert translated.action == "ecr:CreateRepository"
    assert "assumed-role/dev/ada is not allowed to do ecr:CreateRepository" in translated.message
    assert translated.hint is not None
    assert (
        '{"Effect": "Allow", "Action": "ecr:CreateRepository", '
        '"Resource": "arn:aws:ecr:us-east-1:123456789012:repository/x"}' in translated.hint
    )
    assert translated.hint.endswith(AGAIN)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("with an explicit deny in a service control policy", "of your organization denies it"),
        ("with an explicit deny in an identity-based policy", "denies it explicitly"),
        (
            "because no permissions boundary allows the ec2:CreateVpc action",
            "no permissions boundary allows it",
        ),
    ],
)
def test_denial_that_no_statement_lifts_suggests_none(reason: str, why: str) -> None:
    message = (
        "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ec2:CreateVpc "
        f"on resource: * {reason}"
    )
    translated = translate_error(client_error("UnauthorizedOperation", message), AGAIN)
    assert why in translated.message
    assert "Effect" not in str(translated.hint)


def test_denial_without_an_action_names_the_operation() -> None:
    translated = translate_error(client_error("AccessDenied", "Access Denied"), AGAIN)
    assert "CreateStack" in translated.message


def test_denial_without_an_action_derives_it_from_the_service() -> None:
    error = client_error("AccessDenied", "Access Denied", service="cloudformation")
    translated = translate_error(error, AGAIN)
    assert "cloudformation:CreateStack" in translated.message
    assert '"Action": "cloudformation:CreateStack"' in str(translated.hint)


def test_quota_error_names_the_service() -> None:
    error = client_error("LimitExceededException", "too many", service="cloudformation")
    assert "--service-code cloudformation" in str(translate_error(error, AGAIN).hint)


def test_block_raises_the_translated_error() -> None:
    with pytest.raises(NoAwsCredentials), translated_errors(AGAIN):
        raise botocore.NoCredentialsError


def kinds_of(kind: type[botocore.BotoCoreError]) -> Iterator[type[botocore.BotoCoreError]]:
    for each in kind.__subclasses__():
        yield from (each, *kinds_of(each))


# Other packages add kinds of their own, depending on what is loaded.
KINDS = sorted(
    (each for each in {*kinds_of(botocore.BotoCoreError)} if each.__module__ == botocore.__name__),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_failure_of_botocore_has_a_fix(kind: type[botocore.BotoCoreError]) -> None:
    fields = [name for _, name, _, _ in Formatter().parse(kind.fmt) if name]
    if kind is botocore.ConnectionClosedError:
        fields += ["request"]
    elif kind is botocore.WaiterError:
        fields += ["last_response"]
    error = kind(**dict.fromkeys(fields, "-"))
    with pytest.raises(AwsRefused) as raised, translated_errors(AGAIN):
        raise error
    assert raised.value.hint
    assert raised.value.hint.endswith(AGAIN)


def test_answer_of_a_captive_portal_is_not_one_of_aws() -> None:
    error = ResponseParserError("Unable to parse response, invalid XML received:\nb'<html>'")
    translated = translate_error(error, AGAIN)
    assert isinstance(translated, AwsUnreachable)
    assert "html" not in translated.message
    assert "A proxy may have sent it" in str(translated.hint)
