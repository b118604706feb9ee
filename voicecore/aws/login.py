"""Owns the AWS login of one command: credentials are found once, and shared by all it does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicecore.aws.credentials import CredentialChain
    from voicecore.aws.session import Aws


class AwsLogin:
    """The credentials of a profile, found where the first account is opened.

    With `can_ask`, a person is asked for the code of an MFA device then, in the main thread.
    """

    def __init__(self, profile: str | None = None, can_ask: bool = False) -> None:
        self.profile = profile
        """Profile that the user named; None for the one of the environment."""
        self._can_ask = can_ask
        self._lock = threading.Lock()
        self._session: Any = None

    def open(self, region: str) -> Aws:
        """Return the account in a region; only what gives the credentials is asked.

        Raises botocore's errors, and NoAwsCredentials for a profile that does not exist.
        """
        # Imported late: botocore takes a tenth of a second, which other registries do not need.
        from voicecore.aws.session import Aws

        return Aws(self._found(region), region, self.profile, lock=self._lock)

    def connect(self, region: str, account: str | None = None) -> Aws:
        """Return the account in a region, and ask STS whose it is.

        Raises as `open` does, and WrongAccount if it is not `account`, where that is given.
        """
        from voicecore.aws.session import check_account

        aws = self.open(region)
        aws.identify()
        check_account(aws.identity, account)
        return aws

    def variables(self) -> dict[str, str]:
        """Return the credentials as environment variables; empty without any. Raises as `open`."""
        credentials = self._found(None).get_credentials()
        if credentials is None:
            return {}
        frozen = credentials.get_frozen_credentials()
        values = {
            "AWS_ACCESS_KEY_ID": frozen.access_key,
            "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
            "AWS_SESSION_TOKEN": frozen.token,
        }
        return {name: str(value) for name, value in values.items() if value}

    def for_child(self) -> dict[str, str]:
        """Return variables for a program that cannot find these credentials by itself."""
        session = self._found(None)
        chain: CredentialChain = session.get_component("credential_provider")
        return self.variables() if chain.is_personal else {}

    def _found(self, region: str | None) -> Any:
        """Return the session, whose credentials are found."""
        from voicecore.aws.session import find_session

        with self._lock:
            if self._session is None:
                self._session = find_session(self.profile, region, self._can_ask)
            return self._session
