"""Runs the stand-in by hand: prints the exports with which any SDK uses it as AWS."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time

from tests.standins.aws import NONE, REAL, aws_standin
from tests.standins.aws.moto_app import preload_ec2


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.standins.aws",
        description="Run a stand-in of AWS on a free port of 127.0.0.1. "
        "With a COMMAND, run the command against it and exit with its exit code.",
    )
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--real-time", action="store_true", help="use AWS's durations")
    parser.add_argument("--time-scale", type=float, default=1.0, help="speed of its clock")
    parser.add_argument("--quiet", action="store_true", help="do not print the calls")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    given = parser.parse_args()
    durations = REAL if given.real_time else NONE
    with aws_standin(
        durations=durations, time_scale=given.time_scale, region=given.region, echo=not given.quiet
    ) as aws:
        if given.command:
            argv = ["env", *(f"{k}={v}" for k, v in aws.environment.items()), *given.command]
            return subprocess.run(argv).returncode
        for name, value in aws.environment.items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        preload_ec2(aws.cloud)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
