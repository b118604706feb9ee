"""Start the stand-ins by hand (`--help`), or run a program against them."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys

from tests.standins.models import Script, Turn, serve
from tests.standins.models.context import Limits


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.standins.models",
        description="Stand-ins for Nova Sonic, Bedrock ConverseStream, Polly and Transcribe. "
        "With a COMMAND, runs it against them under AWS's host names, and ends with it.",
    )
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--greeting", default=Script().greeting)
    parser.add_argument(
        "--say",
        action="append",
        default=[],
        metavar="HEARD=ANSWER",
        help="transcript of the n-th utterance, and the answer (repeatable)",
    )
    parser.add_argument(
        "--connection-seconds",
        type=float,
        default=Limits().sonic_connection,
        help="how long one Nova Sonic connection lasts",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    given = parser.parse_args()
    turns = tuple(Turn(*line.split("=", 1)) for line in given.say)
    script = Script(turns, given.greeting)
    limits = Limits(sonic_connection=given.connection_seconds)
    try:
        return asyncio.run(_run(script, given.region, limits, given.command))
    except KeyboardInterrupt:
        return 130


async def _run(script: Script, region: str, limits: Limits, command: list[str]) -> int:
    async with serve(script, region=region, limits=limits, echo=True) as models:
        environment = [f"{name}={value}" for name, value in models.reach.env().items()]
        if command:
            argv = ["env", *environment, *models.reach.argv(*command)]
            return await (await asyncio.create_subprocess_exec(*argv)).wait()
        print("Run a program against them with:", file=sys.stderr)
        print(shlex.join(["env", *environment, *models.reach.argv("PROGRAM")]), flush=True)
        print(f"ConverseStream and Polly without TLS: {models.endpoint}", file=sys.stderr)
        await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
