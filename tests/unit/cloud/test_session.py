"""AWS sessions: the account that the project names."""

from datetime import timedelta

import pytest

from voicecore.aws.session import Identity, WrongAccount, check_account, refused_region


def test_rejects_credentials_of_another_account() -> None:
    identity = Identity("111111111111", "arn:aws:iam::111111111111:user/ada", timedelta())
    check_account(identity, None)
    check_account(identity, "111111111111")
    with pytest.raises(WrongAccount, match="222222222222"):
        check_account(identity, "222222222222")


@pytest.mark.parametrize(
    ("region", "partition", "text"),
    [
        ("ap-southeast-5", "aws", "has not enabled the region ap-southeast-5"),
        ("us-gov-west-1", "aws", "in another partition of AWS"),
        ("us-east-1", "aws-us-gov", "in another partition of AWS"),
    ],
)
def test_region_that_refuses_known_credentials(region: str, partition: str, text: str) -> None:
    arn = f"arn:{partition}:iam::111111111111:user/ada"
    refused = refused_region(region, Identity("111111111111", arn, timedelta()))
    assert text in refused.message
    assert "voicecore.toml" in str(refused.hint)
