"""Reads webhooks as the generated server does; run by the server's Python, in its folder.

Each line of the input is a webhook as JSON, each line of the output what the server reads in it:
the call, its status and the key of replays; or null if it is refused.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))
provider: Any = importlib.import_module("internal.telephony.provider")
phone_settings: Any = importlib.import_module("internal.telephony.phone_settings")


def main() -> None:
    providers = phone_settings.read(os.environ).providers
    for line in sys.stdin:
        name, method, url, headers, body, now = json.loads(line)
        asked = providers[name]
        try:
            webhook = provider.Webhook(method, url, headers, body.encode("latin-1"))
            signed = asked.check(webhook, now)
            call = asked.incoming_call(signed.fields)
            read = [call.id, call.caller, call.called, *asked.call_status(signed.fields)]
            answer = [*read, signed.once.hex()]
        except provider.Forged:
            answer = None
        print(json.dumps(answer), flush=True)


main()
