"""Owns the agent's keys in AWS, where it has no .env: they come from one secret.

`voicecore deploy` writes the secret from agent/.env, as a JSON object of variables, and sets
AGENT_SECRET_ARN. On your machine that is not set, and the keys come from .env.

On platform V2 (see session_start.py) the values are read when a session starts: they may change
while a snapshot exists, and belong in none. While the agent loads, there are placeholders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

SECRETS = ("AGENT_SECRET_ARN",)


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


# Prints the names of the variables that `read` sets.
NAMES = f"""
import os
from {__name__} import read
before = dict(os.environ)
read()
print(*(name for name, value in os.environ.items() if before.get(name) != value))
"""


def stand_in() -> None:
    """Set the variables of the secrets to placeholders. Raises KeysUnreadable.

    Another process reads their names, so that no value is in the memory of this one.
    """
    if not any(os.environ.get(name) for name in SECRETS):
        return
    done = subprocess.run([sys.executable, "-c", NAMES], capture_output=True, text=True)
    if done.returncode:
        last_line = done.stderr.rstrip().rpartition("\n")[2]
        raise KeysUnreadable(last_line.partition(": ")[2] or last_line)
    for name in done.stdout.split():
        os.environ[name] = f"{name} is read when a session starts"
