"""AWS sessions: the account that the project names."""

from datetime import timedelta

import pytest

from voicecore.aws.session import Identity, WrongAccount, check_account


def test_rejects_credentials_of_another_account() -> None:
    identity = Identity("111111111111", "arn:aws:iam::111111111111:user/ada", timedelta())
    check_account(identity, None)
    check_account(identity, "111111111111")
    with pytest.raises(WrongAccount, match="222222222222"):
        check_account(identity, "222222222222")
