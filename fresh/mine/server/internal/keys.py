"""Owns the server's keys in AWS, where it has no .env: they come from secrets.

SESSION_SECRET_ARN names the secret with SESSION_API_KEY, which AWS generates; SERVER_SECRET_ARN the
one that `voicecore deploy` writes from server/.env. Each is a JSON object of variables. Outside AWS
neither is set, and the keys come from the environment.
"""

from __future__ import annotations

import json
import os

SECRETS = ("SESSION_SECRET_ARN", "SERVER_SECRET_ARN")


class KeysUnreadable(Exception):
    """A secret cannot be read; the message names it and gives the reason."""


def read() -> None:
    """Put the variables of the secrets into the environment. Raises KeysUnreadable."""
    named = {name: arn for name in SECRETS if (arn := os.environ.get(name))}
    if not named:
        return
    # Takes 0.3 s to import; skipped without secrets.
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    for name, arn in named.items():
        try:
            client = Session().create_client("secretsmanager")
            os.environ.update(json.loads(client.get_secret_value(SecretId=arn)["SecretString"]))
        except (BotoCoreError, ClientError) as error:
            # AWS's message names the missing permission.
            raise KeysUnreadable(f"{name}, {arn}, cannot be read: {error}") from None
        except (AttributeError, TypeError, ValueError):
            # A parser's error would quote the secret.
            raise KeysUnreadable(f"{name}, {arn}, is not a JSON object of strings.") from None
