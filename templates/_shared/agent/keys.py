"""Keys that the agent needs in AWS, where it has no .env: kept in one secret, read at its start.

`voicecore deploy` writes the secret from agent/.env, as a JSON object of variables, and names it in
AGENT_SECRET_ARN. On your own machine that is not set, and .env is all.
"""

from __future__ import annotations

import json
import os


class KeysUnreadable(Exception):
    """The secret does not give the agent its keys; the message names it and says why."""


def read() -> None:
    """Put the secret's variables into the environment. Raises KeysUnreadable."""
    arn = os.environ.get("AGENT_SECRET_ARN")
    if not arn:
        return
    # 0.3 s to import, for those who need it.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("secretsmanager")
        os.environ.update(json.loads(client.get_secret_value(SecretId=arn)["SecretString"]))
    except (BotoCoreError, ClientError) as error:
        # AWS's own words name the permission that is missing.
        raise KeysUnreadable(f"AGENT_SECRET_ARN, {arn}, cannot be read: {error}") from None
    except (AttributeError, TypeError, ValueError):
        # The error of a parser would quote the secret.
        raise KeysUnreadable(f"AGENT_SECRET_ARN, {arn}, is no JSON object of strings.") from None
