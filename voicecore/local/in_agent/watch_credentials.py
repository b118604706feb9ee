"""Owns finding AWS credentials that were read before the snapshot and sign requests in a session.

The role's credentials expire, so AWS refuses such requests hours after the deploy. botocore's own
clients renew theirs; a secret key that the agent has read as text cannot be renewed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import captures

_RENEWED_BY = ("/botocore/", "/boto3/", "/aiobotocore/", "/aioboto3/", "/s3transfer/")


class CapturedSecret(str):
    """A secret key read before the snapshot. To sign is to format or to encode it."""

    line: str

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Encode, as signing does; refused in a session."""
        self._refuse_in_session()
        return super().encode(encoding, errors)

    def __format__(self, format_spec: str) -> str:
        """Format, as signing does; refused in a session."""
        self._refuse_in_session()
        return super().__format__(format_spec)

    def __radd__(self, before: str) -> str:
        """Append to text, as signing does; refused in a session."""
        self._refuse_in_session()
        return before + str(self)

    def _refuse_in_session(self) -> None:
        if not captures.restored():
            return
        captures.report(
            "credentials",
            self.line,
            f"AWS credentials of before the snapshot sign a request: {self.line} reads them. They "
            "have expired when a session starts, so AWS answers 403 ExpiredTokenException. Read "
            "them in each session, or let boto3 do it.",
        )
        error = {
            "Error": {
                "Code": "ExpiredTokenException",
                "Message": "The security token included in the request is expired",
            },
            "ResponseMetadata": {"HTTPStatusCode": 403},
        }
        raise sys.modules["botocore.exceptions"].ClientError(error, "AWS")


def watch_botocore(module: ModuleType) -> None:
    """Mark the secret keys that the agent reads before the snapshot."""
    for owner in (module.Credentials, module.RefreshableCredentials):
        owner.get_frozen_credentials = _freezing(owner.get_frozen_credentials)
        owner.secret_key = _marking(getattr(owner, "secret_key", None))


def _freezing(freeze: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get_frozen_credentials(self: Any) -> Any:
        frozen = freeze(self)
        return frozen._replace(secret_key=_marked(frozen.secret_key))

    return get_frozen_credentials


def _marking(own: property | None) -> property:
    """Return the attribute `secret_key`; `own` is the property that the class has already."""

    def read(self: Any) -> Any:
        value = own.__get__(self) if own else self.__dict__.get("_voicecore_secret_key")
        return _marked(value)

    def write(self: Any, value: Any) -> None:
        if own:
            own.__set__(self, value)
        else:
            self.__dict__["_voicecore_secret_key"] = value

    return property(read, write)


def _marked(secret: Any) -> Any:
    if captures.restored() or not isinstance(secret, str) or isinstance(secret, CapturedSecret):
        return secret
    frame = captures.caller()
    if frame is None or any(part in frame.f_code.co_filename for part in _RENEWED_BY):
        return secret
    while frame and not captures.users_line(frame):
        frame = frame.f_back
    line = captures.users_line(frame)
    if line is None:
        return secret
    marked = CapturedSecret(secret)
    marked.line = line
    return marked
