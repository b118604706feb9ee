"""What AWS's refusals mean to a person, and what is typed next."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore import exceptions as botocore

from voicecore.aws.errors import (
    AwsRefused,
    AwsUnreachable,
    CredentialsRefused,
    NoAwsCredentials,
    NotAllowed,
    WrongClock,
    translate_error,
    translated_errors,
)
from voicecore.aws.session import Identity, WrongAccount, check_account
from voicecore.console.errors import ExitCode

AGAIN = "voicecore deploy --stage prod"


def answered(code: str, message: str = "", clock: timedelta = timedelta()) -> botocore.ClientError:
    # Without a difference no time is told: cases are made long before they are tested.
    server = format_datetime(datetime.now(UTC) - clock, usegmt=True)
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPHeaders": {"date": server} if clock else {}},
    }
    return botocore.ClientError(response, "CreateStack")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (botocore.NoCredentialsError(), NoAwsCredentials, "export AWS_PROFILE="),
        (
            botocore.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
            NoAwsCredentials,
            "aws configure",
        ),
        (botocore.UnauthorizedSSOTokenError(), CredentialsRefused, "aws sso login --profile work"),
        (
            botocore.TokenRetrievalError(provider="sso", error_msg="Token has expired"),
            CredentialsRefused,
            "aws sso login --profile work",
        ),
        (botocore.LoginTokenLoadError(error_msg="none"), CredentialsRefused, "aws login"),
        (answered("ExpiredToken"), CredentialsRefused, AGAIN),
        (answered("ExpiredTokenException"), CredentialsRefused, "expired"),
        (answered("InvalidClientTokenId"), CredentialsRefused, "AWS_PROFILE"),
        (answered("SignatureDoesNotMatch", "no"), CredentialsRefused, "AWS_PROFILE"),
        (botocore.EndpointConnectionError(endpoint_url="https://x"), AwsUnreachable, AGAIN),
        (botocore.ReadTimeoutError(endpoint_url="https://x"), AwsUnreachable, "continues there"),
        (answered("ThrottlingException", "Rate exceeded"), AwsRefused, "Wait a minute"),
        (answered("ConflictException", "busy"), AwsRefused, "voicecore status"),
        (answered("ValidationException", "odd"), AwsRefused, "odd"),
    ],
)
def test_a_refusal_says_what_happened_and_what_to_type(
    error: Exception, kind: type[AwsRefused], said: str
) -> None:
    refusal = translate_error(error, AGAIN, "work")
    assert type(refusal) is kind
    assert refusal.exit_code is ExitCode.AWS_REFUSED
    assert said in f"{refusal.message}\n{refusal.hint}"


@pytest.mark.parametrize(
    ("clock", "side"), [(timedelta(minutes=17), "ahead"), (-timedelta(minutes=17), "behind")]
)
def test_a_refused_signature_is_the_clocks_fault_where_the_clock_is_wrong(
    clock: timedelta, side: str
) -> None:
    refusal = translate_error(answered("SignatureDoesNotMatch", "Signature expired", clock), AGAIN)
    assert isinstance(refusal, WrongClock)
    assert f"17 minutes {side}" in refusal.message


def test_a_denial_names_the_action_and_the_statement_that_allows_it() -> None:
    words = (
        "User: arn:aws:sts::123456789012:assumed-role/dev/ada is not authorized to perform: "
        "ecr:CreateRepository on resource: arn:aws:ecr:us-east-1:123456789012:repository/x "
        "because no identity-based policy allows the ecr:CreateRepository action"
    )
    refusal = translate_error(answered("AccessDeniedException", words), AGAIN)
    assert isinstance(refusal, NotAllowed)
    assert "assumed-role/dev/ada is not allowed to do ecr:CreateRepository" in refusal.message
    assert refusal.hint is not None
    assert (
        '{"Effect": "Allow", "Action": "ecr:CreateRepository", '
        '"Resource": "arn:aws:ecr:us-east-1:123456789012:repository/x"}' in refusal.hint
    )
    assert refusal.hint.endswith(AGAIN)


def test_an_explicit_deny_is_not_cured_by_a_statement() -> None:
    words = (
        "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ec2:CreateVpc "
        "on resource: * with an explicit deny in a service control policy"
    )
    refusal = translate_error(answered("UnauthorizedOperation", words), AGAIN)
    assert "denies it explicitly" in refusal.message
    assert "Effect" not in str(refusal.hint)


def test_a_denial_without_an_action_names_the_operation() -> None:
    refusal = translate_error(answered("AccessDenied", "Access Denied"), AGAIN)
    assert "CreateStack" in refusal.message


def test_what_boto3_raises_in_the_block_becomes_a_refusal() -> None:
    with pytest.raises(NoAwsCredentials), translated_errors(AGAIN):
        raise botocore.NoCredentialsError


def test_another_account_than_the_projects_is_refused() -> None:
    identity = Identity("111111111111", "arn:aws:iam::111111111111:user/ada", timedelta())
    check_account(identity, None)
    check_account(identity, "111111111111")
    with pytest.raises(WrongAccount, match="222222222222"):
        check_account(identity, "222222222222")
